"""Public keys in forms that the library reads, but other implementations do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

__all__ = ["private_key_in_form", "public_key_in_form", "tlv"]

_EC_KEY = bytes.fromhex("06072a8648ce3d0201")
_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
_PSS = bytes.fromhex("300b06092a864886f70d01010a")
_NO_PARAMETERS = bytes.fromhex("300b06092a864886f70d010101")
_PRIME = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
_A = "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"
_B = "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"
_SEED = "c49d360886e704936a6678e1139d26b7819f7e90"
_G = (
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_ORDER = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"


def tlv(tag: int, content: bytes) -> bytes:
    """Return a DER element."""
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def public_key_in_form(public: PublicKeyTypes, form: str) -> bytes:
    """Return the SubjectPublicKeyInfo of an RSA or P-256 key.

    Args:
        public: the key.
        form: ``explicit``, ``compressed`` or ``hybrid`` for P-256, ``pss`` or ``no parameters`` for RSA.
    """
    usual = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = usual[-65:]
    even_or_odd = point[-1] & 1
    forms = {
        "explicit": lambda: tlv(0x30, tlv(0x30, _EC_KEY + _parameters()) + tlv(3, b"\0" + point)),
        "compressed": lambda: tlv(0x30, _P256 + tlv(3, bytes((0, 2 + even_or_odd)) + point[1:33])),
        "hybrid": lambda: tlv(0x30, _P256 + tlv(3, bytes((0, 6 + even_or_odd)) + point[1:])),
        "pss": lambda: tlv(0x30, _PSS + usual[usual.index(_RSA) + len(_RSA) :]),
        "no parameters": lambda: tlv(0x30, _NO_PARAMETERS + usual[usual.index(_RSA) + len(_RSA) :]),
    }
    return forms[form]()


def private_key_in_form(private: PrivateKeyTypes, form: str) -> bytes:
    """Return the PKCS #8 of an RSA key as ``pss``, or of a P-256 key as ``explicit``."""
    usual = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    named, odd = (_RSA, _PSS) if form == "pss" else (_P256, tlv(0x30, _EC_KEY + _parameters()))
    start = usual.index(named)
    return tlv(0x30, usual[start - 3 : start] + odd + usual[start + len(named) :])


def _parameters() -> bytes:
    """Return the ECParameters of P-256 (SEC 1, C.2)."""
    prime_field = tlv(6, bytes.fromhex("2a8648ce3d0101"))
    field = tlv(0x30, prime_field + _integer(_PRIME))
    curve = tlv(0x30, tlv(4, bytes.fromhex(_A)) + tlv(4, bytes.fromhex(_B)) + tlv(3, b"\0" + bytes.fromhex(_SEED)))
    return tlv(0x30, _integer("01") + field + curve + tlv(4, bytes.fromhex(_G)) + _integer(_ORDER) + _integer("01"))


def _integer(text: str) -> bytes:
    value = bytes.fromhex(text)
    return tlv(2, b"\0" * (value[0] >> 7) + value)
