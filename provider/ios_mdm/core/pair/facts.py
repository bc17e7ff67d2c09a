"""The public facts that a pair records about each of its certificates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CertificateFacts", "Source", "trust_anchor"]


class Source(StrEnum):
    """Whether a certificate was issued, or is a custom certificate that was installed (R1)."""

    ISSUED = "issued"
    INSTALLED = "installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """The public facts of one certificate of a pair, small enough for a tag.

    Args:
        ordinal: number of the certificate in its pair, from 1; no number is used twice.
        source: issued or installed.
        generation: value of ``generation`` in the definition that requested the certificate; 1 if it is custom.
        not_before: start of validity, aware UTC.
        not_after: end of validity, inclusive (RFC 5280, 4.1.2.5), aware UTC.
        sha256: fingerprint of the leaf's DER, 64 hex digits.
        root: SHA-256 over the root's subject and public key, 64 hex digits; a renewed root has the same (R24).
        chain: digest of a custom certificate and its issuers, 16 hex digits; empty if it is not recorded, and for an
            issued certificate, whose root never changes.
    """

    ordinal: int
    source: Source
    generation: int
    not_before: datetime
    not_after: datetime
    sha256: str
    root: str
    chain: str = ""

    @property
    def anchor(self) -> str:
        """Digest of what devices trust the certificate by, as in :func:`trust_anchor`."""
        return trust_anchor(self.sha256, self.root, self.chain)


def trust_anchor(sha256: str, root: str, chain: str) -> str:
    """Return the digest of what devices trust a certificate by: its root, or its fingerprint if it is its own root.

    A certificate that is its own root can be renewed with the same name and key. Devices that trust the former
    certificate do not trust the renewed one, because no CA has issued it.

    Args:
        sha256: fingerprint of the leaf, 64 hex digits.
        root: digest of the root, 64 hex digits.
        chain: digest of the leaf and its issuers, 16 hex digits; empty if it is not recorded. Without issuers, it is
            the start of the fingerprint.
    """
    return sha256 if chain and sha256.startswith(chain) else root
