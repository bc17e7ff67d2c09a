"""``validate``: checks a custom certificate against all rules before its installation (R18-R28)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from ios_mdm import wiring
from ios_mdm.address import split_address
from ios_mdm.cli.checklist import show
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error
from ios_mdm.cli.output import echo
from ios_mdm.core.bundle import MAX_BUNDLE_BYTES, BundleError, read_bundle, read_certificates
from ios_mdm.core.bundle.password import MAX_PASSWORD_BYTES, PasswordError, password_text
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules import Context, best_judgment, unread_report
from ios_mdm.core.times import parsed_time, rfc3339, shifted_time
from ios_mdm.core.x509.chain import ordered_chain
from ios_mdm.core.x509.details import details
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.errors import DefinitionError
from ios_mdm.files import file_content, file_start
from ios_mdm.public_roots import is_public_root, public_roots

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from ios_mdm.core.bundle import CertificateFile
    from ios_mdm.core.rules import Report
    from ios_mdm.core.x509.values import CertificateDetails

__all__ = ["run"]

VIOLATIONS = 1
"""Exit code for a certificate that breaks a rule."""

_Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of a check: the report, and the details of the certificate or None if the bundle cannot be read."""

    report: Report
    details: CertificateDetails | None


def run(
    *,
    bundle: Path,
    address: str,
    password_file: Path | None,
    slot: str,
    current: Path | None,
    root: Path | None,
    trust: tuple[Path, ...],
    apply_at: str | None,
    at: str | None,
    as_json: bool,
    junit: Path | None,
) -> None:
    """Check a custom certificate: list every rule that it breaks, and what to do. Writes nothing to AWS."""
    with exit_on_error(CANNOT_RUN):
        if apply_at is not None and slot != Slot.RESERVE:
            raise DefinitionError("--apply-at is the apply time of a reserve: add --for reserve, or remove --apply-at")
        context, notices = _context(
            address=address,
            slot=slot,
            current=current,
            root=root,
            trust=trust,
            apply_at=_time("--apply-at", apply_at),
            now=_now(at),
        )
        result = _result(bundle, password_file, context, notices)
        if junit is not None:
            _write_junit(junit, result.report, bundle)
        if as_json:
            echo(json.dumps(_answer(result, context.now), indent=2))
        else:
            show(result.report, result.details, file=bundle.name, address=context.host, now=context.now)
        raise click.exceptions.Exit(0 if result.report.is_valid else VIOLATIONS)


def _context(
    *,
    address: str,
    slot: str,
    current: Path | None,
    root: Path | None,
    trust: tuple[Path, ...],
    apply_at: datetime | None,
    now: datetime,
) -> tuple[Context, tuple[str, ...]]:
    """Return the inputs of the rules, and the notices about the files of the options."""
    files = {
        option: tuple(_certificates(option, one) for one in given if one is not None)
        for option, given in (("--current", (current,)), ("--root", (root,)), ("--trust", trust))
    }
    found = {option: tuple(one for file in read for one in file.certificates) for option, read in files.items()}
    chain, roots = found["--current"], found["--root"]
    if chain:
        chain = ordered_chain(chain)
    if len(roots) > 1:
        raise DefinitionError(f"--root {root} holds {len(roots)} certificates: remove all except the root")
    if roots and not is_self_signed(roots[0]):
        raise DefinitionError(f"--root {root} is not self-signed: use the last certificate of the chain")
    context = Context(
        host=_host(address),
        now=now,
        slot=Slot(slot),
        apply_at=apply_at,
        current=chain,
        issued=_is_issued(chain),
        root=roots[0] if roots else None,
        trust=found["--trust"],
        public_roots=public_roots,
        is_public_root=is_public_root,
    )
    return context, tuple(notice for read in files.values() for file in read for notice in file.notices)


def _is_issued(chain: tuple[x509.Certificate, ...]) -> bool:
    if not chain:
        return False
    from ios_mdm.core.x509.issuing import is_issued

    return is_issued(chain)


def _host(address: str) -> str:
    try:
        return split_address(address)[0]
    except ValueError as error:
        problem = str(error)
    raise DefinitionError(f"--address {problem}")


def _result(file: Path, password_file: Path | None, context: Context, notices: tuple[str, ...]) -> Result:
    # One byte more than the limit: the rules report a bundle that is too large (R18).
    data = file_start(file, size=MAX_BUNDLE_BYTES + 1, named=f"BUNDLE {file}", allows_pipe=True)
    password = None if password_file is None else _password(password_file)
    try:
        bundle = read_bundle(data, password, wiring.process_wiring().sealed_reader())
        judgment = best_judgment(replace(bundle, notices=(*bundle.notices, *notices)), context)
    except BundleError as error:
        return Result(report=unread_report(error), details=None)
    return Result(report=judgment.report, details=details(judgment.candidate.pem))


def _certificates(option: str, file: Path) -> CertificateFile:
    """Read the certificates in a file. Each notice starts with the option and the file."""
    try:
        found = read_certificates(_read(option, file, MAX_BUNDLE_BYTES))
    except BundleError as error:
        problem = str(error)
    else:
        return replace(found, notices=tuple(f"{option} {file}: {notice}" for notice in found.notices))
    raise DefinitionError(f"{option} {file}: {problem}")


def _password(file: Path) -> str:
    content = _read("--password-file", file, MAX_PASSWORD_BYTES)
    try:
        return password_text(content)
    except PasswordError as error:
        problem = str(error)
    raise DefinitionError(f"--password-file {file} {problem}")


def _read(option: str, file: Path, limit: int) -> bytes:
    return file_content(file, limit=limit, named=f"{option} {file}", allows_pipe=True)


def _now(text: str | None) -> datetime:
    moment = _time("--at", text)
    if moment is not None:
        return moment
    return wiring.process_wiring().clock().now()


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parsed_time(text)
    except ValueError as error:
        raise DefinitionError(f"{option} {error}") from None


def _answer(result: Result, now: datetime) -> _Json:
    report, shown = result.report, result.details
    return {
        "valid": report.is_valid,
        "violations": [
            {
                "code": one.code,
                "subject": one.subject,
                "found": one.found,
                "required": one.required,
                "message": one.message,
            }
            for one in report.violations
        ],
        "notices": list(report.notices),
        "certificate": None
        if shown is None
        else {
            "source": "installed",
            "subject": shown.subject,
            "issuer": shown.issuer,
            "sans": list(shown.sans),
            "serialNumber": shown.serial_number,
            "sha256": shown.sha256,
            "root": shown.root,
            "rootSha256": shown.root_sha256,
            "key": shown.key,
            "notBefore": rfc3339(shown.not_before),
            "notAfter": rfc3339(shown.not_after),
            "daysLeft": max(shifted_time(shown.not_after, timedelta(seconds=1)) - now, timedelta()).days,
        },
    }


def _write_junit(file: Path, report: Report, bundle: Path) -> None:
    from ios_mdm.cli.junit import junit_xml

    try:
        file.write_bytes(junit_xml(report, name=f"validate {bundle.name}"))
    except OSError as error:
        raise DefinitionError(f"--junit {file} cannot be written: {error.strerror}") from None
