"""Sends the requests of one MDM server through one HTTP client: one TLS context, and connections that are kept open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ios_mdm.adapters.http_client import failure_text, json_object
from ios_mdm.address import is_loopback
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx

__all__ = ["Client"]

CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 120.0
"""Seconds. A request for a thousand devices takes 2 s on the slowest storage, and longer with APNs pushes."""
ATTEMPTS: Final = 3


class Client:
    """The HTTP client of one MDM server. Several threads can use it.

    Args:
        url: base URL of the API.
        api_key: API key; never shown.
        tls: TLS context; None for the root certificates of the system.
    """

    def __init__(self, url: str, api_key: str, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._api_key = api_key
        self._tls = tls
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None

    def enqueue(self, ids: str, *, query: str, content: bytes, hidden: Callable[[str], str]) -> httpx.Response:
        """Queue a command, again if the connection breaks or a proxy fails. A repetition does no harm.

        Args:
            ids: ids in the form that they have in the URL.
            query: query of the URL, with its question mark; empty for none.
            content: the command.
            hidden: removes ids and key from a text.

        Raises:
            DeliveryError: The server does not answer.
        """
        import httpx
        import tenacity

        broken = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.2, max=2),
            retry=tenacity.retry_if_exception_type(broken) | tenacity.retry_if_result(_is_passing_failure),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            base = httpx.URL(f"{self._url.rstrip('/')}/v1/enqueue/")
            # The ids are added to the request line without httpx's parser, which takes as long as the request.
            target = base.raw_path + f"{ids}{query}".encode("ascii")
            return retrying(self._client().put, base, content=content, extensions={"target": target})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = failure_text(
                error,
                hidden(str(error)),
                url_key="the channel's url",
                timeouts=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
            )
            # `from None`, because the exception of httpx contains the request with the key
            raise DeliveryError(f"the MDM server at {self._url} {problem}") from None

    def close(self) -> None:
        """Close all connections. A later request opens a new one."""
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None

    def _client(self) -> httpx.Client:
        """Return the client of httpx, which reads the root certificates when it is created."""
        import httpx

        with self._lock:
            if self._http is None:
                self._http = httpx.Client(
                    verify=True if self._tls is None else self._tls,
                    timeout=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
                    # Proxies of the environment are for other machines, and would get the API key of a loopback server.
                    trust_env=not is_loopback(urlsplit(self._url).hostname),
                    auth=httpx.BasicAuth("nanomdm", self._api_key),
                )
            return self._http


def _is_passing_failure(response: httpx.Response) -> bool:
    """Return whether the answer is a 5xx of a proxy whose server is restarting: answers of NanoMDM are JSON."""
    return response.is_server_error and not json_object(response.text)
