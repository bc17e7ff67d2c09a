"""Contents of a file before its keys are decrypted: certificates, and keys that may be encrypted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ios_mdm.core.bundle.model import Budget, unreadable_error

if TYPE_CHECKING:
    from ios_mdm.core.bundle.sealed import SealedKind

__all__ = ["Contents", "SealedKey"]

_MAX_KEYS = 8  # checking an RSA key takes time, and no file needs more keys
_MAX_CERTIFICATES = 200  # enough for a whole list of public roots


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SealedKey:
    """A private key of the file, not yet decrypted.

    Args:
        data: DER of PKCS#8, PKCS#1 or SEC1, or an encrypted key in the format *kind*.
        kind: format of an encrypted key; None if the key is not encrypted.
    """

    data: bytes
    kind: SealedKind | None = None


@dataclass(slots=True, repr=False)
class Contents:
    """DER certificates, private keys and notices found so far, in the order of the file.

    Args:
        budget: remaining rounds of key derivation.
        encrypted: whether a part of the file needs a password.
        first_key_only: whether the file can hold more private keys than the library returned: it returns the first
            one of a PFX.
        names: friendly names of certificates (DER) in a PFX.
    """

    budget: Budget
    certificates: dict[bytes, None] = field(default_factory=dict)
    keys: list[SealedKey] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    encrypted: bool = False
    first_key_only: bool = False
    names: dict[bytes, str] = field(default_factory=dict)

    def add_certificate(self, data: bytes) -> None:
        """Add a certificate.

        Raises:
            BundleError: The file holds too many certificates.
        """
        if data in self.certificates:
            return
        if len(self.certificates) == _MAX_CERTIFICATES:
            raise unreadable_error(
                f"the file holds more than {_MAX_CERTIFICATES} certificates: "
                "keep only the server's certificate and those of its issuers"
            )
        self.certificates[data] = None

    def add_key(self, key: SealedKey) -> None:
        """Add a private key.

        Raises:
            BundleError: The file holds too many keys.
        """
        if len(self.keys) == _MAX_KEYS:
            raise unreadable_error(f"the file holds more than {_MAX_KEYS} private keys: keep only the server's key")
        self.keys.append(key)
        self.encrypted |= key.kind is not None
