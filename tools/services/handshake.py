"""Connects to a server as a device does: a TLS handshake at a given time with given roots, and a request."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL, crypto

from tools.services.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

T = TypeVar("T")

_SECONDS = 10.0
_CHUNK = 65536
_WHY = {
    9: "the certificate is not yet valid",
    10: "the certificate has expired",
    18: "the device does not trust this self-signed certificate",
    20: "the device does not trust the certificate's issuer",
}
"""Reasons by OpenSSL's error number, X509_V_ERR_… in x509_vfy.h: the errors that a pair can cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Result of a connection.

    Args:
        accepted: Whether the device accepted the server's certificate and got an answer to its request.
        sha256: SHA-256 fingerprint of the server's certificate (64 hex digits), or empty without a certificate.
        reason: Reason of the refusal, or empty.
    """

    accepted: bool
    sha256: str
    reason: str = ""


def visit(port: int, host: str, roots: Sequence[bytes], moment: datetime, *, path: str = "/version") -> Visit:
    """Connect to 127.0.0.1:*port* as a device connects to *host*, and request *path*.

    Args:
        port: Port of the server.
        host: Connection address, sent as SNI and checked against the certificate's subjectAltName.
        roots: DER certificates that the device trusts.
        moment: Time of the device's clock, aware, UTC.
        path: Path of the request.
    """
    met: list[x509.Certificate] = []
    why: list[str] = []

    def look(_connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
        if depth == 0:
            met.append(certificate.to_cryptography())
        if not ok:
            why.append(_WHY.get(error, f"error {error} of OpenSSL's verification"))
        return bool(ok)

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_PEER, look)
    store = context.get_cert_store()
    assert store is not None  # noqa: S101 - a context has one
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(x509.load_der_x509_certificate(root)))
    store.set_time(moment)
    connection = SSL.Connection(context, None)
    connection.set_tlsext_host_name(host.encode())
    connection.set_connect_state()
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_SECONDS) as raw:
            _run_handshake(connection, raw, connection.do_handshake)
            if host not in _names(met[-1]):
                return Visit(accepted=False, sha256=_fingerprint(met), reason="the certificate is for another host")
            request = f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
            _run_handshake(connection, raw, lambda: connection.sendall(request))
            answer = _run_handshake(connection, raw, lambda: connection.recv(_CHUNK))
    except SSL.Error as error:
        return Visit(accepted=False, sha256=_fingerprint(met), reason=_reason(error, why))
    except OSError as error:
        return Visit(accepted=False, sha256=_fingerprint(met), reason=f"no connection: {error.strerror or error}")
    ok = answer.startswith(b"HTTP/1.") and b" 200 " in answer[:20]
    return Visit(
        accepted=ok,
        sha256=_fingerprint(met),
        reason="" if ok else f"no answer: {answer[:40].decode('latin-1')}",
    )


def _run_handshake(connection: SSL.Connection, raw: socket.socket, act: Callable[[], T]) -> T:
    """Transfer bytes between the connection and the socket until *act* succeeds; return its result."""
    while True:
        try:
            result = act()
        except SSL.WantReadError:
            _flush(connection, raw)
            data = raw.recv(_CHUNK)
            if not data:
                raise SSL.Error([("", "", "the connection was closed")]) from None
            connection.bio_write(data)
        except SSL.Error:
            _flush(connection, raw)  # sends the alert with the refusal to the server
            raise
        else:
            _flush(connection, raw)
            return result


def _reason(error: SSL.Error, errors: Sequence[str]) -> str:
    if errors:
        return errors[0]
    details = error.args[0] if error.args else []
    return str(details[0][2]) if details else "the connection was closed"


def _flush(connection: SSL.Connection, raw: socket.socket) -> None:
    try:
        while True:
            raw.sendall(connection.bio_read(_CHUNK))
    except SSL.WantReadError:
        pass


def _fingerprint(chain: Sequence[x509.Certificate]) -> str:
    return chain[-1].fingerprint(hashes.SHA256()).hex() if chain else ""


def _names(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)
