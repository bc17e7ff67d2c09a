"""Reads the structure of PKCS #12, PKCS #8 and PKCS #7 without decrypting anything, in DER and BER.

The numbers of key derivation rounds are read here before the library derives a key. Rounds in an encrypted part are not
visible; for these, the process that opens the part has a limit of processor time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core import der
from ios_mdm.core.bundle.model import MAX_ROUNDS, unreadable_error

if TYPE_CHECKING:
    from ios_mdm.core.der import Node

__all__ = ["PfxOutline", "is_pfx", "key_rounds", "pfx_outline", "read_pkcs7"]

_PKCS7 = "1.2.840.113549.1.7."
_DATA, _SIGNED, _ENVELOPED, _ENCRYPTED = (f"{_PKCS7}{number}" for number in (1, 2, 3, 6))
_BAG = "1.2.840.113549.1.12.10.1."
_KEY, _SHROUDED_KEY, _NESTED = (f"{_BAG}{number}" for number in (1, 2, 6))
_MAX_DEPTH = 4
_PBMAC1 = "1.2.840.113549.1.5.14"
_PBES2, _SCRYPT = "1.2.840.113549.1.5.13", "1.3.6.1.4.1.11591.4.11"
_MAX_SCRYPT_BLOCKS = 1 << 21  # of 128 octets: 256 MiB of memory


@dataclass(slots=True, repr=False)
class PfxOutline:
    """The visible structure of a PKCS #12 file.

    Args:
        rounds: rounds of key derivation that the visible parts need.
        keys: number of private keys outside encrypted parts.
        has_hidden_parts: whether parts are encrypted as a whole, so that they can contain more private keys.
        is_protected: whether the file has a MAC or an encrypted part, so that a password is checked.
        is_whole: whether every visible part has the expected structure.
    """

    rounds: int = 0
    keys: int = 0
    has_hidden_parts: bool = False
    is_protected: bool = False
    is_whole: bool = True

    @property
    def has_one_key(self) -> bool:
        """Whether the file certainly has at most one private key."""
        return self.is_whole and not self.has_hidden_parts and self.keys <= 1


def is_pfx(node: Node) -> bool:
    """Return whether this is the outermost element of a PKCS #12 file, and not of a private key."""
    fields = node.fields(der.ANY, der.ANY)
    if (fields[0].tag, fields[1].tag) != (der.INTEGER, der.SEQUENCE):
        return False
    return fields[1].fields(der.OID)[0].oid().startswith(_PKCS7)


def pfx_outline(node: Node) -> PfxOutline:
    """Return the structure of a PKCS #12 file as far as it is visible.

    An unexpected structure is not an error, because the library decides whether it can read the file.

    Raises:
        BundleError: The file is protected by a signature or for a certificate, and not by a password.
    """
    found = PfxOutline()
    try:
        _, content, *rest = node.fields(der.INTEGER, der.SEQUENCE)
        if rest:
            found.is_protected = True
            found.rounds += _mac_rounds(rest[0])
        for safe in der.parse(_content(content)).children():
            _add_safe(safe, found)
    except der.DerError:
        found.is_whole = False
    return found


def key_rounds(node: Node) -> int:
    """Return the rounds of key derivation of an EncryptedPrivateKeyInfo (RFC 5958, 3).

    Raises:
        DerError: The structure is not the expected one.
    """
    return _rounds(node.expect(der.SEQUENCE).fields(der.SEQUENCE, der.OCTET_STRING)[0])


def read_pkcs7(node: Node) -> list[bytes]:
    """Return the certificates of a SignedData, DER (RFC 5652, 5.1)."""
    name, content = node.fields(der.OID, der.context_tag(0))[:2]
    if name.oid() != _SIGNED:
        raise unreadable_error(
            "the PKCS#7 data holds no certificates: export the certificate with its key as PFX or PEM"
        )
    parts = content.fields(der.SEQUENCE)[0].children()
    sets = [part for part in parts if part.tag == der.context_tag(0)]
    return [element.encoding for part in sets for element in part.children() if element.tag == der.SEQUENCE]


def _content(info: Node) -> bytes:
    """Return the octets of a ContentInfo of the type data."""
    name, *rest = info.fields(der.OID)
    if name.oid() == _SIGNED:
        raise unreadable_error("the PFX file is protected by a signature, not by a password: export it with a password")
    if name.oid() != _DATA or not rest:
        raise der.DerError
    return rest[0].expect(der.context_tag(0)).fields(der.ANY)[0].octets()


def _add_safe(safe: Node, found: PfxOutline) -> None:
    oid = safe.fields(der.OID)[0].oid()
    if oid == _ENVELOPED:
        raise unreadable_error(
            "the PFX file is encrypted for a certificate, not with a password: export it with a password"
        )
    if oid == _ENCRYPTED:
        found.is_protected = found.has_hidden_parts = True
        encrypted = safe.fields(der.OID, der.context_tag(0))[1].fields(der.SEQUENCE)[0]
        information = encrypted.fields(der.INTEGER, der.SEQUENCE)[1]
        found.rounds += _rounds(information.fields(der.OID, der.SEQUENCE)[1])
    else:
        _add_bags(der.parse(_content(safe)), found, depth=0)


def _add_bags(bags: Node, found: PfxOutline, *, depth: int) -> None:
    if depth == _MAX_DEPTH:
        raise der.DerError
    for bag in bags.children():
        name, holder = bag.fields(der.OID, der.context_tag(0))[:2]
        oid, value = name.oid(), holder.fields(der.ANY)[0]
        found.keys += oid in {_KEY, _SHROUDED_KEY}
        if oid == _SHROUDED_KEY:
            found.is_protected = True
            found.rounds += key_rounds(value)
        elif oid == _NESTED:
            _add_bags(value, found, depth=depth + 1)


def _mac_rounds(mac: Node) -> int:
    """Return the rounds of a MacData: RFC 7292, 4, or PBMAC1 (RFC 9579)."""
    digest, _, *counts = mac.fields(der.SEQUENCE, der.OCTET_STRING)
    algorithm = digest.fields(der.SEQUENCE)[0]
    name, *parameters = algorithm.fields(der.OID)
    if name.oid() == _PBMAC1:
        return _derivation_rounds(parameters[0].fields(der.SEQUENCE)[0]) if parameters else 0
    return _count(counts[0]) if counts else 1


def _rounds(algorithm: Node) -> int:
    """Return the rounds of an encryption: PBES2, PBES1 (RFC 8018), or that of PKCS #12 (RFC 7292, appendix C)."""
    name, parameters = algorithm.fields(der.OID, der.ANY)[:2]
    if name.oid() == _PBES2:
        return _derivation_rounds(parameters.fields(der.SEQUENCE)[0])
    return _count(parameters.fields(der.OCTET_STRING, der.INTEGER)[1])


def _derivation_rounds(derivation: Node) -> int:
    """Return the rounds of PBKDF2, or the rounds of PBKDF2 with about the cost of scrypt."""
    name, parameters = derivation.fields(der.OID, der.SEQUENCE)[:2]
    if name.oid() != _SCRYPT:
        return _count(parameters.fields(der.OCTET_STRING, der.INTEGER)[1])
    costs = parameters.fields(der.OCTET_STRING, der.INTEGER, der.INTEGER, der.INTEGER)[1:4]
    n, r, p = map(_count, costs)
    return n * r * p if n * r <= _MAX_SCRYPT_BLOCKS else MAX_ROUNDS + 1


def _count(node: Node) -> int:
    """Return a number of rounds, at least 1."""
    count = node.integer()
    if count < 1:
        raise der.DerError
    return count
