"""Prints the check of a custom certificate: its details, the outcome of each rule, and what to do."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import click

from ios_mdm.cli.output import echo
from ios_mdm.core.rules import Outcome
from ios_mdm.core.rules.reading import time_text
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ios_mdm.core.rules import Check, Report
    from ios_mdm.core.x509.values import CertificateDetails

__all__ = ["show"]

_WIDTH = 120
"""Columns if stdout is not a terminal."""
_INDENT = " " * 13
_WORDS = {
    Outcome.PASSED: ("pass", "green"),
    Outcome.FAILED: ("FAIL", "red"),
    Outcome.NOT_APPLICABLE: ("n/a", None),
}


def show(report: Report, details: CertificateDetails | None, *, file: str, address: str, now: datetime) -> None:
    """Print the checklist to stdout.

    Args:
        report: Result of the rules.
        details: Details of the certificate, or None if the bundle cannot be read.
        file: File name of the bundle.
        address: Host that the certificate is checked against.
        now: Time of the check.
    """
    width = _terminal_width() if sys.stdout.isatty() else _WIDTH
    for line in _lines(report, details, f"{printable(file)} for {address} at {time_text(now)}", width):
        echo(line)


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _lines(report: Report, details: CertificateDetails | None, subject: str, width: int) -> Iterator[str]:
    broken = sum(check.outcome is Outcome.FAILED for check in report.checklist)
    words, color = ("valid", "green") if report.is_valid else (f"{broken} rule{'s' * (broken != 1)} broken", "red")
    yield f"{subject}: {click.style(words, fg=color, bold=True)}"
    if details is not None:
        yield from _certificate(details)
    yield ""
    for check in report.checklist:
        yield from _rule(check, width)
    if report.notices:
        yield ""
    for notice in report.notices:
        first, *more = textwrap.wrap(printable(notice), width - 8, break_on_hyphens=False)
        yield f"{click.style('notice:', fg='yellow')} {first}"
        yield from (f"        {line}" for line in more)


def _certificate(details: CertificateDetails) -> Iterator[str]:
    rows = {
        "subject": details.subject,
        "issuer": details.issuer,
        "root": details.root or "unknown",
        "SANs": ", ".join(details.sans) or "none",
        "serial": details.serial_number,
        "key": details.key,
        "SHA-256": details.sha256,
        "valid": f"{time_text(details.not_before)} to {time_text(details.not_after)}",
    }
    yield from (f"  {label:<8} {printable(value)}" for label, value in rows.items())


def _rule(check: Check, width: int) -> Iterator[str]:
    """Yield a line for the rule, then its violations, or the reason why it does not apply."""
    word, color = _WORDS[check.outcome]
    mark = click.style(f"{word:<4}", fg=color, bold=check.outcome is Outcome.FAILED, dim=color is None)
    yield f"  {mark}  {check.requirement:<3}  {check.title}"
    below = [f"{violation.code}: {violation.message}" for violation in check.violations]
    if check.outcome is Outcome.NOT_APPLICABLE:
        below = ["; ".join(check.remarks)]
    for text in below:
        yield from textwrap.wrap(
            printable(text), width, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
        )
