"""Contents of a bundle, and the error and the limits of reading it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives import hashes

from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


__all__ = [
    "MAX_ROUNDS",
    "Budget",
    "Bundle",
    "BundleError",
    "Code",
    "DoubtfulCertificate",
    "too_many_rounds_error",
    "unreadable_error",
]

MAX_ROUNDS = 5_000_000
"""Limit for the rounds of key derivation that one file may need.

NSS writes the largest count of all usual tools: 600,000 rounds in each of five places for a file with two keys.
"""


Code = Literal["unreadable", "bad-password", "no-key", "no-certificate", "too-many-iterations"]


class BundleError(IosMdmError):
    """The file cannot be read.

    Args:
        message: one line with the reason and the remedy, without any byte of a key or password.
        code: violation code of R18 or R28.
    """

    def __init__(self, message: str, *, code: Code) -> None:
        super().__init__(message)
        self.code: Code = code


def unreadable_error(message: str) -> BundleError:
    """Return the error for a file that no password can open."""
    return BundleError(message, code="unreadable")


def too_many_rounds_error(problem: str) -> BundleError:
    """Return the error for a file whose keys take too long to derive."""
    return BundleError(
        f"{problem}, more than usual tools write: export it again, or, if you trust the file, convert it: "
        "openssl pkcs12 -in FILE -out bundle.pem",
        code="too-many-iterations",
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DoubtfulCertificate:
    """A certificate of a file that the library cannot read.

    Args:
        number: position among the certificates of the file, from 1.
        data: DER of the certificate, or bytes that are not even DER.
        subject: DER of the subject, or None if it is unknown.
        key: SubjectPublicKeyInfo, DER, or None if it is unknown.
    """

    number: int
    data: bytes
    subject: bytes | None
    key: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Bundle:
    """Certificates and private keys of a file. The choice of the leaf and of its key is made elsewhere.

    Args:
        certificates: at least one, in the order of the file, without duplicates. Names, dates, extensions and public
            key of each are known to be readable without an exception.
        keys: at least one private key, in the order of the file, without duplicates.
        notices: notices that need no action, one line each.
        doubtful: certificates that cannot be read, and are not among *certificates*.
        first_key_only: whether the file can hold more private keys than the library returned: it returns the first
            one of a PFX.
        names: friendly names of certificates in a PFX.
    """

    certificates: tuple[x509.Certificate, ...]
    keys: tuple[PrivateKeyTypes, ...]
    notices: tuple[str, ...] = ()
    doubtful: tuple[DoubtfulCertificate, ...] = ()
    first_key_only: bool = False
    names: Mapping[x509.Certificate, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the SHA-256 fingerprints of the certificates, and nothing of a key."""
        fingerprints = (certificate.fingerprint(hashes.SHA256()).hex() for certificate in self.certificates)
        return f"Bundle(certificates=({', '.join(fingerprints)}))"


@dataclass(slots=True)
class Budget:
    """The rounds of key derivation that a file may still use.

    All visible rounds are declared before the first derivation.
    """

    left: int = MAX_ROUNDS

    def declare(self, rounds: int) -> None:
        """Subtract *rounds* from the remaining rounds.

        Raises:
            BundleError: Fewer than *rounds* remain.
        """
        if rounds > self.left:
            raise too_many_rounds_error(f"the file needs more than {MAX_ROUNDS:,} rounds of key derivation")
        self.left -= rounds
