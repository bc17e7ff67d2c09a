"""Reads the custom certificates that a definition offers, and checks them against the rules (R18-R28).

The bytes of a file and its password are only in memory, and only while the file is read (R29).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.app.references import password, secret_value
from ios_mdm.core.bundle import MAX_BUNDLE_BYTES, BundleError, read_bundle, read_certificates
from ios_mdm.core.bundle.password import MAX_PASSWORD_BYTES, PasswordError, password_text
from ios_mdm.core.pair.definition import OfferedCertificate, Slot
from ios_mdm.core.rules import Context, best_judgment
from ios_mdm.core.x509.credential import MAX_BYTES, credential_of, credential_problem, stored_size
from ios_mdm.core.x509.digests import chain_digest, fingerprint, root_digest
from ios_mdm.core.x509.pem import chain
from ios_mdm.errors import DefinitionError, IosMdmError
from ios_mdm.files import file_content, file_start
from ios_mdm.public_roots import is_public_root, public_roots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from ios_mdm.core.bundle import Bundle, CertificateFile, SealedReader
    from ios_mdm.core.rules import Report
    from ios_mdm.core.x509.chain import Candidate
    from ios_mdm.core.x509.values import Credential
    from ios_mdm.ports import SecretBytes
    from ios_mdm.settings import InstallMainSettings, InstallReserveSettings

__all__ = ["BundleReader", "CheckedBundle", "Circumstances"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Inputs of the check of a custom certificate, in addition to the file.

    Args:
        host: connection address without its port.
        now: time of the check, aware UTC.
        slot: slot that the certificate is for.
        outlives: time at which a reserve must still be valid: its apply time or main's expiry, aware UTC; None if there
            is no such time.
        root: digest of main's root, which must also be the reserve's root (R24); None if any root is allowed.
        known_root: PEM of a root that is recorded elsewhere and can complete the chain; None for none.
    """

    host: str
    now: datetime
    slot: Slot
    outlives: datetime | None = None
    root: str | None = None
    known_root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBundle:
    """A custom certificate after it was read and checked. No ``repr`` shows its key.

    Args:
        candidate: certificate, key and chain.
        report: results of the rules.
    """

    candidate: Candidate
    report: Report

    @property
    def offered_certificate(self) -> OfferedCertificate:
        """The public facts of the certificate."""
        leaf = self.candidate.leaf
        return OfferedCertificate(
            sha256=fingerprint(leaf),
            root=root_digest(self.candidate.root or self.candidate.chain[-1]),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            chain=chain_digest(self.candidate.chain),
        )

    @property
    def root(self) -> str:
        """PEM of the root; empty if the chain has none."""
        return "" if self.candidate.root is None else _pem(self.candidate.root)

    @property
    def problem(self) -> str | None:
        """The reason why no pair can hold the certificate, even with ``adopt``; None if a pair can."""
        return "its chain has no root" if self.candidate.root is None else credential_problem(self.credential())

    def credential(self) -> Credential:
        """Return the stored form of the certificate: leaf and issuers, key, root.

        Raises:
            DefinitionError: The chain has no root, which devices must trust.
        """
        one = self.candidate
        if one.root is None:
            raise DefinitionError(
                "the chain has no root certificate, which devices must trust: add it to the bundle, or name its file "
                "under trust"
            )
        return credential_of(one.chain, one.key, one.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReader:
    """Reads bundles from files and secrets.

    Args:
        base: folder of the project, which relative paths start from.
        environ: environment variables, for ``passwordEnv``.
        sealed: opens PFX files and encrypted keys.
        secrets: reads secrets, for ``bundle: secret:…`` and ``passwordSecret``; None if AWS must not be contacted.
    """

    base: Path
    environ: Mapping[str, str]
    sealed: SealedReader
    secrets: SecretBytes | None = None

    def read(self, install: InstallMainSettings | InstallReserveSettings, by: Circumstances) -> CheckedBundle:
        """Read the certificate of a bundle and check it.

        Raises:
            BundleError: The file cannot be read as a bundle (R18).
            DefinitionError: A file, secret or variable of the definition does not exist or cannot be used, the
                certificate has another root than main, or it is too large for a secret.
        """
        where = f"{by.slot}.install"
        bundle = self._bundle(install, where)
        files = [self._trust_file(path, where) for path in install.trust]
        trust = tuple(one for file in files for one in file.certificates)
        known = () if by.known_root is None else chain(by.known_root)
        wanted = [one for one in (*known, *trust, *bundle.certificates) if by.root == root_digest(one)]
        context = Context(
            host=by.host,
            now=by.now,
            slot=by.slot,
            apply_at=by.outlives,
            issued=by.root is None,
            root=wanted[0] if wanted else None,
            trust=(*trust, *known),
            public_roots=public_roots,
            is_public_root=is_public_root,
        )
        notices = [
            f"{path}: {notice}" for path, file in zip(install.trust, files, strict=True) for notice in file.notices
        ]
        found = best_judgment(replace(bundle, notices=(*bundle.notices, *notices)), context)
        read = CheckedBundle(candidate=found.candidate, report=found.report)
        if by.root is not None and not wanted and read.candidate.root is not None:
            # Only the digest of main's root is recorded, and no certificate of the definition has this digest.
            raise DefinitionError(
                f"{where}: root-mismatch: the chain ends in {fingerprint(read.candidate.root)}, which is not the "
                "root of main. Have the certificate issued under main's root, or name the file of main's root under "
                "trust"
            )
        # AWS refuses the value only in `up`, after the pair has announced it (R40).
        if read.candidate.root is not None and (size := stored_size(read.credential())) > MAX_BYTES:
            raise DefinitionError(
                f"{where}: certificate, chain and private key need {size:,} bytes, but a secret in AWS holds at most "
                f"{MAX_BYTES:,} bytes. Have a certificate issued with fewer names, or with a shorter chain"
            )
        return read

    def _bundle(self, install: InstallMainSettings | InstallReserveSettings, where: str) -> Bundle:
        if install.bundle_secret is None:
            # One byte more than allowed, so that `read_bundle` reports a larger bundle with its code (R18).
            named = f"{where}.bundle: {install.bundle}"
            data = file_start(self.base / install.bundle, size=MAX_BUNDLE_BYTES + 1, named=named)
        else:
            data = secret_value(self._secrets(install.bundle_secret, where), install.bundle_secret, f"{where}.bundle")
        return read_bundle(data, self._password(install, where), self.sealed)

    def _password(self, install: InstallMainSettings | InstallReserveSettings, where: str) -> str | None:
        if install.password_secret is not None:
            secrets = self._secrets(install.password_secret, where)
            return password(secrets, install.password_secret, f"{where}.passwordSecret")
        if install.password_file is not None:
            named = f"{where}.passwordFile"
            content = self._file(install.password_file, named, limit=MAX_PASSWORD_BYTES)
            try:
                return password_text(content)
            except PasswordError as error:
                problem = str(error)
            raise DefinitionError(f"{named}: {install.password_file} {problem}")
        if install.password_env is None:
            return None
        if install.password_env not in self.environ:
            raise DefinitionError(
                f"{where}.passwordEnv: the variable {install.password_env} is not set: set it, or correct the name"
            )
        return self.environ[install.password_env]

    def _trust_file(self, path: str, where: str) -> CertificateFile:
        data = self._file(path, f"{where}.trust", limit=MAX_BUNDLE_BYTES)
        try:
            return read_certificates(data)
        except BundleError as error:
            problem = str(error)
        raise DefinitionError(f"{where}.trust: {path}: {problem}")

    def _file(self, path: str, where: str, *, limit: int) -> bytes:
        return file_content(self.base / path, limit=limit, named=f"{where}: {path}")

    def _secrets(self, name: str, where: str) -> SecretBytes:
        if self.secrets is None:
            raise DefinitionError(f"{where}: the secret {name} is in AWS, which this command does not contact")
        return self.secrets


def bundle_problem(error: IosMdmError, slot: Slot) -> str:
    """Return the message of an error of a bundle, with the path of its key, and with the code of R18 if it has one."""
    if isinstance(error, BundleError):
        return f"{slot}.install: {error.code}: {error}"
    return str(error) if isinstance(error, DefinitionError) else f"{slot}.install: {error}"


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
