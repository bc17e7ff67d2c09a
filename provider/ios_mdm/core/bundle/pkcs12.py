"""Reads PKCS#12 files (RFC 7292), also called PFX, of OpenSSL, Java, GnuTLS, NSS and Windows.

The library's reader supports one private key in a file, requires DER, and blocks the interpreter for all rounds that
the file demands. This reader declares the rounds first, checks the MAC, and then decrypts the contents.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.bundle import der, kdf
from ios_mdm.core.bundle.contents import Contents, SealedKey
from ios_mdm.core.bundle.kdf import Password
from ios_mdm.core.bundle.keys import encrypted_key
from ios_mdm.core.bundle.model import wrong_password_error
from ios_mdm.core.bundle.pbe import HASHES, read_encryption, read_pbkdf2, rounds, unseal, wrong_password
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ios_mdm.core.bundle.der import Node
    from ios_mdm.core.bundle.model import Budget
    from ios_mdm.core.bundle.pbe import Encryption

__all__ = ["is_pfx", "read_pfx", "read_pkcs7"]

_PKCS7 = "1.2.840.113549.1.7."
_DATA, _SIGNED, _ENVELOPED, _ENCRYPTED = (f"{_PKCS7}{number}" for number in (1, 2, 3, 6))
_BAG = "1.2.840.113549.1.12.10.1."
_KEY, _SHROUDED_KEY, _CERTIFICATE, _CRL, _SECRET, _NESTED = (f"{_BAG}{number}" for number in range(1, 7))
_VERSION = 3
_X509 = "1.2.840.113549.1.9.22.1"
_FRIENDLY_NAME = "1.2.840.113549.1.9.20"
_PBMAC1 = "1.2.840.113549.1.5.14"
_LONGEST_MAC_KEY = 64
_LONGEST_NAME = 64
_DEEPEST_NESTING = 4
_SKIPPED = {_CRL: "a revocation list", _SECRET: "a secret that is no private key"}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Mac:
    """Check of the integrity of the file: the rounds, the encodings of the password, and the function."""

    rounds: int
    ways: Callable[[Password], tuple[bytes, ...]]
    fits: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Safe:
    """A part of the file: bags that were not encrypted and are already read, or encrypted data."""

    contents: Contents
    data: bytes = b""
    encryption: Encryption | None = None


def is_pfx(node: Node) -> bool:
    """Return whether this is the outermost element of a PKCS#12 file, and not of a private key."""
    fields = node.fields(der.ANY, der.ANY)
    if (fields[0].tag, fields[1].tag) != (der.INTEGER, der.SEQUENCE):
        return False
    return fields[1].fields(der.OID)[0].oid().startswith(_PKCS7)


def read_pfx(node: Node, password: Password, budget: Budget) -> Contents:
    """Return the contents of the file. Its private keys are not decrypted yet, but their rounds are declared.

    Raises:
        BundleError: The password is wrong, the file needs too many rounds, or has an unsupported part.
        DerError: The file is damaged.
    """
    version, content, *rest = node.fields(der.INTEGER, der.SEQUENCE)
    if version.integer() != _VERSION:
        raise der.DerError
    authenticated = _data(content)
    mac = _mac(rest[0].expect(der.SEQUENCE), authenticated) if rest else None
    if mac is not None:
        budget.declare(mac.rounds)
    safes = [_safe(part, budget) for part in der.parse(authenticated).expect(der.SEQUENCE).children()]
    if mac is not None:
        _check(mac, password, budget)
    found = Contents(budget, encrypted=mac is not None)
    for safe in safes:
        found.add(safe.contents)
        if safe.encryption is not None:
            found.encrypted = True
            what = "the file's contents"
            bags = unseal(safe.data, safe.encryption, password, budget, what=what)
            _read_bags(bags, found, depth=0)
    if mac is None:
        found.notices.append("the file has no MAC: a changed file cannot be detected")
    return found


def read_pkcs7(node: Node) -> list[bytes]:
    """Return the certificates of a SignedData, DER (RFC 5652, 5.1)."""
    name, content = node.fields(der.OID, der.context_tag(0))[:2]
    if name.oid() != _SIGNED:
        raise wrong_password_error(
            "the PKCS#7 data holds no certificates: export the certificate with its key as PFX or PEM"
        )
    parts = content.fields(der.SEQUENCE)[0].children()
    sets = [part for part in parts if part.tag == der.context_tag(0)]
    return [element.encoding for part in sets for element in part.children() if element.tag == der.SEQUENCE]


def _data(content: Node) -> bytes:
    """Return the octets of a ContentInfo of the type data."""
    name, *rest = content.fields(der.OID)
    if name.oid() == _SIGNED:
        raise wrong_password_error(
            "the PFX file is protected by a signature, not by a password: export it with a password"
        )
    if name.oid() != _DATA or not rest:
        raise der.DerError
    return rest[0].expect(der.context_tag(0)).fields(der.ANY)[0].octets()


def _safe(part: Node, budget: Budget) -> _Safe:
    """Return one part of the file, and declare its rounds."""
    contents = Contents(budget)
    oid = part.fields(der.OID)[0].oid()
    if oid == _DATA:
        _read_bags(der.parse(_data(part)).expect(der.SEQUENCE), contents, depth=0)
        return _Safe(contents=contents)
    if oid == _ENVELOPED:
        raise wrong_password_error(
            "the PFX file is encrypted for a certificate, not with a password: export it with a password"
        )
    if oid != _ENCRYPTED:
        raise der.DerError
    encrypted = part.fields(der.OID, der.context_tag(0))[1].fields(der.SEQUENCE)[0]
    information = encrypted.fields(der.INTEGER, der.SEQUENCE)[1]
    algorithm, sealed = information.fields(der.OID, der.SEQUENCE, der.ANY)[1:3]
    encryption = read_encryption(algorithm)
    budget.declare(encryption.rounds)
    return _Safe(contents=contents, data=sealed.octets(), encryption=encryption)


def _read_bags(bags: Node, found: Contents, *, depth: int) -> None:
    """Add the certificates and keys in the bags."""
    if depth == _DEEPEST_NESTING:
        raise der.DerError
    for bag in bags.children():
        name, holder, *attributes = bag.expect(der.SEQUENCE).fields(der.OID, der.context_tag(0))
        oid, value = name.oid(), holder.fields(der.ANY)[0]
        if oid == _CERTIFICATE:
            kind, certificate = value.fields(der.OID, der.context_tag(0))[:2]
            if kind.oid() == _X509:
                found.add_certificate(certificate.fields(der.ANY)[0].octets())
            else:
                found.notices.append("the file holds a certificate that is not X.509; it was skipped")
        elif oid == _KEY:
            found.add_key(SealedKey(data=value.encoding, name=_friendly_name(attributes)))
        elif oid == _SHROUDED_KEY:
            found.add_key(encrypted_key(value.encoding, _friendly_name(attributes)))
        elif oid == _NESTED:
            _read_bags(value.expect(der.SEQUENCE), found, depth=depth + 1)
        else:
            found.notices.append(f"the file holds {_SKIPPED.get(oid, f'something of the type {oid}')}; it was skipped")


def _friendly_name(attributes: list[Node]) -> str | None:
    """Return a bag's friendly name without control characters."""
    for attribute in (one for each in attributes for one in each.expect(der.SET).children()):
        name, values = attribute.fields(der.OID, der.SET)[:2]
        for value in values.children() if name.oid() == _FRIENDLY_NAME else ():
            text = value.content.decode("utf-16-be", "replace")
            return printable(text, mark="")[:_LONGEST_NAME] or None
    return None


def _mac(node: Node, authenticated: bytes) -> _Mac:
    """Return the check of a password by the MAC of *authenticated*: RFC 7292, 4, or PBMAC1 (RFC 9579)."""
    digest_info, salt, *counts = node.fields(der.SEQUENCE, der.OCTET_STRING)
    algorithm, expected = digest_info.fields(der.SEQUENCE, der.OCTET_STRING)[:2]
    name = algorithm.fields(der.OID)[0].oid()
    if name == _PBMAC1:
        return _pbmac1(algorithm.fields(der.OID, der.SEQUENCE)[1], expected.octets(), authenticated)
    if name not in HASHES:
        raise _unknown_mac(name)
    count = rounds(counts[0]) if counts else 1

    def fits(password: bytes) -> bool:
        length = len(expected.octets())
        key = kdf.pkcs12_kdf(HASHES[name], password, salt.octets(), count, purpose=3, length=length)
        return hmac.compare_digest(hmac.digest(key, authenticated, HASHES[name]), expected.octets())

    return _Mac(rounds=count, ways=Password.pkcs12, fits=fits)


def _pbmac1(parameters: Node, expected: bytes, authenticated: bytes) -> _Mac:
    derivation, scheme = parameters.fields(der.SEQUENCE, der.SEQUENCE)[:2]
    pbkdf2, name = read_pbkdf2(derivation), scheme.fields(der.OID)[0].oid()
    if name not in HASHES:
        raise _unknown_mac(name)
    length = pbkdf2.length
    if length is None or not 0 < length <= _LONGEST_MAC_KEY:
        raise der.DerError

    def fits(password: bytes) -> bool:
        key = pbkdf2.derive(password, length)
        return hmac.compare_digest(hmac.digest(key, authenticated, HASHES[name]), expected)

    return _Mac(rounds=pbkdf2.rounds, ways=Password.octets, fits=fits)


def _check(mac: _Mac, password: Password, budget: Budget) -> None:
    """Check the password by the MAC of the file.

    Raises:
        BundleError: The password is wrong.
    """
    for number, way in enumerate(mac.ways(password)):
        if number and not budget.retry(mac.rounds):
            break
        if mac.fits(way):
            return
    raise wrong_password(password, "the file")


def _unknown_mac(name: str) -> Exception:
    return wrong_password_error(
        f"the file's integrity is protected with {name}, which is not supported: "
        "if you trust the file, convert it with: openssl pkcs12 -in FILE -out bundle.pem"
    )
