"""Contents of a file before its keys are decrypted: certificates, and keys that may be encrypted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ios_mdm.core.bundle.model import Budget, wrong_password_error

if TYPE_CHECKING:
    from ios_mdm.core.bundle.pbe import Encryption

__all__ = ["Contents", "SealedKey"]

_MAX_KEYS = 8  # checking an RSA key takes time, and no file needs more keys
_MAX_CERTIFICATES = 200  # enough for a whole list of public roots


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SealedKey:
    """A private key of the file, not yet decrypted.

    Args:
        data: DER of PKCS#8, PKCS#1 or SEC1; encrypted if *encryption* is given.
        encryption: scheme and parameters of the encryption.
        name: friendly name of the key, printable.
    """

    data: bytes
    encryption: Encryption | None = None
    name: str | None = None


@dataclass(slots=True, repr=False)
class Contents:
    """DER certificates, private keys and notices found so far, in the order of the file."""

    budget: Budget
    certificates: dict[bytes, None] = field(default_factory=dict)
    keys: list[SealedKey] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    encrypted: bool = False

    def add_certificate(self, data: bytes) -> None:
        """Add a certificate.

        Raises:
            BundleError: The file holds too many certificates.
        """
        if data in self.certificates:
            return
        if len(self.certificates) == _MAX_CERTIFICATES:
            raise wrong_password_error(
                f"the file holds more than {_MAX_CERTIFICATES} certificates: "
                "keep only the server's certificate and those of its issuers"
            )
        self.certificates[data] = None

    def add_key(self, key: SealedKey) -> None:
        """Add a private key, and declare the rounds of key derivation that it needs.

        Raises:
            BundleError: The file holds too many keys, or needs too many rounds.
        """
        self._append(key)
        if key.encryption is not None:
            self.encrypted = True
            self.budget.declare(key.encryption.rounds)

    def add(self, other: Contents) -> None:
        """Append the contents of another part of the file, whose rounds are already declared."""
        for certificate in other.certificates:
            self.add_certificate(certificate)
        for key in other.keys:
            self._append(key)
        self.notices += other.notices
        self.encrypted |= other.encrypted

    def _append(self, key: SealedKey) -> None:
        if len(self.keys) == _MAX_KEYS:
            raise wrong_password_error(f"the file holds more than {_MAX_KEYS} private keys: keep only the server's key")
        self.keys.append(key)
