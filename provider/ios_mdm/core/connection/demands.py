"""Apple's requirements for the TLS connection between a device and its MDM server, and the violations of a server.

Sources: Apple 126655 (21 April 2026) says that its systems "might refuse" connections to servers without TLS 1.2 or
later, cipher suites that App Transport Security (ATS) accepts, and certificates that meet ATS. It names MDM, enrollment
and the installation of profiles. The list of cipher suites is that of Apple Platform Security, "TLS security": ECDHE
with AES in Galois/Counter Mode. An older list of ATS also has ECDHE with AES in CBC mode. ChaCha20-Poly1305 is in
neither list for TLS 1.2. The extended master secret is named by secondary sources about Apple 126655.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.connection.handshake import Protocol, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.connection.handshake import Handshake

__all__ = ["ATS_CIPHERS", "Article", "Demand", "Finding", "handshake_findings"]

ATS_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
"""OpenSSL's names of the cipher suites of TLS 1.2 that ATS accepts. Every cipher suite of TLS 1.3 is accepted."""


class Demand(StrEnum):
    """A requirement of Apple for a connection. The value is the code of its findings; it is stable."""

    PROTOCOL = "tls-version"
    CIPHER = "tls-cipher"
    MASTER_SECRET = "tls-master-secret"  # noqa: S105 - no password
    HANDSHAKE = "tls-handshake"
    KEY = "certificate-key"
    SIGNATURE = "certificate-signature"
    VALIDITY = "certificate-validity"
    DATES = "certificate-dates"
    NAME = "certificate-name"
    PURPOSE = "certificate-purpose"
    FORM = "certificate-form"

    @property
    def is_of_certificate(self) -> bool:
        """Whether the presented certificate can violate the requirement, and not the handshake."""
        return self not in {Demand.PROTOCOL, Demand.CIPHER, Demand.MASTER_SECRET, Demand.HANDSHAKE}


class Article(StrEnum):
    """Number of the article of Apple's support that states a requirement."""

    STRICTER_SECURITY = "126655"
    """Requirements that Apple announced on 21 April 2026: OS 27 and later might refuse the connection."""
    TRUSTED_CERTIFICATES = "103769"
    """Requirements for the certificates of TLS servers since iOS 13."""

    @property
    def effect(self) -> str:
        """The consequence of a violation, a clause without its object."""
        return (
            "OS 27 might refuse connections to" if self is Article.STRICTER_SECURITY else "iOS refuses connections to"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A requirement that an endpoint violates.

    Args:
        demand: the requirement.
        found: property that violates it, a noun phrase.
        required: property that Apple requires, a noun phrase.
        article: article of Apple that states the requirement.
        remedy: next step, a sentence without a full stop.
    """

    demand: Demand
    found: str
    required: str
    article: Article
    remedy: str

    def message(self, endpoints: str) -> str:
        """Return the text for the user: effect, cause and remedy.

        Args:
            endpoints: endpoints with this finding, as a text.
        """
        return (
            f"{self.article.effect} {endpoints} (Apple {self.article}): found {self.found}; required: {self.required}. "
            f"{self.remedy} (docs/connection.md)"
        )


def handshake_findings(handshake: Handshake) -> tuple[Finding, ...]:
    """Return the requirements for protocol version, cipher suite and key exchange that a server violates."""
    return tuple(_findings(handshake))


def _findings(handshake: Handshake) -> Iterator[Finding]:
    protocol, refusal = handshake.protocol, handshake.refusal
    if (protocol is None and refusal is Refusal.VERSION) or (protocol is not None and protocol < Protocol.TLS_1_2):
        older = "a refusal of TLS 1.2 and TLS 1.3" if protocol is None else str(protocol)
        yield _violation(Demand.PROTOCOL, older, "TLS 1.2 or later", "Enable TLS 1.2 and TLS 1.3 on the server")
        return
    is_other_cipher = protocol is Protocol.TLS_1_2 and handshake.cipher not in ATS_CIPHERS
    if is_other_cipher:
        yield _violation(
            Demand.CIPHER,
            f"{protocol} with the cipher suite {handshake.cipher}",
            "TLS 1.3, or ECDHE with AES-GCM",
            "Enable TLS 1.3, or such a cipher suite for the type of the server's key",
        )
    if protocol is Protocol.TLS_1_2 and handshake.has_extended_master_secret is False:
        yield _violation(
            Demand.MASTER_SECRET,
            f"{protocol} without the extended master secret",
            "TLS 1.3, or the extension extended_master_secret (RFC 7627)",
            "Enable TLS 1.3, or update the TLS library of the server",
        )
    if refusal is not None and not is_other_cipher:
        yield _violation(
            Demand.HANDSHAKE,
            f"a refusal of a handshake that offers only what ATS accepts ({handshake.reason})",
            "a cipher suite, a signature algorithm and a curve in common",
            "Check the cipher suites, signature algorithms and curves of the server, and the key of its certificate",
        )


def _violation(demand: Demand, found: str, required: str, remedy: str) -> Finding:
    return Finding(demand=demand, found=found, required=required, article=Article.STRICTER_SECURITY, remedy=remedy)
