"""``validate``: checks a custom certificate against all rules before its installation (R18-R28)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from ios_mdm import wiring
from ios_mdm.address import split_address
from ios_mdm.cli.checklist import show
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error
from ios_mdm.cli.junit import junit_xml
from ios_mdm.core.bundle import MAX_BUNDLE_BYTES, BundleError, read_bundle
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules import Context, best_judgment, unread_report
from ios_mdm.core.rules.reading import certificates_in
from ios_mdm.core.times import parsed_time, rfc3339
from ios_mdm.core.x509.chain import ordered_chain
from ios_mdm.core.x509.details import details
from ios_mdm.core.x509.issuing import is_issued
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.errors import DefinitionError
from ios_mdm.files import KIB, file_content, file_start
from ios_mdm.public_roots import is_public_root

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from ios_mdm.core.rules import Report
    from ios_mdm.core.x509.values import CertificateDetails

__all__ = ["run"]

VIOLATIONS = 1
"""Exit code for a certificate that breaks a rule."""
MAX_PASSWORD_FILE = 4 * KIB

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
        context = _context(
            address=address,
            slot=slot,
            current=current,
            root=root,
            trust=trust,
            apply_at=_time("--apply-at", apply_at),
            now=_now(at),
        )
        result = _result(bundle, password_file, context)
        if junit is not None:
            _write_junit(junit, result.report, bundle)
        if as_json:
            click.echo(json.dumps(_answer(result, context.now), indent=2))
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
) -> Context:
    chain = () if current is None else ordered_chain(_certificates("--current", current))
    roots = () if root is None else _certificates("--root", root)
    if len(roots) > 1:
        raise DefinitionError(f"--root {root} holds {len(roots)} certificates: remove all except the root")
    if roots and not is_self_signed(roots[0]):
        raise DefinitionError(f"--root {root} is not self-signed: use the last certificate of the chain")
    return Context(
        host=_host(address),
        now=now,
        slot=Slot(slot),
        apply_at=apply_at,
        current=chain,
        issued=is_issued(chain),
        root=roots[0] if roots else None,
        trust=tuple(one for file in trust for one in _certificates("--trust", file)),
        is_public_root=is_public_root,
    )


def _host(address: str) -> str:
    try:
        return split_address(address)[0]
    except ValueError as error:
        problem = str(error)
    raise DefinitionError(f"--address {problem}")


def _result(file: Path, password_file: Path | None, context: Context) -> Result:
    # One byte more than the limit: the rules report a bundle that is too large (R18).
    data = file_start(file, size=MAX_BUNDLE_BYTES + 1, named=f"BUNDLE {file}", allows_pipe=True)
    password = None if password_file is None else _password(password_file)
    try:
        judgment = best_judgment(read_bundle(data, password), context)
    except BundleError as error:
        return Result(report=unread_report(error), details=None)
    return Result(report=judgment.report, details=details(judgment.candidate.pem))


def _certificates(option: str, file: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates in a file and ignore other content. Errors do not quote the file (R29)."""
    found = certificates_in(_read(option, file, MAX_BUNDLE_BYTES))
    if not found:
        raise DefinitionError(f"{option} {file} holds no readable certificate: use certificates in PEM")
    return found


def _password(file: Path) -> str:
    """Read a password from a file, without the line end that editors add."""
    try:
        text = _read("--password-file", file, MAX_PASSWORD_FILE).decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise DefinitionError(f"--password-file {file} is not UTF-8: save the password as UTF-8 text")
    return text.removesuffix("\n").removesuffix("\r")


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
            "daysLeft": max(shown.not_after + timedelta(seconds=1) - now, timedelta()).days,
        },
    }


def _write_junit(file: Path, report: Report, bundle: Path) -> None:
    try:
        file.write_bytes(junit_xml(report, name=f"validate {bundle.name}"))
    except OSError as error:
        raise DefinitionError(f"--junit {file} cannot be written: {error.strerror}") from None
