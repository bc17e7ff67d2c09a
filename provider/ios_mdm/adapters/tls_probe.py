"""Reads the certificate that servers present in TLS handshakes. Nothing is verified, and no request is sent."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ios_mdm.adapters.tls_handshake import handshake_outcome, reason_text, seconds_left
from ios_mdm.core.pair.observed import ServedCertificate

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TlsProbe"]

_HTTPS = 443
_MAX_AT_ONCE = 32
_LATE = "no answer in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsProbe:
    """A ``Probe`` that makes one handshake, and a second one if the server refuses the offer of an ATS client.

    Args:
        seconds: time limit for one endpoint, connections and handshakes together.
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
        deadline = time.monotonic() + self.seconds
        try:
            outcome = handshake_outcome(host, lambda: _connection(endpoint, deadline), deadline)
        except (OSError, ValueError) as error:
            return ServedCertificate(endpoint=endpoint, sha256=None, problem=_problem(error))
        if outcome.certificate is None:
            problem = "no certificate was presented" if outcome.error is None else _problem(outcome.error)
            return ServedCertificate(endpoint=endpoint, sha256=None, problem=problem, handshake=outcome.handshake)
        sha256 = hashlib.sha256(outcome.certificate).hexdigest()
        return ServedCertificate(endpoint=endpoint, sha256=sha256, handshake=outcome.handshake)


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
                (str(where[0]), int(where[1])), timeout=seconds_left(deadline) / (len(found) - number)
            )
        except OSError as error:
            refusal = error
    raise refusal


def _problem(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no TLS handshake: {reason_text(error.reason or 'TLS error')}"
    problems = {
        socket.gaierror: "the host name does not resolve",
        TimeoutError: _LATE,
        ConnectionRefusedError: "connection refused",
        ConnectionError: "the connection was closed before a certificate was presented",
        ValueError: "it is not host:port, or the server name is not valid",
    }
    known = next((text for kind, text in problems.items() if isinstance(error, kind)), None)
    return known or (error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be reached")
