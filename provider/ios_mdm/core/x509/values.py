"""Public details of a certificate, and a certificate with its private key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CertificateDetails", "Credential"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateDetails:
    """Public details of a certificate (R14). Times are aware UTC.

    Args:
        subject: RFC 4514 name.
        issuer: RFC 4514 name.
        sans: DNS names of the subjectAltName.
        serial_number: lower-case hex without leading zeros.
        sha256: fingerprint of the leaf, 64 hex digits.
        root: RFC 4514 name of the root, which devices trust; None if it is unknown.
        root_sha256: fingerprint of the root, 64 hex digits; None if it is unknown.
        key: type and size of the key, for example ``RSA 4096`` or ``EC P-256``.
        not_before: start of validity.
        not_after: end of validity, inclusive.
    """

    subject: str
    issuer: str
    sans: tuple[str, ...]
    serial_number: str
    sha256: str
    root: str | None
    root_sha256: str | None
    key: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credential:
    """A certificate with its private key and its root, as one version of a pair's secret stores them.

    Args:
        certificate: PEM of the leaf and its issuers; the root is included only if the leaf is the root.
        private_key: PKCS#8 PEM, unencrypted. Lives in memory and in Secrets Manager only (R29).
        root: PEM of the root of the chain.
        sha256: fingerprint of the leaf, 64 hex digits.
    """

    certificate: str
    private_key: str
    root: str
    sha256: str

    @property
    def chain(self) -> str:
        """PEM of the leaf, its issuers and its root."""
        return self.certificate + ("" if self.root in self.certificate else self.root)

    def __repr__(self) -> str:
        """Return the fingerprint only, never the key."""
        return f"Credential(sha256={self.sha256})"
