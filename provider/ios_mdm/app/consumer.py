"""Keeps the files of what terminates TLS in step with a pair's AWSCURRENT.

Three files change together, and no file system changes three at once. So each certificate gets a folder of its own,
which is complete before it has its name, and one symbolic link, ``current``, is swapped. ``tls.crt``, ``tls.key`` and
``ca.crt`` are links through it: whoever opens certificate and key between two swaps gets a matching pair. The command
runs after the swap, so what it reloads does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ios_mdm.app.private_folder import ConsumerError, check_folder, only_one, write_new
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.core.x509.details import details
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.core.x509.values import CertificateDetails, Credential
    from ios_mdm.ports import LabelledValues

__all__ = ["COMBINED", "FILES", "Consumer", "ConsumerError", "Round"]

FILES = ("tls.crt", "tls.key", "ca.crt")
COMBINED = "tls.pem"
"""Certificate, chain and private key in one file, as HAProxy reads them."""
_CURRENT = "current"
_RELOADED = ".reloaded"
"""Names the folder that the command has succeeded for, and the command by its digest. No name of a folder comes twice,
so a change whose reload failed, or never began, is reloaded, and so is the change back to what was there before it."""
_PREFIX = "certificate-"
_SCRATCH = ".new-"


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
        directory: of the files; of one consumer only, and writable by its user only.
        command: run after a change, without a shell; empty for none.
        environ: variables of the command. Those of AWS are left out.
        combined: whether ``tls.pem`` is written, too. One that an earlier call wrote is kept up to date in any case.
        patience: seconds that the command may take.
    """

    source: LabelledValues
    secret: str
    directory: Path
    command: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    combined: bool = False
    patience: float = 300

    def round(self) -> Round:
        """Look once, and write and reload where something has changed.

        Raises:
            StoreError: AWS did not answer, or what the secret holds cannot be served. The files stay as they are.
            ConsumerError: Another user can change the folder, the files could not be written, or the command failed:
                the next round tries again.
        """
        credential = self._fetched()
        certificate = details(credential.chain)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_folder(self.directory)
            with only_one(self.directory):
                changed = self._write(credential)
                return Round(certificate=certificate, changed=changed, reloaded=self._reload())
        except OSError as error:
            raise ConsumerError(f"{self.directory} cannot be written: {error.strerror}") from None

    def _fetched(self) -> Credential:
        """Return what is to be served: a certificate that can be read, with its own private key."""
        value = self.source.labelled_value(self.secret, Label.MAIN)
        if value is None:
            raise StoreError(f"secret {self.secret} has no main certificate: is the name right, and did `up` run?")
        credential = credential_from_json(value, where=f"secret {self.secret}, {Label.MAIN}")
        if not all(content.isascii() for content in self._contents(credential).values()):
            raise StoreError(
                f"secret {self.secret}, {Label.MAIN}: there are characters in its PEM that TLS servers do not read. "
                "Somebody else wrote it: move AWSCURRENT back to a version that `up` made"
            )
        return credential

    def _write(self, credential: Credential) -> bool:
        """Bring the files to *credential*; tell whether they were others."""
        self._refuse_foreign()
        for scratch in self.directory.glob(f"{_SCRATCH}*"):  # of a round that died
            scratch.unlink() if scratch.is_symlink() or scratch.is_file() else shutil.rmtree(scratch)
        changed = not self._serves(credential)
        if changed:
            self._point(_CURRENT, self._store(credential))
            _sync(self.directory)
        for file in self._contents(credential):
            if not (self.directory / file).is_symlink():
                self._point(file, f"{_CURRENT}/{file}")
        self._prune()
        return changed

    def _contents(self, credential: Credential) -> dict[str, str]:
        """Return what the files hold, by name."""
        contents = dict(zip(FILES, (credential.certificate, credential.private_key, credential.root), strict=True))
        combined = f"{credential.certificate.rstrip()}\n{credential.private_key.rstrip()}\n"
        return contents | ({COMBINED: combined} if self._has_combined else {})

    @property
    def _has_combined(self) -> bool:
        """Whether ``tls.pem`` is kept: also if an earlier call made it, because a server may read it since."""
        return self.combined or _target(self.directory / COMBINED) == f"{_CURRENT}/{COMBINED}"

    def _refuse_foreign(self) -> None:
        """Stop where somebody else's files are: two files cannot be taken over at once, and a key may be the only one.

        Raises:
            ConsumerError: With the file's name.
        """
        for file in (*FILES, *([COMBINED] if self._has_combined else [])):
            path = self.directory / file
            if os.path.lexists(path) and _target(path) != f"{_CURRENT}/{file}":
                raise ConsumerError(
                    f"{path} was not made by `consume`, so it stays: move it away, or choose another folder"
                )

    def _serves(self, credential: Credential) -> bool:
        current = self.directory / _CURRENT
        try:
            return _target(current) != "" and all(
                (current / file).read_bytes() == content.encode()
                for file, content in self._contents(credential).items()
            )
        except OSError:  # a file is missing
            return False

    def _store(self, credential: Credential) -> str:
        """Write a certificate's folder, complete and on the disk before it has its name; return the name."""
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self.directory))
        for file, content in self._contents(credential).items():
            write_new(scratch / file, content.encode())
        _sync(scratch)
        name = f"{_PREFIX}{credential.sha256[:16]}-{scratch.name.removeprefix(_SCRATCH)}"
        scratch.rename(self.directory / name)
        _sync(self.directory)
        return name

    def _point(self, link: str, target: str) -> None:
        """Let *link* lead to *target*; there is no moment at which it leads nowhere."""
        scratch = self.directory / f"{_SCRATCH}{link}"
        scratch.symlink_to(target)
        scratch.replace(self.directory / link)

    def _prune(self) -> None:
        """Delete the folders of other certificates but the newest: somebody may be reading it."""
        served = _target(self.directory / _CURRENT)
        others = [folder for folder in self.directory.glob(f"{_PREFIX}*") if folder.name != served]
        for folder in sorted(others, key=lambda folder: folder.stat().st_mtime_ns)[:-1]:
            shutil.rmtree(folder)

    def _reload(self) -> bool:
        """Run the command unless this command has succeeded for what is served; return whether it ran."""
        served, marker = _target(self.directory / _CURRENT), self.directory / _RELOADED
        command = hashlib.sha256("\0".join(self.command).encode(errors="surrogateescape")).hexdigest()
        done = f"{served} {command}".encode()
        if not self.command or (marker.is_file() and marker.read_bytes() == done):
            return False
        problem = self._problem_of_command()
        if problem:
            raise ConsumerError(
                f"`{self.command[0]}` {problem}: the new files are there, and the next round runs it again"
            )
        scratch = self.directory / f"{_SCRATCH}{_RELOADED}"
        scratch.unlink(missing_ok=True)  # what the command left there, or a link that it made
        write_new(scratch, done)
        scratch.replace(marker)
        return True

    def _problem_of_command(self) -> str:
        """Run the command, and return why it failed; empty where it did not. What it prints goes to stderr."""
        try:
            done = subprocess.run(  # noqa: S603 - the user's own
                self.command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=2,
                timeout=self.patience,
                # Credentials of AWS are for this process only.
                env={name: value for name, value in self.environ.items() if not name.startswith("AWS_")},
            )
        except subprocess.TimeoutExpired:
            return f"did not end within {self.patience:g} s"
        except OSError as error:
            return f"could not be run ({error.strerror})"
        return f"ended with {done.returncode}" if done.returncode else ""


def _target(link: Path) -> str:
    """Return what a symbolic link says; empty where there is none."""
    return os.readlink(link) if link.is_symlink() else ""  # noqa: PTH115 - the text, not a path


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
