"""Who signed a certificate, whatever the hash is: a weak one is for the rules to refuse (R27), or to be adopted."""

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
    """Tell whether a certificate names *issuer* as its issuer, byte for byte."""
    return certificate.issuer.public_bytes() == issuer.subject.public_bytes()


@lru_cache(maxsize=256)  # of one judgement: the root of the current certificate is often that of the new one
def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the key of *issuer* verifies a certificate's signature; names do not matter."""
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
    """Tell whether a certificate is a root: issued under its own name, signed with the key that it certifies."""
    return has_name_of(certificate, certificate) and is_signed_by(certificate, certificate)


def _verify(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm | None, issuer: x509.Certificate) -> None:
    """Verify a signature where the library will not: its hash is one that R27 refuses, or the names differ.

    Raises:
        InvalidSignature: Another key made it.
        ValueError: It is of a kind that no rule would let pass anyway.
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
