"""Parts of HTTP clients: the root certificates of a ``caFile``, the causes of failed requests, and JSON answers."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ios_mdm.errors import DefinitionError
from ios_mdm.files import MIB, file_content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

__all__ = ["MAX_CA_FILE", "failure_text", "json_object", "trusting_context", "without_key"]

MAX_CA_FILE: Final = MIB
"""Bytes. The root certificates of an operating system take a quarter of this limit."""

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN (?P<kind>(?:X509 |TRUSTED )?CERTIFICATE)-----.*?-----END (?P=kind)-----", re.DOTALL
)


def trusting_context(ca_file: str, url: str) -> ssl.SSLContext:
    """Return the TLS settings that trust only the root certificates of a file.

    Args:
        ca_file: path of the PEM file.
        url: URL of the server, for messages.

    Raises:
        DefinitionError: The file cannot be read, or has no certificate.
    """
    content = file_content(Path(ca_file), limit=MAX_CA_FILE, named=f"caFile {ca_file}")
    # Files of roots have comments in any encoding, and `cadata` takes ASCII only. Without any data, it would trust
    # the usual roots.
    certificates = b"\n".join(found[0] for found in _CERTIFICATE.finditer(content))
    # The errors of Python are not quoted, because some contain a part of the file (R39).
    with contextlib.suppress(ssl.SSLError, ValueError):
        if certificates:
            return ssl.create_default_context(cadata=certificates.decode("ascii"))
    raise DefinitionError(
        f"caFile {ca_file} cannot be used: it contains no readable PEM certificate. Name a PEM file with the "
        f"root certificate that verifies {url}"
    )


def failure_text(error: Exception, shown: str, *, url_key: str, timeouts: httpx.Timeout) -> str:
    """Return the cause of a failed request, which httpx wraps several times, as a verb phrase about the server.

    Args:
        error: error of httpx.
        shown: text of the error without confidential parts, for an unknown cause.
        url_key: name of the key with the URL, for messages.
        timeouts: time limits of the request, in seconds.
    """
    import httpx

    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return (
                    f"presents a TLS certificate that is not trusted ({cause.verify_message}): set caFile to a PEM "
                    "file with its root certificate"
                )
            case ssl.SSLError():
                return f"does not speak TLS ({cause.reason or 'handshake failed'}): check {url_key}"
            case socket.gaierror():
                return "cannot be found: its host name does not resolve"
            case ConnectionRefusedError():
                return "is down: connection refused"
    match error:
        case httpx.ConnectTimeout():
            text = f"cannot be reached: no connection within {timeouts.connect:.0f} s"
        case httpx.TimeoutException():
            text = f"does not answer within {timeouts.read:.0f} s"
        case _:
            text = f"does not complete the request: {shown or type(error).__name__}"
    return text


def json_object(content: str | bytes) -> Mapping[str, object]:
    """Return the JSON object in an answer; empty if the answer is something else."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def without_key(text: str, api_key: str) -> str:
    """Return a text without the API key of NanoMDM, as it is and in the form of a request (RFC 7617)."""
    basic = base64.b64encode(f"nanomdm:{api_key}".encode()).decode()
    return text.replace(basic, "***").replace(api_key, "***")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
