"""Decrypts with the ciphers of bundles: AES, and the old ciphers that many programs still use for exports.

RC2 is implemented here. The library supports only keys of 128 bits, and the PFX files of Windows, of OpenSSL before 3
and of Java before 16 use keys of 40 bits.
"""

from __future__ import annotations

from functools import partial

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ios_mdm.core.bundle.library import attempt
from ios_mdm.core.bundle.model import wrong_password_error

__all__ = ["aes", "des", "rc2", "rc4"]

_RC2_BLOCK = 8
_RC2_TURNS = (1, 2, 3, 5)
_RC2_MOST_BYTES = 256 * 1024  # takes a second or two
# RFC 2268, 2: PITABLE, random bytes from the digits of pi
_PI = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)


def aes(key: bytes, iv: bytes, data: bytes) -> bytes | None:
    """Return the plaintext of AES-CBC; None if the padding is wrong."""
    return _unpadded(attempt(partial(_decrypted, Cipher(AES(key), CBC(iv)), data)), 16)


def des(key: bytes, iv: bytes, data: bytes) -> bytes | None:
    """Return the plaintext of DES, two-key or three-key triple DES in CBC; None if the padding is wrong."""
    return _unpadded(attempt(partial(_decrypted, Cipher(TripleDES((key * 3)[:24]), CBC(iv)), data)), 8)


def rc4(key: bytes, _iv: bytes, data: bytes) -> bytes | None:
    """Return the plaintext of RC4; None if the library has no such cipher."""
    return attempt(lambda: _decrypted(Cipher(ARC4(key), None), data))


def rc2(key: bytes, iv: bytes, data: bytes, *, bits: int | None = None) -> bytes | None:
    """Return the plaintext of RC2-CBC; None if the padding is wrong.

    Args:
        key: 1 to 128 octets.
        iv: 8 octets.
        data: the ciphertext.
        bits: effective bits of the key; all of them by default.

    Raises:
        BundleError: The data is too long for this slow implementation.
    """
    if len(data) > _RC2_MOST_BYTES:
        raise wrong_password_error(
            f"more than {_RC2_MOST_BYTES >> 10} KiB of the file are encrypted with RC2, which takes long here: "
            "convert it with openssl pkcs12 -legacy -in FILE -out bundle.pem"
        )
    if len(data) % _RC2_BLOCK:
        return None
    words = _rc2_words(key, bits or 8 * len(key))
    blocks = [data[at : at + _RC2_BLOCK] for at in range(0, len(data), _RC2_BLOCK)]
    chained = zip(blocks, (iv, *blocks), strict=False)
    return _unpadded(b"".join(_xor(_rc2_block(words, block), before) for block, before in chained), _RC2_BLOCK)


def _decrypted(cipher: Cipher[CBC] | Cipher[None], data: bytes) -> bytes:
    decryptor = cipher.decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _unpadded(data: bytes | None, block: int) -> bytes | None:
    """Return *data* without its PKCS#7 padding."""
    if not data:
        return None
    count = data[-1]
    return data[:-count] if 0 < count <= block and data.endswith(bytes([count]) * count) else None


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right, strict=True))


def _rc2_words(key: bytes, bits: int) -> list[int]:
    """Return the expanded key, RFC 2268, 2."""
    octets = list(key)
    for at in range(len(key), 128):
        octets.append(_PI[(octets[at - 1] + octets[at - len(key)]) & 0xFF])
    length = (bits + 7) // 8
    octets[128 - length] = _PI[octets[128 - length] & (0xFF >> (8 * length - bits))]
    for at in range(127 - length, -1, -1):
        octets[at] = _PI[octets[at + 1] ^ octets[at + length]]
    return [low | high << 8 for low, high in zip(octets[::2], octets[1::2], strict=True)]


def _rc2_block(words: list[int], block: bytes) -> bytes:
    """Return the plaintext of one block, RFC 2268, 4."""
    state = [int.from_bytes(block[at : at + 2], "little") for at in range(0, _RC2_BLOCK, 2)]
    for done in range(16):
        if done in {5, 11}:  # a mashing round between 5, 6 and 5 mixing rounds
            for at in (3, 2, 1, 0):
                state[at] = state[at] - words[state[at - 1] & 63] & 0xFFFF
        for at in (3, 2, 1, 0):
            word, turn = state[at], _RC2_TURNS[at]
            word = word >> turn | word << (16 - turn)
            word -= words[63 - 4 * done - (3 - at)]
            word -= (state[at - 1] & state[at - 2]) + (~state[at - 1] & state[at - 3])
            state[at] = word & 0xFFFF
    return b"".join(word.to_bytes(2, "little") for word in state)
