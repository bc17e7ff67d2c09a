"""Derives keys from passwords: RFC 7292 (appendix B), RFC 8018, RFC 7914, and OpenSSL's old key files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

__all__ = ["Password", "openssl_key", "pbkdf1", "pbkdf2", "pkcs12_kdf", "scrypt"]

_NEW = {
    "md5": hashlib.md5,
    "sha1": hashlib.sha1,
    "sha224": hashlib.sha224,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Password:
    """A password in each encoding that the program that wrote the file may have used, the usual one first.

    "No password" has two encodings in PKCS#12 files: no octets, or the two octets that end a text.

    Args:
        text: the password; None and "" are the same.
    """

    text: str | None

    def __bool__(self) -> bool:
        """Return whether the password is not empty."""
        return bool(self.text)

    def pkcs12(self) -> tuple[bytes, ...]:
        """Return the encodings for the schemes of PKCS#12: UTF-16, and that of OpenSSL before 1.1, octet by octet."""
        if not self.text:
            return b"", b"\0\0"
        octet_by_octet = self._utf_8().decode("latin-1")
        return _distinct(*(_terminated(text) for text in (self.text, octet_by_octet)))

    def octets(self) -> tuple[bytes, ...]:
        """Return the encodings for every other scheme: UTF-8, Latin-1 of old terminals, UTF-16 of NSS before 3.36."""
        if not self.text:
            return b"", b"\0\0"
        latin = () if self.text.isascii() else (self.text.encode("latin-1", "ignore"),)
        return _distinct(self._utf_8(), *latin, _terminated(self.text))

    def _utf_8(self) -> bytes:
        return (self.text or "").encode("utf-8", "surrogatepass")


def pkcs12_kdf(algorithm: str, password: bytes, salt: bytes, rounds: int, *, purpose: int, length: int) -> bytes:
    """Return the key of RFC 7292, appendix B.2.

    Args:
        algorithm: name of the hash.
        password: UTF-16 with the octets that end the text, or empty.
        salt: octets of any length.
        rounds: number of rounds, at least 1.
        purpose: 1 for a key, 2 for an IV, 3 for a MAC.
        length: length of the result, in octets.
    """
    size = _NEW[algorithm](usedforsecurity=False).block_size
    state = b"".join((part * size)[: -(-len(part) // size) * size] for part in (salt, password))
    result = b""
    while True:
        digest = _hash(algorithm, bytes([purpose]) * size + state, rounds)
        result += digest
        if len(result) >= length:
            return result[:length]
        step = int.from_bytes((digest * size)[:size], "big") + 1
        blocks = (int.from_bytes(state[at : at + size], "big") + step for at in range(0, len(state), size))
        state = b"".join((block % (1 << 8 * size)).to_bytes(size, "big") for block in blocks)


def pbkdf1(algorithm: str, password: bytes, salt: bytes, rounds: int) -> bytes:
    """Return the 16 octets from which PBES1 takes key and IV (RFC 8018, 5.1)."""
    return _hash(algorithm, password + salt, rounds)[:16]


def pbkdf2(algorithm: str, password: bytes, salt: bytes, rounds: int, length: int) -> bytes:
    """Return the key of RFC 8018, 5.2."""
    return hashlib.pbkdf2_hmac(algorithm, password, salt, rounds, length)


def scrypt(password: bytes, salt: bytes, *, n: int, r: int, p: int, length: int) -> bytes:
    """Return the key of RFC 7914."""
    return Scrypt(salt=salt, length=length, n=n, r=r, p=p).derive(password)


def openssl_key(password: bytes, salt: bytes, length: int) -> bytes:
    """Return the key of an old key file, OpenSSL's EVP_BytesToKey with MD5 and one round."""
    result = digest = b""
    while len(result) < length:
        digest = _hash("md5", digest + password + salt, 1)
        result += digest
    return result[:length]


def _hash(algorithm: str, data: bytes, rounds: int) -> bytes:
    """Return the hash of *data*, applied *rounds* times."""
    new = _NEW[algorithm]
    for _ in range(rounds):
        data = new(data, usedforsecurity=False).digest()
    return data


def _terminated(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass") + b"\0\0"


def _distinct(*ways: bytes) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(ways))
