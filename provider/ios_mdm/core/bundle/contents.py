"""What a file holds before its keys are opened: certificates, and keys that may be encrypted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ios_mdm.core.bundle.model import Budget, unreadable

if TYPE_CHECKING:
    from ios_mdm.core.bundle.pbe import Encryption

__all__ = ["Contents", "SealedKey"]

_MOST_KEYS = 8  # to check an RSA key takes time, and no file needs more
_MOST_CERTIFICATES = 200  # a whole list of public roots passes


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SealedKey:
    """A private key of the file as it is there.

    Args:
        data: PKCS#8, PKCS#1 or SEC1, DER, encrypted where there is an *encryption*.
        encryption: what it is encrypted with.
        name: its friendly name, fit to be shown.
    """

    data: bytes
    encryption: Encryption | None = None
    name: str | None = None


@dataclass(slots=True, repr=False)
class Contents:
    """What has been found so far, in the file's order: DER certificates, private keys, notices."""

    budget: Budget
    certificates: list[bytes] = field(default_factory=list)
    keys: list[SealedKey] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    encrypted: bool = False

    def add_certificate(self, data: bytes) -> None:
        """Add a certificate.

        Raises:
            BundleError: They are too many.
        """
        if data in self.certificates:
            return
        if len(self.certificates) == _MOST_CERTIFICATES:
            raise unreadable(
                f"the file holds more than {_MOST_CERTIFICATES} certificates: leave only the server's and its issuers'"
            )
        self.certificates.append(data)

    def add_key(self, key: SealedKey) -> None:
        """Add a private key, and declare the rounds that it asks for.

        Raises:
            BundleError: They are too many, or the rounds are.
        """
        self._append(key)
        if key.encryption is not None:
            self.encrypted = True
            self.budget.declare(key.encryption.rounds)

    def add(self, other: Contents) -> None:
        """Append what another part of the file holds. Its rounds are declared already."""
        for certificate in other.certificates:
            self.add_certificate(certificate)
        for key in other.keys:
            self._append(key)
        self.notices += other.notices
        self.encrypted |= other.encrypted

    def _append(self, key: SealedKey) -> None:
        if len(self.keys) == _MOST_KEYS:
            raise unreadable(f"the file holds more than {_MOST_KEYS} private keys: leave only the server's")
        self.keys.append(key)
