"""The form of a certificate's public key, read from the bytes of its SubjectPublicKeyInfo.

The library's key objects hide differences that clients see: an RSASSA-PSS key looks like RSA, explicit curve parameters
look like a named curve, and a compressed point looks like an uncompressed one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.x509.oid import PublicKeyAlgorithmOID

from ios_mdm.core import der

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["CURVES", "KeyForm", "key_form"]

CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
"""Usual names of the allowed curves, by the names of the library."""

# The AlgorithmIdentifier of each allowed key (RFC 3279, 2.3.1; RFC 5480, 2.1.1), and the octets of a coordinate.
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
_RSA_WITHOUT_PARAMETERS = bytes.fromhex("300b06092a864886f70d010101")
_NAMED_CURVES = {
    bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"): 32,
    bytes.fromhex("301006072a8648ce3d020106052b81040022"): 48,
    bytes.fromhex("301006072a8648ce3d020106052b81040023"): 66,
}
_VERSION = der.context_tag(0)
_UNCOMPRESSED, _COMPRESSED = b"\4", (b"\2", b"\3")
_BEFORE_KEY = 5  # serial number, signature, issuer, validity, subject


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyForm:
    """Form of a public key.

    Args:
        name: noun phrase for a message, such as ``an RSASSA-PSS key``.
        is_allowed: whether TLS servers and devices can use the key.
        doubt: clause about clients that cannot read the key; empty if all of them can.
    """

    name: str
    is_allowed: bool
    doubt: str = ""


def key_form(certificate: x509.Certificate) -> KeyForm:
    """Return the form of the public key of a certificate."""
    algorithm, point = _algorithm_and_point(certificate)
    if algorithm == _RSA:
        return KeyForm(name="an RSA key", is_allowed=True)
    if algorithm == _RSA_WITHOUT_PARAMETERS:
        doubt = "which RFC 3279 requires: Go cannot read it"
        return KeyForm(name="an RSA key without the NULL parameters", is_allowed=True, doubt=doubt)
    octets = _NAMED_CURVES.get(algorithm)
    if octets is not None and point[:1] == _UNCOMPRESSED and len(point) == 1 + 2 * octets:
        return KeyForm(name="an EC key", is_allowed=True)
    if octets is not None and point[:1] in _COMPRESSED:
        doubt = "which clients need not support (RFC 5480, 2.2): Go cannot read it"
        return KeyForm(name="an EC key with a compressed point", is_allowed=True, doubt=doubt)
    return KeyForm(name=_description(certificate, algorithm), is_allowed=False)


def _algorithm_and_point(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Return the encoded AlgorithmIdentifier of the public key, and the octets of its bit string."""
    fields = der.parse(certificate.tbs_certificate_bytes).children()
    algorithm, point = fields[_BEFORE_KEY + (fields[0].tag == _VERSION)].children()
    return algorithm.encoding, point.content[1:]


def _description(certificate: x509.Certificate, algorithm: bytes) -> str:
    oid, key = certificate.public_key_algorithm_oid, certificate.public_key()
    if oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        return f"an RSASSA-PSS key ({oid.dotted_string})"
    if isinstance(key, ec.EllipticCurvePublicKey):
        if any(one.tag == der.SEQUENCE for one in der.parse(algorithm).children()[1:]):
            return f"an EC key with explicit parameters instead of the name of its curve ({key.curve.name})"
        form = " with a point of an unusual form" if key.curve.name in CURVES else ""
        return f"a key of type EC on {key.curve.name}{form}"
    if isinstance(key, dsa.DSAPublicKey):
        return "a key of type DSA"
    kind = type(key).__name__.removeprefix("_").removesuffix("PublicKey")
    return f"a key of type {kind} ({oid.dotted_string})"
