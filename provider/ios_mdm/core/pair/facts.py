"""The public facts that a pair keeps of each of its certificates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CertificateFacts", "Source"]


class Source(StrEnum):
    """Where a certificate comes from (R1)."""

    ISSUED = "issued"
    INSTALLED = "installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """The public facts of one certificate of a pair, small enough for a tag.

    Args:
        ordinal: the certificate's number in its pair, from 1, never used again.
        source: issued or installed.
        generation: of the request that it answers.
        not_before: start of validity, aware UTC.
        not_after: end of validity, inclusive (RFC 5280, 4.1.2.5), aware UTC.
        sha256: fingerprint of the leaf's DER, 64 hex digits.
        root: SHA-256 over the root's subject and public key, 64 hex digits: equal for a renewed root (R24).
        chain: of a custom certificate, digest of the leaf with all above it, 16 hex digits; empty where it is not on
            record, and for an issued one, whose root never changes.
    """

    ordinal: int
    source: Source
    generation: int
    not_before: datetime
    not_after: datetime
    sha256: str
    root: str
    chain: str = ""
