"""Digests by which certificates, roots and chains are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

__all__ = ["chain_digest", "fingerprint", "root_digest"]


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def root_digest(root: x509.Certificate) -> str:
    """Return the SHA-256 over the subject's DER and then the SubjectPublicKeyInfo's, 64 hex digits.

    A root that is renewed under its name and key has the digest of the old one (R24). Both parts are DER, which
    carries its own length, so no other pair of them has the same concatenation.
    """
    digest = hashes.Hash(hashes.SHA256())
    digest.update(root.subject.public_bytes())
    digest.update(root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def chain_digest(certificates: Iterable[x509.Certificate]) -> str:
    """Return a digest over a chain, from the leaf up to its root, each certificate once: 16 hex digits.

    It distinguishes a changed file from an unchanged one, and nothing is trusted because of it: the first quarter of a
    SHA-256, which a tag has room for, is enough.
    """
    digest = hashes.Hash(hashes.SHA256())
    for certificate in dict.fromkeys(certificates):
        digest.update(certificate.public_bytes(Encoding.DER))
    return digest.finalize().hex()[:16]
