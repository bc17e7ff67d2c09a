"""Encrypted parts of a bundle, and the reader that opens them.

The reader is a port, because the library that opens the parts runs in another process: it has no limit on rounds of key
derivation, blocks the interpreter, and can end the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["Opened", "Refusal", "SealedKind", "SealedReader"]


class SealedKind(StrEnum):
    """Format of an encrypted part."""

    PFX = "pfx"
    """A PKCS #12 file, DER or BER, encrypted or not."""
    PKCS8 = "pkcs8"
    """An EncryptedPrivateKeyInfo, DER."""
    PEM = "pem"
    """A PEM block of a private key with a ``DEK-Info`` header."""


class Refusal(StrEnum):
    """Reason why a part was not opened."""

    PASSWORD = "password"  # noqa: S105 - the name of a reason
    """The password is wrong or missing, or the part is damaged: the library does not distinguish these cases."""
    FORMAT = "format"
    """The part is damaged, or it is encrypted with an unsupported algorithm."""
    LIMIT = "limit"
    """The part needs more processor time, time or memory than the limit."""
    FAILURE = "failure"
    """The library failed, or the process that runs it ended."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Opened:
    """Contents of a part.

    Args:
        key: private key, unencrypted PKCS #8, DER; None if there is no private key. A PFX can have more keys than this
            first one.
        certificates: each certificate, DER, with its friendly name or None. The certificate of the key comes first.
    """

    key: bytes | None
    certificates: tuple[tuple[bytes, str | None], ...] = ()


class SealedReader(Protocol):
    """Opens encrypted parts. Its methods can be called from several threads."""

    def open(self, kind: SealedKind, data: bytes, password: str | None) -> Opened | Refusal:
        """Return the contents of a part, or the reason why it cannot be opened.

        Args:
            kind: format of the part.
            data: bytes of the part.
            password: password of the part; None if there is no password.

        Raises:
            IosMdmError: The process that opens parts cannot start on this machine.
        """
