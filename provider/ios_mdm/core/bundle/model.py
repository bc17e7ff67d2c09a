"""A bundle that was read, and the error and the limits of reading one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives import hashes

from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


__all__ = ["MOST_ROUNDS", "Budget", "Bundle", "BundleError", "Code", "unreadable"]

MOST_ROUNDS = 5_000_000
"""Rounds of key derivation that one file may ask for.

NSS, the most generous writer, asks for 600,000 in each place, and these are five where there are two keys.
"""


Code = Literal["unreadable", "bad-password", "no-key", "no-certificate", "too-many-iterations"]


class BundleError(IosMdmError):
    """The file cannot be read: one line that says why, and what to do.

    It carries no byte of a key or a password.

    Args:
        message: the line.
        code: the code of R18 or R28.
    """

    def __init__(self, message: str, *, code: Code) -> None:
        super().__init__(message)
        self.code: Code = code


def unreadable(message: str) -> BundleError:
    """Return the error for a file that no password would open."""
    return BundleError(message, code="unreadable")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Bundle:
    """Everything in the file that a server needs. Which key and which leaf are meant is judged elsewhere.

    Args:
        certificates: at least one, in the file's order, none twice. Of each can be read, without an exception: names,
            dates, extensions and public key.
        keys: at least one private key, in the file's order, none twice.
        notices: what the reader should know and need not act on, a line each.
    """

    certificates: tuple[x509.Certificate, ...]
    keys: tuple[PrivateKeyTypes, ...]
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the SHA-256 fingerprints of the certificates, never anything of a key."""
        fingerprints = (certificate.fingerprint(hashes.SHA256()).hex() for certificate in self.certificates)
        return f"Bundle(certificates=({', '.join(fingerprints)}))"


@dataclass(slots=True)
class Budget:
    """The rounds of key derivation that a file may still ask for.

    A count is declared as soon as it is read, and everything that can be read without a derivation is read first. So
    a file that asks for too much costs nothing.
    """

    left: int = MOST_ROUNDS

    def declare(self, rounds: int) -> None:
        """Take *rounds* from what is left.

        Raises:
            BundleError: It is more than what is left.
        """
        if not self.retry(rounds):
            raise BundleError(
                f"the file asks for more than {MOST_ROUNDS:,} rounds of key derivation, which no usual tool writes: "
                "export it again, or convert it where you trust it: openssl pkcs12 -in FILE -out bundle.pem",
                code="too-many-iterations",
            )

    def retry(self, rounds: int) -> bool:
        """Tell whether there is enough left to derive a key once more, and take it."""
        if rounds > self.left:
            return False
        self.left -= rounds
        return True
