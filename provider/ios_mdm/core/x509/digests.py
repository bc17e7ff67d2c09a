"""Digests that identify certificates, roots and chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

__all__ = ["chain_digest", "fingerprint", "root_digest"]


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate in DER, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def root_digest(root: x509.Certificate) -> str:
    """Return the SHA-256 of the subject followed by the SubjectPublicKeyInfo, both DER, 64 hex digits.

    A root that is renewed with the same name and key keeps its digest (R24). The concatenation is unambiguous, because
    DER contains its own length.
    """
    digest = hashes.Hash(hashes.SHA256())
    digest.update(root.subject.public_bytes())
    digest.update(root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def chain_digest(certificates: Iterable[x509.Certificate]) -> str:
    """Return a digest of a chain, leaf first, in which repeated certificates count once: 16 hex digits.

    The digest only distinguishes a changed file from an unchanged one. The first quarter of a SHA-256 is enough for
    this and fits into a tag.
    """
    digest = hashes.Hash(hashes.SHA256())
    for certificate in dict.fromkeys(certificates):
        digest.update(certificate.public_bytes(Encoding.DER))
    return digest.finalize().hex()[:16]
