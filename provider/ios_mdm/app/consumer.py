"""Keeps the files of a TLS server up to date with a pair's AWSCURRENT.

Three files must change together, but no file system replaces three files atomically. So each certificate is written
to a separate folder, which gets its name when it is complete. One symbolic link, ``current``, is then replaced.
``tls.crt``, ``tls.key`` and ``ca.crt`` are links through ``current``, so a server that opens certificate and key
between two changes reads a matching pair. The command runs after the link was replaced, so that the server loads the
new files.
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

from ios_mdm.app.private_folder import ConsumerError, check_folder, exclusive_lock, write_new
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.core.x509.details import details
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.core.x509.values import CertificateDetails, Credential
    from ios_mdm.ports import LabeledValues

__all__ = ["COMBINED", "FILES", "Consumer", "ConsumerError", "Round"]

FILES = ("tls.crt", "tls.key", "ca.crt")
COMBINED = "tls.pem"
"""Certificate, chain and private key in one file, as HAProxy reads them."""
_CURRENT = "current"
_RELOADED = ".reloaded"
"""File with the name of the folder that the command has succeeded for, and the digest of the command.

Names of folders are unique. So the command also runs after a change whose reload failed or did not start, and after the
certificate changes back.
"""
_PREFIX = "certificate-"
_SCRATCH = ".new-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The result of one round: one read of the secret, and the changes after it.

    Args:
        certificate: details of the certificate in the files.
        changed: whether this round changed the files.
        reloaded: whether the command was run, and succeeded.
    """

    certificate: CertificateDetails
    changed: bool
    reloaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Fetches a pair's main certificate into a folder.

    Args:
        source: reads secrets.
        secret: name or ARN of the pair's secret.
        directory: folder of the files. Only one consumer may use it, and only this user may be able to write to it.
        command: command to run after a change, without a shell; empty for none.
        environ: environment variables of the command. Variables that start with ``AWS_`` are removed.
        combined: whether to write ``tls.pem``, too. A ``tls.pem`` of an earlier call is kept up to date in any case.
        patience: maximum duration of the command, in seconds.
    """

    source: LabeledValues
    secret: str
    directory: Path
    command: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    combined: bool = False
    patience: float = 300

    def round(self) -> Round:
        """Read the secret once. If the certificate has changed, write the files and run the command.

        Raises:
            StoreError: AWS did not answer, or a TLS server cannot use the value of the secret. The files stay
                unchanged.
            ConsumerError: Another user can change the folder, the files could not be written, or the command failed.
                The next round tries again.
        """
        credential = self._current_credential()
        certificate = details(credential.chain)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_folder(self.directory)
            with exclusive_lock(self.directory):
                changed = self._write(credential)
                return Round(certificate=certificate, changed=changed, reloaded=self._reload())
        except OSError as error:
            raise ConsumerError(f"{self.directory} cannot be written: {error.strerror}") from None

    def _current_credential(self) -> Credential:
        """Return the main certificate with its private key, after checking that TLS servers can read both."""
        value = self.source.labeled_value(self.secret, Label.MAIN)
        if value is None:
            raise StoreError(f"secret {self.secret} has no main certificate: check the name, or run `pulumi up` first")
        credential = credential_from_json(value, where=f"secret {self.secret}, {Label.MAIN}")
        if not all(content.isascii() for content in self._contents(credential).values()):
            raise StoreError(
                f"secret {self.secret}, {Label.MAIN}: the PEM has non-ASCII characters, which TLS servers cannot read. "
                "Another program stored this version: move AWSCURRENT back to a version that `pulumi up` stored"
            )
        return credential

    def _write(self, credential: Credential) -> bool:
        """Write the files of *credential*; return whether this changed the certificate, the key or the root."""
        self._refuse_foreign()
        for scratch in self.directory.glob(f"{_SCRATCH}*"):  # of an interrupted round
            scratch.unlink() if scratch.is_symlink() or scratch.is_file() else shutil.rmtree(scratch)
        changed = not self._is_served(credential)
        if changed:
            self._point(_CURRENT, self._store(credential))
            _sync(self.directory)
        for file in self._contents(credential):
            if not (self.directory / file).is_symlink():
                self._point(file, f"{_CURRENT}/{file}")
        self._prune()
        return changed

    def _contents(self, credential: Credential) -> dict[str, str]:
        """Return the contents of the files, by name."""
        contents = dict(zip(FILES, (credential.certificate, credential.private_key, credential.root), strict=True))
        combined = f"{credential.certificate.rstrip()}\n{credential.private_key.rstrip()}\n"
        return contents | ({COMBINED: combined} if self._has_combined else {})

    @property
    def _has_combined(self) -> bool:
        """Whether ``tls.pem`` is written. An existing one is kept up to date, because a server may read it."""
        return self.combined or _target(self.directory / COMBINED) == f"{_CURRENT}/{COMBINED}"

    def _refuse_foreign(self) -> None:
        """Refuse to replace a file of another program: it may be the only copy of a key.

        Raises:
            ConsumerError: A file was not created by ``consume``; the message has its path.
        """
        for file in (*FILES, *([COMBINED] if self._has_combined else [])):
            path = self.directory / file
            if os.path.lexists(path) and _target(path) != f"{_CURRENT}/{file}":
                raise ConsumerError(
                    f"{path} was not created by `consume`, so it is not replaced: move it, or choose another folder"
                )

    def _is_served(self, credential: Credential) -> bool:
        current = self.directory / _CURRENT
        try:
            return _target(current) != "" and all(
                (current / file).read_bytes() == content.encode()
                for file, content in self._contents(credential).items()
            )
        except OSError:  # a file is missing
            return False

    def _store(self, credential: Credential) -> str:
        """Write the folder of a certificate, and return its name.

        The folder gets this name after all its files are complete and on the disk.
        """
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self.directory))
        for file, content in self._contents(credential).items():
            write_new(scratch / file, content.encode())
        _sync(scratch)
        name = f"{_PREFIX}{credential.sha256[:16]}-{scratch.name.removeprefix(_SCRATCH)}"
        scratch.rename(self.directory / name)
        _sync(self.directory)
        return name

    def _point(self, link: str, target: str) -> None:
        """Replace *link* atomically by a link to *target*."""
        scratch = self.directory / f"{_SCRATCH}{link}"
        scratch.symlink_to(target)
        scratch.replace(self.directory / link)

    def _prune(self) -> None:
        """Delete the folders of former certificates, except the newest, which a server may still read."""
        served = _target(self.directory / _CURRENT)
        others = [folder for folder in self.directory.glob(f"{_PREFIX}*") if folder.name != served]
        for folder in sorted(others, key=lambda folder: folder.stat().st_mtime_ns)[:-1]:
            shutil.rmtree(folder)

    def _reload(self) -> bool:
        """Run the command, unless it has already succeeded for the current folder; return whether it ran."""
        served, marker = _target(self.directory / _CURRENT), self.directory / _RELOADED
        command = hashlib.sha256("\0".join(self.command).encode(errors="surrogateescape")).hexdigest()
        done = f"{served} {command}".encode()
        if not self.command or (marker.is_file() and marker.read_bytes() == done):
            return False
        problem = self._problem_of_command()
        if problem:
            raise ConsumerError(
                f"`{self.command[0]}` {problem}: the new files are written, and the next round runs the command again"
            )
        scratch = self.directory / f"{_SCRATCH}{_RELOADED}"
        scratch.unlink(missing_ok=True)  # the command may have created a file or a link of this name
        write_new(scratch, done)
        scratch.replace(marker)
        return True

    def _problem_of_command(self) -> str:
        """Run the command, and return why it failed; empty if it succeeded. Its output is written to stderr."""
        try:
            done = subprocess.run(  # noqa: S603 - the user's command
                self.command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=2,
                timeout=self.patience,
                # The command must not get the AWS credentials of this process.
                env={name: value for name, value in self.environ.items() if not name.startswith("AWS_")},
            )
        except subprocess.TimeoutExpired:
            return f"did not end within {self.patience:g} s"
        except OSError as error:
            return f"could not be run ({error.strerror})"
        return f"failed with exit code {done.returncode}" if done.returncode else ""


def _target(link: Path) -> str:
    """Return the target of a symbolic link, as written; empty if *link* is not a symbolic link."""
    return os.readlink(link) if link.is_symlink() else ""  # noqa: PTH115 - the text, not a path


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
