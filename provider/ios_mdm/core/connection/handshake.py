"""The observed properties of a TLS handshake with a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

__all__ = ["Handshake", "Protocol", "Refusal"]


class Protocol(IntEnum):
    """Protocol version, by its number in a handshake."""

    SSL_3_0 = 0x0300
    TLS_1_0 = 0x0301
    TLS_1_1 = 0x0302
    TLS_1_2 = 0x0303
    TLS_1_3 = 0x0304

    def __str__(self) -> str:
        """Return the usual name, such as ``TLS 1.2``."""
        return self.name.replace("_", " ", 1).replace("_", ".")


class Refusal(StrEnum):
    """Kind of a refusal of the handshake that offers only what App Transport Security accepts."""

    VERSION = "version"
    """The server has neither TLS 1.2 nor a later version."""
    PARAMETERS = "parameters"
    """The server has no cipher suite, signature algorithm or curve in common with the offer, or ignored the offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """The properties of a handshake.

    The first handshake offers only protocol versions and cipher suites that App Transport Security (ATS) accepts. If
    the server refuses it, a second one offers everything that the library has.

    Args:
        protocol: protocol version that the server chose; None if the server chose none.
        cipher: OpenSSL's name of the cipher suite that the server chose; empty if unknown.
        has_extended_master_secret: whether the server supports the extended master secret (RFC 7627); None if unknown.
            TLS 1.3 does not use it.
        refusal: kind of the refusal of the first handshake; None if the server did not refuse it.
        reason: OpenSSL's reason of the refusal; empty if there is no refusal.
        certificate: DER of the leaf; None if the handshake was not completed.
    """

    protocol: Protocol | None
    cipher: str = ""
    has_extended_master_secret: bool | None = None
    refusal: Refusal | None = None
    reason: str = ""
    certificate: bytes | None = field(default=None, repr=False)
