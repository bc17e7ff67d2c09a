"""Keeps the files of what terminates TLS in step with a pair's AWSCURRENT.

Three files change together, and no file system changes three at once. So each certificate gets a folder of its own,
which is complete before it has its name, and one symbolic link, ``current``, is swapped. ``tls.crt``, ``tls.key`` and
``ca.crt`` are links through it: whoever opens certificate and key between two swaps gets a matching pair.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from provider.core.certificates import credential_from_json, details, key_matches
from provider.core.model import Label
from provider.errors import IosMdmError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider.core.model import CertificateDetails, Credential

__all__ = ["FILES", "Consumer", "ConsumerError", "LabelledValues", "Round"]

FILES = ("tls.crt", "tls.key", "ca.crt")
_CURRENT = "current"
_RELOADED = ".reloaded"
"""Names the folder that the command has succeeded for: a change whose reload failed, or never began, is reloaded."""
_PREFIX = "certificate-"
_SCRATCH = ".new-"


class ConsumerError(IosMdmError):
    """The files could not be written, or the command failed. What was served before is served on."""


class LabelledValues(Protocol):
    """Where secrets are read."""

    def labelled_value(self, name: str, label: str) -> str | None:
        """Return the value of the version with this label; None where there is no such secret or label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one look at the secret came to.

    Args:
        certificate: what is in the files now.
        changed: whether it was another one before.
        reloaded: whether the command was run, and succeeded.
    """

    certificate: CertificateDetails
    changed: bool
    reloaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Fetches a pair's main certificate into a folder.

    Args:
        source: where secrets are read.
        secret: name or ARN of the pair's secret.
        directory: of the files.
        command: run after a change, without a shell; empty for none.
    """

    source: LabelledValues
    secret: str
    directory: Path
    command: Sequence[str] = ()

    def round(self) -> Round:
        """Look once, and write and reload where something has changed.

        Raises:
            StoreError: AWS did not answer, or what the secret holds cannot be served. The files stay as they are.
            ConsumerError: The files could not be written, or the command failed: the next round tries again.
        """
        credential = self._fetched()
        name = _folder(credential)
        try:
            self._prepare()
            changed = self._served() != name
            if changed:
                self._store(credential, name)
                self._swap(name)
            self._link()
            self._prune(name)
        except OSError as error:
            raise ConsumerError(f"{self.directory} cannot be written: {error.strerror}") from None
        return Round(certificate=details(credential.certificate), changed=changed, reloaded=self._reload(name))

    def _fetched(self) -> Credential:
        value = self.source.labelled_value(self.secret, Label.MAIN)
        if value is None:
            raise StoreError(f"secret {self.secret} has no main certificate: is the name right, and did `up` run?")
        credential = credential_from_json(value, where=f"secret {self.secret}, {Label.MAIN}")
        if not key_matches(credential):
            raise StoreError(
                f"secret {self.secret}: the private key does not belong to the certificate {credential.sha256}, so it "
                "is not served: move AWSCURRENT back to a version that `up` made"
            )
        return credential

    def _prepare(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for scratch in self.directory.glob(f"{_SCRATCH}*"):  # of a round that died
            scratch.unlink() if scratch.is_symlink() or scratch.is_file() else shutil.rmtree(scratch)

    def _served(self) -> str:
        """Return the name of the folder that ``current`` leads to, if it leads anywhere."""
        link = self.directory / _CURRENT
        complete = all((link / file).is_file() for file in FILES)
        return os.readlink(link) if link.is_symlink() and complete else ""  # noqa: PTH115 - the text, not a path

    def _store(self, credential: Credential, name: str) -> None:
        """Write the folder of a certificate: complete and on the disk before it has its name."""
        folder = self.directory / name
        if folder.exists():  # of a round that died before the swap, or a certificate that comes back
            shutil.rmtree(folder)
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self.directory))
        contents = (credential.certificate, credential.private_key, credential.root)
        for file, content in zip(FILES, contents, strict=True):
            descriptor = os.open(scratch / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        _sync(scratch)
        scratch.rename(folder)

    def _swap(self, name: str) -> None:
        self._point(_CURRENT, name)
        _sync(self.directory)

    def _link(self) -> None:
        for file in FILES:
            target, link = f"{_CURRENT}/{file}", self.directory / file
            if not link.is_symlink() or os.readlink(link) != target:  # noqa: PTH115 - the text, not a path
                self._point(file, target)

    def _point(self, link: str, target: str) -> None:
        """Let *link* lead to *target*; there is no moment at which it leads nowhere."""
        scratch = self.directory / f"{_SCRATCH}{link}"
        scratch.symlink_to(target)
        scratch.replace(self.directory / link)

    def _prune(self, name: str) -> None:
        """Delete the folders of other certificates but the newest: somebody may be reading it."""
        others = [folder for folder in self.directory.glob(f"{_PREFIX}*") if folder.name != name]
        for folder in sorted(others, key=lambda folder: folder.stat().st_mtime_ns)[:-1]:
            shutil.rmtree(folder)

    def _reload(self, name: str) -> bool:
        """Run the command unless it has succeeded for what is served."""
        marker = self.directory / _RELOADED
        try:
            if not self.command or (marker.is_file() and marker.read_text(encoding="ascii") == name):
                return False
            done = subprocess.run(self.command, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - the user's own
            if done.returncode != 0:
                raise ConsumerError(
                    f"`{self.command[0]}` ended with {done.returncode}: the new files are there, and the next round "
                    "runs it again"
                )
            scratch = self.directory / f"{_SCRATCH}{_RELOADED}"
            scratch.write_text(name, encoding="ascii")
            scratch.replace(marker)
        except OSError as error:
            raise ConsumerError(f"`{self.command[0]}` could not be run or noted: {error.strerror}") from None
        return True


def _folder(credential: Credential) -> str:
    """Return the name of a certificate's folder: of its public part, which its key belongs to."""
    return _PREFIX + hashlib.sha256(f"{credential.certificate}{credential.root}".encode()).hexdigest()[:32]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
