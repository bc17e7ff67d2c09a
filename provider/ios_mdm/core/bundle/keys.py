"""Loads private keys at a bounded cost.

The library checks an RSA key with primality tests that take 30 ms for 2048 bits, seconds for 8192 bits and minutes for
more. Here the size of a key is limited, and an RSA key is checked with the identities that its numbers must satisfy,
which takes some microseconds. A handshake proves later that the key belongs to its certificate.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import load_der_private_key

from ios_mdm.core import der
from ios_mdm.core.bundle.model import unreadable_error
from ios_mdm.core.library import attempt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from ios_mdm.core.bundle.contents import SealedKey
    from ios_mdm.core.bundle.opener import Opener
    from ios_mdm.core.der import Node

__all__ = ["open_key"]

_MAX_RSA_BYTES = 8192  # 8192 bits take 4700
_MAX_OTHER_BYTES = 2048  # DSA with 4096 bits takes 1200
_MAX_RSA_BITS = 8192
_MAX_IMBALANCE = 64  # bits; primes of similar size bound the time of the Fermat tests
_RSA = {"1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"}
_RSA_NUMBERS = 8
_OTHERS = {
    "1.2.840.10045.2.1",  # EC
    "1.2.840.10040.4.1",  # DSA
    "1.3.101.112",  # Ed25519
    "1.3.101.113",  # Ed448
}


def open_key(key: SealedKey, opener: Opener, *, number: int) -> PrivateKeyTypes:
    """Return a private key of the file, decrypted and checked.

    Args:
        key: key as stored in the file.
        opener: opens an encrypted key.
        number: position of the key in the file, from 1, for messages.

    Raises:
        BundleError: The password is wrong, the key is damaged, or its type is unknown.
        DerError: The encoding of the key is damaged.
    """
    what = f"private key {number}"
    data = key.data if key.kind is None else opener.open(key.kind, key.data, what=what).key or b""
    node = der.parse(data).expect(der.SEQUENCE)
    encoded = node.encoding
    numbers = _rsa_numbers(_pkcs1(node)) if len(encoded) <= _MAX_RSA_BYTES else ()
    if numbers == () or (numbers is None and len(encoded) > _MAX_OTHER_BYTES):
        raise unreadable_error(f"{what} is too large for a server: create an RSA 4096 or EC P-256 key")
    sound = numbers is None or _is_sound(*numbers)
    load = partial(load_der_private_key, encoded, None, unsafe_skip_rsa_key_validation=numbers is not None)
    loaded = attempt(load) if sound else None
    if loaded is None:
        raise unreadable_error(
            f"{what} cannot be read: it is damaged, or it is neither an RSA key of at most {_MAX_RSA_BITS} bits "
            "nor an EC key on a named curve. Check it with: openssl pkey -in FILE -noout -check"
        )
    return loaded


def _pkcs1(node: Node) -> Node:
    """Return the PKCS#1 key inside PKCS#8 if PKCS#8 names RSA, else the given key.

    Raises:
        BundleError: PKCS#8 names a type of key that TLS servers do not use.
    """
    _, content, *rest = node.fields(der.INTEGER, der.ANY)
    if content.tag != der.SEQUENCE or not rest:
        return node
    oid = content.fields(der.OID)[0].oid()
    if oid in _RSA:
        return der.parse(rest[0].expect(der.OCTET_STRING).octets()).expect(der.SEQUENCE)
    if oid not in _OTHERS:
        raise unreadable_error(f"a private key has the type {oid}, which TLS servers do not use: use an RSA or EC key")
    return node


def _rsa_numbers(node: Node) -> tuple[int, ...] | None:
    """Return the eight numbers of an RSA key in PKCS#1, or None for a key of another type."""
    version, *numbers = node.fields(der.INTEGER)
    if len(numbers) < _RSA_NUMBERS:  # SEC1, or DSA as OpenSSL writes it
        return None
    if len(numbers) > _RSA_NUMBERS or version.integer() != 0:
        raise unreadable_error(
            "an RSA private key has more than two primes: create a key with two primes, which TLS servers need"
        )
    return tuple(number.integer() for number in numbers)


def _is_sound(n: int, e: int, d: int, p: int, q: int, dp: int, dq: int, inverse: int) -> bool:  # noqa: PLR0917 - RFC 8017
    """Return whether the numbers form a valid RSA key (RFC 8017, 3.2)."""
    if n.bit_length() > _MAX_RSA_BITS or min(n, e, d, p, q, dp, dq, inverse) <= 1 or p * q != n:
        return False
    return (
        abs(p.bit_length() - q.bit_length()) <= _MAX_IMBALANCE
        and e * d % (p - 1) == e * d % (q - 1) == 1
        and (dp, dq) == (d % (p - 1), d % (q - 1))
        and inverse * q % p == 1
    )
