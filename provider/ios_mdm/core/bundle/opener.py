"""Opens the encrypted parts of a file with its password, and explains why a part cannot be opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.bundle.model import BundleError, too_many_rounds_error, unreadable_error
from ios_mdm.core.bundle.sealed import Opened, Refusal, SealedKind

if TYPE_CHECKING:
    from ios_mdm.core.bundle.sealed import SealedReader

__all__ = ["Opener"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Opener:
    """Opens the encrypted parts of a file.

    Args:
        reader: opens encrypted parts; None if the file must not have any.
        password: password of the file and of every key in it; empty if there is no password.
    """

    reader: SealedReader | None
    password: str

    def open(self, kind: SealedKind, data: bytes, *, what: str, is_whole: bool = True) -> Opened:
        """Return the contents of a part.

        Args:
            kind: format of the part.
            data: bytes of the part.
            what: name of the part, for messages.
            is_whole: whether the structure of the part is the expected one, so that damage is unlikely.

        Raises:
            BundleError: The part cannot be opened.
            IosMdmError: No part can be opened on this machine.
        """
        if self.reader is None:
            raise unreadable_error(f"{what} is encrypted, but is expected without a password: store it unencrypted")
        if kind is SealedKind.PFX and "\0" in self.password:
            raise BundleError(
                "the password contains a NUL character, which no PFX file has: check where the password is stored",
                code="bad-password",
            )
        found = self.reader.open(kind, data, self.password or None)
        if kind is SealedKind.PFX and found is Refusal.PASSWORD and not self.password.isascii():
            # OpenSSL before 1.1 wrote each octet of the UTF-8 password as a character.
            found = self.reader.open(kind, data, self.password.encode("utf-8", "replace").decode("latin-1"))
        if isinstance(found, Opened):
            return found
        raise _error(found, kind, what, has_password=bool(self.password), is_whole=is_whole)


_TO_PKCS8 = "openssl pkcs8 -topk8 -in FILE -out key.pem"
_CONVERSIONS = {
    SealedKind.PFX: "openssl pkcs12 -in FILE -out bundle.pem (add -legacy for an old file)",
    SealedKind.PKCS8: f"{_TO_PKCS8} (add -provider legacy -provider default for an old file)",
    SealedKind.PEM: _TO_PKCS8,
}
_TRIALS = {
    SealedKind.PFX: "openssl pkcs12 -in FILE -noout",
    SealedKind.PKCS8: "openssl pkey -in FILE -noout",
    SealedKind.PEM: "openssl pkey -in FILE -noout",
}


def _error(refusal: Refusal, kind: SealedKind, what: str, *, has_password: bool, is_whole: bool) -> BundleError:
    if refusal is Refusal.LIMIT:
        return too_many_rounds_error(f"{what} takes too much time or memory to decrypt")
    if refusal is Refusal.FAILURE:
        return unreadable_error(
            f"the library failed to read {what}: the file is damaged, or of an unusual kind. Convert it with "
            f"{_CONVERSIONS[kind]}"
        )
    if refusal is Refusal.FORMAT or not is_whole:
        return unreadable_error(
            f"{what} is damaged, or encrypted with a method that is not supported: convert it with {_CONVERSIONS[kind]}"
        )
    if not has_password:
        return BundleError(
            f"{what} needs a password and none was given: name it as passwordSecret in the definition, "
            "or on the command line with --password-file",
            code="bad-password",
        )
    return BundleError(
        f"the password does not open {what}: the password is wrong, or the file is damaged or encrypted in a way that "
        f"is not supported. Try the password with: {_TRIALS[kind]}",
        code="bad-password",
    )
