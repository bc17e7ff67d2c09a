"""Password-based encryption: the scheme, the number of rounds, and the plaintext.

The schemes are PBES1 and PBES2 of RFC 8018, the scheme of PKCS#12 in RFC 7292 (appendix C), and the headers of
OpenSSL's old key files. The library's readers are not used: they do not report the number of rounds in advance, support
only one encoding of a password, and panic on some damaged headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ios_mdm.core.bundle import ciphers, der, kdf
from ios_mdm.core.bundle.kdf import Password
from ios_mdm.core.bundle.library import attempt
from ios_mdm.core.bundle.model import MAX_ROUNDS, BundleError, wrong_password_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ios_mdm.core.bundle.der import Node
    from ios_mdm.core.bundle.model import Budget

__all__ = [
    "HASHES",
    "Encryption",
    "Pbkdf2",
    "header_encryption",
    "read_encryption",
    "read_pbkdf2",
    "rounds",
    "unseal",
    "wrong_password",
]

HASHES = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    # the same as HMAC, for PBKDF2 and PBMAC1
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}

_PBES2, _PBKDF2, _SCRYPT = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
_RC2_CBC = "1.2.840.113549.3.2"
_RC2_VERSIONS = {160: 40, 120: 64, 58: 128}  # RFC 8018, appendix B.2.3
_RC2_LONGEST = 128
_SCRYPT_MOST_BLOCKS = 1 << 21  # of 128 octets: 256 MiB of memory

_Decrypt: TypeAlias = "Callable[[bytes, bytes, bytes], bytes | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cipher:
    """A cipher with the sizes of its key and IV, in octets."""

    key: int
    iv: int
    decrypt: _Decrypt


_DES, _DES_EDE, _DES_EDE3 = (_Cipher(key=size, iv=8, decrypt=ciphers.des) for size in (8, 16, 24))
_AES_128, _AES_192, _AES_256 = (_Cipher(key=size, iv=16, decrypt=ciphers.aes) for size in (16, 24, 32))

_PKCS12 = {
    "1.2.840.113549.1.12.1.1": _Cipher(key=16, iv=0, decrypt=ciphers.rc4),
    "1.2.840.113549.1.12.1.2": _Cipher(key=5, iv=0, decrypt=ciphers.rc4),
    "1.2.840.113549.1.12.1.3": _DES_EDE3,
    "1.2.840.113549.1.12.1.4": _DES_EDE,
    "1.2.840.113549.1.12.1.5": _Cipher(key=16, iv=8, decrypt=ciphers.rc2),
    "1.2.840.113549.1.12.1.6": _Cipher(key=5, iv=8, decrypt=ciphers.rc2),
}
_PBES1: dict[str, tuple[str, _Decrypt]] = {
    "1.2.840.113549.1.5.3": ("md5", ciphers.des),
    "1.2.840.113549.1.5.6": ("md5", ciphers.rc2),
    "1.2.840.113549.1.5.10": ("sha1", ciphers.des),
    "1.2.840.113549.1.5.11": ("sha1", ciphers.rc2),
}
_CIPHERS = {
    "2.16.840.1.101.3.4.1.2": _AES_128,
    "2.16.840.1.101.3.4.1.22": _AES_192,
    "2.16.840.1.101.3.4.1.42": _AES_256,
    "1.2.840.113549.3.7": _DES_EDE3,
    "1.3.14.3.2.7": _DES,
}
_HEADERS = {
    "AES-128-CBC": _AES_128,
    "AES-192-CBC": _AES_192,
    "AES-256-CBC": _AES_256,
    "DES-EDE3-CBC": _DES_EDE3,
    "DES-CBC": _DES,
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Encryption:
    """Encryption of a part of a file.

    Args:
        rounds: number of rounds of the key derivation.
        ways: returns the possible encodings of a password.
        decrypt: takes an encoded password and the ciphertext; returns None if the padding shows that it is wrong.
    """

    rounds: int
    ways: Callable[[Password], tuple[bytes, ...]]
    decrypt: Callable[[bytes, bytes], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Pbkdf2:
    """The parameters of PBKDF2; *length* only if they contain one."""

    algorithm: str
    salt: bytes
    rounds: int
    length: int | None

    def derive(self, password: bytes, length: int) -> bytes:
        """Return a key of this *length*."""
        return kdf.pbkdf2(self.algorithm, password, self.salt, self.rounds, length)


def unseal(data: bytes, encryption: Encryption, password: Password, budget: Budget, *, what: str) -> Node:
    """Return the SEQUENCE that is encrypted in *data*. The rounds of the first attempt are already declared.

    Raises:
        BundleError: The password is wrong.
    """
    for number, way in enumerate(encryption.ways(password)):
        if number and not budget.retry(encryption.rounds):
            break
        plain = encryption.decrypt(way, data)
        if plain is None:
            continue
        try:
            return der.parse(plain).expect(der.SEQUENCE)
        except der.DerError:
            continue
    raise wrong_password(password, what)


def wrong_password(password: Password, what: str) -> BundleError:
    """Return the error for a password that does not open *what*, or for one that is missing."""
    if password:
        return BundleError(
            f"the password does not open {what}: it is another one, or the file is damaged. "
            "Try it with: openssl pkcs12 -in FILE -noout, or for a PEM file: openssl pkey -in FILE -noout",
            code="bad-password",
        )
    return BundleError(
        f"{what} needs a password and none was given: name it as passwordSecret in the definition, "
        "or on the command line with --password-file",
        code="bad-password",
    )


def rounds(node: Node) -> int:
    """Return a count of rounds, at least 1."""
    count = node.integer()
    if count < 1:
        raise der.DerError
    return count


def read_encryption(algorithm: Node) -> Encryption:
    """Return the scheme that an AlgorithmIdentifier names.

    Raises:
        BundleError: The scheme is not supported.
        DerError: Its parameters are damaged.
    """
    name, parameters = algorithm.expect(der.SEQUENCE).fields(der.OID, der.ANY)[:2]
    oid = name.oid()
    if oid == _PBES2:
        return _pbes2(*parameters.fields(der.SEQUENCE, der.SEQUENCE)[:2])
    if oid not in _PKCS12 and oid not in _PBES1:
        raise _unknown(oid)
    salt, count = parameters.fields(der.OCTET_STRING, der.INTEGER)[:2]
    if oid in _PKCS12:
        return _pkcs12(_PKCS12[oid], salt.octets(), rounds(count))
    return _pbes1(*_PBES1[oid], salt.octets(), rounds(count))


def read_pbkdf2(algorithm: Node) -> Pbkdf2:
    """Return the parameters of an AlgorithmIdentifier that names PBKDF2."""
    name, parameters = algorithm.fields(der.OID, der.SEQUENCE)[:2]
    if name.oid() != _PBKDF2:
        raise _unknown(name.oid())
    salt, count, *options = parameters.fields(der.OCTET_STRING, der.INTEGER)
    lengths = [option.integer() for option in options if option.tag == der.INTEGER]
    hmacs = [option.fields(der.OID)[0].oid() for option in options if option.tag == der.SEQUENCE]
    algorithms = [HASHES[oid] for oid in hmacs if oid in HASHES]
    if len(algorithms) != len(hmacs):
        raise _unknown(hmacs[0])
    return Pbkdf2(
        algorithm=algorithms[0] if algorithms else "sha1",  # RFC 8018, appendix A.2: the default
        salt=salt.octets(),
        rounds=rounds(count),
        length=lengths[0] if lengths else None,
    )


def header_encryption(header: str) -> Encryption:
    """Return the scheme of a DEK-Info header, for example ``AES-256-CBC,`` and the IV in hex.

    Raises:
        BundleError: The scheme is not supported.
        DerError: Its IV is damaged.
    """
    name, _, text = header.partition(",")
    cipher = _HEADERS.get(name.strip())
    if cipher is None:
        raise _unknown("a cipher that its DEK-Info header names")
    iv = attempt(partial(bytes.fromhex, text))
    if iv is None or len(iv) != cipher.iv:
        raise der.DerError

    def decrypt(password: bytes, data: bytes) -> bytes | None:
        return cipher.decrypt(kdf.openssl_key(password, iv[:8], cipher.key), iv, data)

    return Encryption(rounds=1, ways=Password.octets, decrypt=decrypt)


def _pkcs12(cipher: _Cipher, salt: bytes, count: int) -> Encryption:
    def decrypt(password: bytes, data: bytes) -> bytes | None:
        derive = partial(kdf.pkcs12_kdf, "sha1", password, salt, count)
        iv = derive(purpose=2, length=cipher.iv) if cipher.iv else b""
        return cipher.decrypt(derive(purpose=1, length=cipher.key), iv, data)

    return Encryption(rounds=count, ways=Password.pkcs12, decrypt=decrypt)


def _pbes1(algorithm: str, cipher: _Decrypt, salt: bytes, count: int) -> Encryption:
    def decrypt(password: bytes, data: bytes) -> bytes | None:
        both = kdf.pbkdf1(algorithm, password, salt, count)
        return cipher(both[:8], both[8:], data)

    return Encryption(rounds=count, ways=Password.octets, decrypt=decrypt)


def _pbes2(derivation: Node, scheme: Node) -> Encryption:
    cipher, iv = _pbes2_cipher(scheme)
    if derivation.fields(der.OID)[0].oid() == _SCRYPT:
        count, derive, length = _scrypt(derivation)
    else:
        pbkdf2 = read_pbkdf2(derivation)
        count, derive, length = pbkdf2.rounds, pbkdf2.derive, pbkdf2.length
    # The length is the cipher's. Only RC2 takes any, and one that is longer than its 128 octets is refused.
    size = length if length is not None and not cipher.key else cipher.key or 16
    if (length or size) != size or not 0 < size <= _RC2_LONGEST:
        raise der.DerError

    def decrypt(password: bytes, data: bytes) -> bytes | None:
        key = attempt(partial(derive, password, size))
        return None if key is None else cipher.decrypt(key, iv, data)

    return Encryption(rounds=count, ways=Password.octets, decrypt=decrypt)


def _pbes2_cipher(scheme: Node) -> tuple[_Cipher, bytes]:
    """Return a cipher and its IV; a key size of 0 means any."""
    name, parameters = scheme.fields(der.OID, der.ANY)[:2]
    oid = name.oid()
    if oid == _RC2_CBC:
        version, initial = parameters.fields(der.INTEGER, der.OCTET_STRING)[:2]
        bits = _RC2_VERSIONS.get(version.integer())
        if bits is None:
            raise _unknown("an unusual version of RC2")
        cipher = _Cipher(key=0, iv=8, decrypt=partial(ciphers.rc2, bits=bits))
    elif oid in _CIPHERS:
        cipher, initial = _CIPHERS[oid], parameters.expect(der.OCTET_STRING)
    else:
        raise _unknown(oid)
    if len(initial.octets()) != cipher.iv:
        raise der.DerError
    return cipher, initial.octets()


def _scrypt(derivation: Node) -> tuple[int, Callable[[bytes, int], bytes], int | None]:
    """Return rounds, function and key length. The rounds are those of PBKDF2 with about the cost of scrypt."""
    parameters = derivation.fields(der.OID, der.SEQUENCE)[1]
    salt, *costs = parameters.fields(der.OCTET_STRING, der.INTEGER, der.INTEGER, der.INTEGER)
    n, r, p, *lengths = (rounds(cost) for cost in costs)
    if n == 1 or n & (n - 1):  # RFC 7914, 2: a power of two
        raise der.DerError

    def derive(password: bytes, length: int) -> bytes:
        return kdf.scrypt(password, salt.octets(), n=n, r=r, p=p, length=length)

    count = n * r * p if n * r <= _SCRYPT_MOST_BLOCKS else MAX_ROUNDS + 1
    return count, derive, lengths[0] if lengths else None


def _unknown(what: str) -> BundleError:
    return wrong_password_error(
        f"the file is encrypted with {what}, which is not supported: convert it with openssl pkcs12 -in FILE -out "
        "bundle.pem (add -legacy for an old file), or a PEM key with openssl pkcs8 -topk8 -in FILE -out key.pem"
    )
