"""Shows a person what the rules say of a custom certificate: the certificate, every rule, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from provider.core.rules import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from provider.core.model import CertificateDetails
    from provider.core.rules import Check, Report

__all__ = ["show"]

_WIDTH = 120
"""Columns where there is no terminal that has a width."""
_WORDS = {
    Outcome.PASSED: ("pass", "green"),
    Outcome.FAILED: ("FAIL", "bold red"),
    Outcome.NOT_APPLICABLE: ("n/a", "dim"),
}


def show(report: Report, details: CertificateDetails | None, *, file: str, address: str, now: datetime) -> None:
    """Print the checklist to stdout.

    Args:
        report: what was found.
        details: of the certificate, None where the file could not be read.
        file: the bundle's name.
        address: the host that it is held against.
        now: the moment of judgement.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    console.print(_headline(report, file, address, now))
    if details is not None:
        console.print(_certificate(details))
    console.print(_checklist(report))
    for notice in report.notices:
        console.print(Text.assemble(("notice: ", "yellow"), _plain(notice)))


def _headline(report: Report, file: str, address: str, now: datetime) -> Text:
    broken = sum(check.outcome is Outcome.FAILED for check in report.checklist)
    verdict = ("valid", "green") if report.valid else (f"{broken} rule{'s' * (broken != 1)} broken", "bold red")
    return Text.assemble(f"{_plain(file)} for {address} at {_utc(now)}: ", verdict)


def _certificate(details: CertificateDetails) -> Text:
    rows = {
        "subject": details.subject,
        "issuer": details.issuer,
        "SANs": ", ".join(details.sans) or "none",
        "serial": details.serial_number,
        "key": details.key,
        "SHA-256": details.sha256,
        "valid": f"{_utc(details.not_before)} to {_utc(details.not_after)}",
    }
    return Text("\n".join(f"  {label:<8} {_plain(value)}" for label, value in rows.items()))


def _checklist(report: Report) -> Table:
    table = Table(show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for check in report.checklist:
        word, style = _WORDS[check.outcome]
        table.add_row(Text(word, style=style), check.requirement, _rule(check))
    return table


def _rule(check: Check) -> Text:
    text = Text(check.title)
    for violation in check.violations:
        text.append("\n").append(violation.code, style="bold red").append(f": {_plain(violation.message)}")
    if check.outcome is Outcome.NOT_APPLICABLE:
        text.append(f"\n{_plain('; '.join(check.remarks))}", style="dim")
    return text


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _plain(text: str) -> str:
    """Return *text* without what a terminal would obey: names in certificates come from anywhere."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
