"""Makes TLS handshakes with a server, first with what App Transport Security (ATS) accepts, then with everything.

Nothing is verified, because an expired or unknown certificate must be reported, too. No request is sent.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.connection.demands import ATS_CIPHERS
from ios_mdm.core.connection.handshake import Handshake, Protocol, Refusal
from ios_mdm.core.connection.hello import EXTENDED_MASTER_SECRET, server_hello

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["Outcome", "handshake_outcome", "reason_text", "seconds_left"]

_TLS_RECORDS = (b"\x15", b"\x16")
"""First octet of the answer of a TLS server: an alert, or a handshake message."""
_VERSION_REFUSALS = frozenset({"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION"})
_FAILURES = frozenset(
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLS_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY"}
)
"""Alerts of a server that finds nothing in common. OpenSSL 4 has the second name for the first one."""
_PROTOCOLS = {int(one): one for one in Protocol}
_LEGACY_SERVER_CONNECT = ssl.Options(0x4)
"""``SSL_OP_LEGACY_SERVER_CONNECT`` of OpenSSL: ``ssl`` has no name for it before Python 3.12."""
_MAX_KEPT = 1 << 17
"""Limit for the received octets that are kept to read the ServerHello."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of the handshakes with a server.

    Args:
        handshake: properties of the handshake; None if the server did not answer as a TLS server.
        certificate: DER of the leaf; None if no handshake was completed.
        error: why no handshake was completed; None if one was.
    """

    handshake: Handshake | None
    certificate: bytes | None = None
    error: ssl.SSLError | ConnectionError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """Result of one handshake.

    Args:
        received: octets of the server, from the start of the connection.
        ciphers: OpenSSL's name of each cipher suite that was offered, by its number.
        certificate: as in :class:`Outcome`.
        error: as in :class:`Outcome`.
    """

    received: bytes
    ciphers: dict[int, str]
    certificate: bytes | None = None
    error: ssl.SSLError | ConnectionError | None = None

    @property
    def reason(self) -> str:
        """OpenSSL's code of the error; empty if the connection was closed, or if there is no error."""
        return (self.error.reason or "") if isinstance(self.error, ssl.SSLError) else ""

    @property
    def is_answer_of_tls_server(self) -> bool:
        """Whether another offer can have another result: the server uses TLS, or closed the connection silently."""
        return not self.received or self.received.startswith(_TLS_RECORDS)

    @property
    def refusal(self) -> Refusal | None:
        """Kind of the refusal; None if there is no error, or if the connection was closed."""
        if not self.reason:
            return None
        return Refusal.VERSION if self.reason in _VERSION_REFUSALS else Refusal.PARAMETERS

    def handshake(self, first: _Attempt | None = None) -> Handshake | None:
        """Return the properties of the handshake; None if the server made no choice.

        Args:
            first: handshake before this one that the server refused; None if this is the first one.
        """
        hello = server_hello(self.received)
        protocol = None if hello is None else _PROTOCOLS.get(hello.version)
        if hello is None or protocol is None:
            return None
        has_secret = EXTENDED_MASTER_SECRET in hello.extensions
        return Handshake(
            protocol=protocol,
            cipher=self.ciphers.get(hello.cipher, f"0x{hello.cipher:04X}"),
            has_extended_master_secret=has_secret if protocol < Protocol.TLS_1_3 else None,
            refusal=None if first is None else first.refusal,
            reason="" if first is None else reason_text(first.reason),
            certificate=self.certificate,
        )


def handshake_outcome(host: str, connect: Callable[[], socket.socket], deadline: float) -> Outcome:
    """Make a handshake with the offer of an ATS client, and a second one if the server refuses it.

    Args:
        host: server name (SNI).
        connect: opens a connection to the server.
        deadline: end of the time limit for all connections, as a monotonic time.

    Raises:
        OSError: There is no connection, or no answer in time.
        ValueError: The server name is not valid.
    """
    first = _attempt(host, connect, _ats_context(), deadline)
    if first.certificate is not None or not first.is_answer_of_tls_server:
        return Outcome(handshake=first.handshake(), certificate=first.certificate, error=first.error)
    try:
        second = _attempt(host, connect, _widest_context(), deadline)
    except OSError:
        second = None
    if second is not None and second.certificate is not None:
        return Outcome(handshake=second.handshake(first), certificate=second.certificate)
    found = first.handshake()
    if found is None and second is not None:
        found = second.handshake(first)
    if found is None and first.reason in _VERSION_REFUSALS | _FAILURES:
        found = Handshake(protocol=None, refusal=first.refusal, reason=reason_text(first.reason))
    return Outcome(handshake=found, error=first.error)


def reason_text(code: str) -> str:
    """Return a code of OpenSSL as a text, such as ``tlsv1 alert protocol version``."""
    return code.lower().replace("_", " ")


def seconds_left(deadline: float) -> float:
    """Return the time until *deadline*.

    Raises:
        TimeoutError: The deadline has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _attempt(host: str, connect: Callable[[], socket.socket], context: ssl.SSLContext, deadline: float) -> _Attempt:
    # Memory buffers, because the timeout of a socket starts again with each byte that arrives.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    ciphers = {one["id"] & 0xFFFF: one["name"] for one in context.get_ciphers()}
    received = b""
    with connect() as raw:
        try:
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                else:
                    return _Attempt(received=received, ciphers=ciphers, certificate=tls.getpeercert(binary_form=True))
                raw.settimeout(seconds_left(deadline))
                raw.sendall(outgoing.read())
                data = raw.recv(16384)
                if not data:
                    raise ConnectionResetError
                received += data[: _MAX_KEPT - len(received)]
                incoming.write(data)
        except (ssl.SSLError, ConnectionError) as error:
            return _Attempt(received=received, ciphers=ciphers, error=error)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Whether devices connect to a server without secure renegotiation (RFC 5746) is not part of Apple's requirements.
    context.options |= _LEGACY_SERVER_CONNECT
    return context


def _ats_context() -> ssl.SSLContext:
    """Return a context that offers only what ATS accepts. Security level 1 leaves out signatures with SHA-1."""
    context = _context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join((*ATS_CIPHERS, "@SECLEVEL=1")))
    return context


def _widest_context() -> ssl.SSLContext:
    """Return a context that offers everything that the library has, so that the certificate can be read."""
    context = _context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers(":".join((*ATS_CIPHERS, "ALL:COMPLEMENTOFALL:!ADH:!AECDH:!eNULL:!PSK:!SRP:@SECLEVEL=0")))
    return context
