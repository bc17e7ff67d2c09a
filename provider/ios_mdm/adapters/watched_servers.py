"""Reads watched certificates over HTTP: NanoMDM's ``GET /v1/pushcert`` and SCEP's ``GetCACert`` (RFC 8894, 4.2)."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from ios_mdm.adapters.http_client import failure_text, json_object, trusting_context, without_key
from ios_mdm.address import is_loopback
from ios_mdm.core.bundle.form import MAX_BUNDLE_BYTES
from ios_mdm.core.text import one_line
from ios_mdm.core.times import parsed_time
from ios_mdm.core.watch import WatchedCertificate
from ios_mdm.errors import WatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["HttpWatchedServers"]

CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 20.0
"""Seconds, for one read and for the whole answer."""
_MAX_SHOWN: Final = 300
_OK: Final = 200
_UPLOAD_REFUSED: Final = frozenset({400, 405})
_ABSENT: Final = ("no rows in result set", "key not found", "{topic}.pem: no such file or directory")
"""Texts of NanoMDM's storages for a topic without a certificate: mysql and pgsql, kv and inmem, file."""


class HttpWatchedServers:
    """A ``WatchedServers`` over HTTP. It follows no redirect, and sends an API key only to the given URL."""

    def push_certificate(self, url: str, *, api_key: str, topic: str, ca_file: str | None) -> WatchedCertificate | None:
        """Return the push certificate of a NanoMDM server for a topic, or None if it has none.

        NanoMDM v0.9.0 has only the upload at this URL, which refuses a request without a certificate.

        Raises:
            WatchError: The server is down, refuses the API key, or does not report the certificate.
            DefinitionError: *ca_file* cannot be read.
        """
        name = f"the MDM server at {url}"
        status, content = _get(
            f"{url.rstrip('/')}/v1/pushcert?topic={quote(topic, safe='')}",
            name=name,
            ca_file=ca_file,
            api_key=api_key,
            shown=partial(without_key, api_key=api_key),
        )
        answer = json_object(content)
        problem = one_line(without_key(str(answer.get("error") or ""), api_key), limit=_MAX_SHOWN)
        if status == _OK and not problem:
            return _push_certificate(answer, name)
        if any(text.format(topic=topic) in problem for text in _ABSENT):
            return None
        if problem and status in _UPLOAD_REFUSED:
            raise WatchError(
                f"{name} does not report its push certificate (HTTP {status}: {problem}), which NanoMDM v0.9.0 and "
                "older versions cannot do: update NanoMDM, or name the PEM file of the certificate under file instead"
            )
        raise WatchError(f"{name} {_refusal(status, problem)}")

    def ca_certificates(self, url: str, *, ca_file: str | None) -> bytes:
        """Return the CA certificates of a SCEP server, in DER or PKCS #7.

        Raises:
            WatchError: The server is down, or sends no certificates.
            DefinitionError: *ca_file* cannot be read.
        """
        name = f"the SCEP server at {url}"
        status, content = _get(f"{url}?operation=GetCACert", name=name, ca_file=ca_file)
        if status != _OK or not content:
            raise WatchError(f"{name} does not return its CA certificate (HTTP {status}): check the url of scep")
        return content


def _get(
    url: str,
    *,
    name: str,
    ca_file: str | None,
    api_key: str | None = None,
    shown: Callable[[str], str] = str,
) -> tuple[int, bytes]:
    """Return the status and the content of an answer of at most :data:`MAX_BUNDLE_BYTES`.

    Args:
        url: URL with its query.
        name: name of the server, for messages.
        ca_file: PEM file with the trusted root certificates; None for those of the system.
        api_key: API key of NanoMDM; None for a request without credentials.
        shown: removes confidential parts from a text of an error.
    """
    import httpx

    # Proxies of the environment are for other machines, and one would receive the API key for a server on loopback.
    outside = not is_loopback(urlsplit(url).hostname)
    timeouts = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
    auth = None if api_key is None else httpx.BasicAuth("nanomdm", api_key)
    verify = True if ca_file is None else trusting_context(ca_file, url.partition("?")[0])
    deadline = monotonic() + READ_TIMEOUT
    content = bytearray()
    try:
        with (
            httpx.Client(verify=verify, timeout=timeouts, trust_env=outside, auth=auth) as client,
            client.stream("GET", url) as response,
        ):
            for part in response.iter_bytes():
                content += part
                if len(content) > MAX_BUNDLE_BYTES:
                    raise WatchError(f"{name} sends more than {MAX_BUNDLE_BYTES >> 10:,} KiB: check the url")
                if monotonic() > deadline:
                    raise WatchError(f"{name} does not complete its answer within {READ_TIMEOUT:.0f} s")
            return response.status_code, bytes(content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # `from None`, because the exception of httpx contains the request with the key
        text = one_line(shown(str(error)), limit=_MAX_SHOWN)
        raise WatchError(f"{name} {failure_text(error, text, url_key='its url', timeouts=timeouts)}") from None


def _push_certificate(answer: Mapping[str, object], name: str) -> WatchedCertificate:
    try:
        not_after = parsed_time(str(answer.get("not_after") or ""))
    except ValueError:
        raise WatchError(
            f"{name} sends an answer that is not from NanoMDM: check the url of nanomdm, without /v1"
        ) from None
    topic = answer.get("topic")
    return WatchedCertificate(not_after=not_after, topic=topic if isinstance(topic, str) else None)


def _refusal(status: int, problem: str) -> str:
    match status:
        case 401:
            return "refuses the API key: check the secret named by apiKeySecret"
        case 403:
            return "refuses the request (HTTP 403): check the secret named by apiKeySecret, and any proxy"
        case 404:
            return "has no NanoMDM API at this URL (HTTP 404): check the url, and that NanoMDM runs with -api"
    if problem:
        return f"cannot read its push certificate (HTTP {status}: {problem}): check its log and its storage"
    return f"sends an answer that is not from NanoMDM (HTTP {status}): check the url of nanomdm, without /v1"
