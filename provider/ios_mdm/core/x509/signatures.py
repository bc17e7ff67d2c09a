"""Verifies who signed a certificate, with any hash. Weak hashes are accepted here: R27 refuses or reports them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["has_name_of", "is_self_signed", "is_signed_by"]

_UNUSABLE = (ValueError, TypeError, UnsupportedAlgorithm)
_WEAK = (hashes.SHA1, hashes.MD5)


def has_name_of(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether the issuer name of a certificate equals the subject of *issuer*, byte for byte."""
    return certificate.issuer.public_bytes() == issuer.subject.public_bytes()


@lru_cache(maxsize=4096)  # more certificates than a file has: each root is verified several times
def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether the key of *issuer* verifies the signature of a certificate. Names are not compared."""
    try:
        algorithm = certificate.signature_hash_algorithm
        if has_name_of(certificate, issuer) and not isinstance(algorithm, _WEAK):
            certificate.verify_directly_issued_by(issuer)
        else:
            _verify(certificate, algorithm, issuer)
    except (*_UNUSABLE, InvalidSignature):
        return False
    return True


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Return whether a certificate is a root: issuer and subject are equal, and its own key verifies its signature."""
    return has_name_of(certificate, certificate) and is_signed_by(certificate, certificate)


def _verify(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm | None, issuer: x509.Certificate) -> None:
    """Verify a signature that the library refuses to verify: one with a weak hash (R27), or with differing names.

    Raises:
        InvalidSignature: Another key made the signature.
        ValueError: The rules refuse this type of signature.
    """
    key, parameters = issuer.public_key(), certificate.signature_algorithm_parameters
    signature, content = certificate.signature, certificate.tbs_certificate_bytes
    if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
        scheme = parameters if isinstance(parameters, padding.PSS) else padding.PKCS1v15()
        key.verify(signature, content, scheme, algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
        key.verify(signature, content, ec.ECDSA(algorithm))
    else:
        raise ValueError
