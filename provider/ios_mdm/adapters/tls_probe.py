"""Reads the certificate that a server presents in a TLS handshake. Nothing is verified, and no request is sent."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ios_mdm.core.pair.observed import ServedCertificate

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TlsProbe"]

_HTTPS = 443
_MAX_AT_ONCE = 32
_LATE = "no answer in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsProbe:
    """A ``Probe`` that uses TLS 1.2 or newer.

    Args:
        seconds: time limit for one endpoint, connection and handshake together.
    """

    seconds: float = 3.0

    def served_certificates(self, host: str, endpoints: Sequence[str]) -> tuple[ServedCertificate, ...]:
        """Return the certificate that each endpoint presents for the server name *host*; never raises."""
        seen = [ServedCertificate(endpoint=endpoint, sha256=None, problem=_LATE) for endpoint in endpoints]

        def read_certificate(number: int) -> None:
            seen[number] = self._served_certificate(host, endpoints[number])

        for start in range(0, len(endpoints), _MAX_AT_ONCE):
            numbers = range(start, min(start + _MAX_AT_ONCE, len(endpoints)))
            # A name lookup of the system cannot be stopped. One that hangs must delay neither this call nor the exit.
            threads = [
                threading.Thread(target=read_certificate, args=(number,), daemon=True, name="probe")
                for number in numbers
            ]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + self.seconds + 0.2
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        return tuple(seen)

    def _served_certificate(self, host: str, endpoint: str) -> ServedCertificate:
        try:
            certificate = self._certificate(host, endpoint)
        except (OSError, ValueError) as error:
            return ServedCertificate(endpoint=endpoint, sha256=None, problem=_problem(error))
        if certificate is None:
            return ServedCertificate(endpoint=endpoint, sha256=None, problem="no certificate was presented")
        return ServedCertificate(endpoint=endpoint, sha256=hashlib.sha256(certificate).hexdigest())

    def _certificate(self, host: str, endpoint: str) -> bytes | None:
        # Nothing is verified, because an expired or unknown certificate must be reported, too.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        deadline = time.monotonic() + self.seconds
        with _connection(endpoint, deadline) as raw:
            # Memory buffers, because the timeout of a socket starts again with each byte that arrives.
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
                raw.settimeout(_seconds_left(deadline))
                data = raw.recv(16384)
                if not data:
                    raise ConnectionResetError
                incoming.write(data)


def _connection(endpoint: str, deadline: float) -> socket.socket:
    """Return a connection to the first address that accepts one; each address gets a share of the time that is left."""
    address = urlsplit(f"//{endpoint}")
    if not address.hostname:
        raise ValueError(endpoint)
    found = socket.getaddrinfo(address.hostname, address.port or _HTTPS, type=socket.SOCK_STREAM)
    refusal: OSError = TimeoutError()
    for number, (*_, where) in enumerate(found):
        try:
            return socket.create_connection(
                (str(where[0]), int(where[1])), timeout=_seconds_left(deadline) / (len(found) - number)
            )
        except OSError as error:
            refusal = error
    raise refusal


def _seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _problem(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no TLS handshake: {(error.reason or 'TLS error').lower().replace('_', ' ')}"
    problems = {
        socket.gaierror: "the host name does not resolve",
        TimeoutError: _LATE,
        ConnectionRefusedError: "connection refused",
        ConnectionResetError: "the connection was closed before a certificate was presented",
        ValueError: "it is not host:port, or the server name is not valid",
    }
    known = next((text for kind, text in problems.items() if isinstance(error, kind)), None)
    return known or (error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be reached")
