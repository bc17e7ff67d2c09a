"""Looks at the certificate that a server presents: a TLS handshake, and nothing is sent or believed."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from provider.core.model import Served

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TlsProbe"]

_HTTPS = 443
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsProbe:
    """A ``Probe`` by TLS 1.2 or newer.

    Args:
        seconds: how long one endpoint may take, connection and handshake together.
    """

    seconds: float = 3.0

    def served(self, host: str, endpoints: Sequence[str]) -> tuple[Served, ...]:
        """Return the certificate that each endpoint presents to a client that asks for *host*; never raises."""
        if not endpoints:
            return ()
        with ThreadPoolExecutor(min(len(endpoints), _AT_ONCE), thread_name_prefix="probe") as pool:
            return tuple(pool.map(lambda endpoint: self._served(host, endpoint), endpoints))

    def _served(self, host: str, endpoint: str) -> Served:
        try:
            certificate = self._certificate(host, endpoint)
        except (OSError, ValueError) as error:
            return Served(endpoint=endpoint, sha256=None, problem=_problem(error))
        if certificate is None:
            return Served(endpoint=endpoint, sha256=None, problem="no certificate was presented")
        return Served(endpoint=endpoint, sha256=hashlib.sha256(certificate).hexdigest())

    def _certificate(self, host: str, endpoint: str) -> bytes | None:
        address = urlsplit(f"//{endpoint}")
        # Nothing is verified: an expired or foreign certificate is what there is to see.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        deadline = time.monotonic() + self.seconds
        with socket.create_connection((address.hostname or "", address.port or _HTTPS), timeout=self.seconds) as raw:
            # Memory buffers, because a socket's timeout starts anew at every byte that comes.
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                else:
                    return tls.getpeercert(binary_form=True)
                raw.sendall(outgoing.read())
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                raw.settimeout(left)
                data = raw.recv(16384)
                if not data:
                    raise ConnectionResetError
                incoming.write(data)


def _problem(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no TLS handshake: {(error.reason or 'TLS error').lower().replace('_', ' ')}"
    told = {
        socket.gaierror: "the name is not known",
        TimeoutError: "no answer in time",
        ConnectionRefusedError: "connection refused",
        ConnectionResetError: "the connection was closed before a certificate was presented",
    }
    known = next((text for kind, text in told.items() if isinstance(error, kind)), None)
    return known or (error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be reached")
