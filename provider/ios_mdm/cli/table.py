"""Prints the state of pairs: one table per server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ios_mdm.app.wording import local_time, notice_text
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ios_mdm.app.status.coverage import Distribution
    from ios_mdm.app.status.overview import Certificate, Overview
    from ios_mdm.app.status.watched import Watched
    from ios_mdm.core.connection.readiness import EndpointReadiness

__all__ = ["show", "show_watched"]

_WIDTH = 120
"""Columns if stdout is not a terminal. Wrapped lines in a log are hard to search."""
_STYLES = {
    "ok": "green",
    "at-risk": "yellow",
    "warning": "yellow",
    "unknown": "magenta",
    "critical": "bold red",
    "failed": "red",
}


def show(overview: Overview) -> None:
    """Print the table of a server to stdout."""
    _print(_table(overview))


def show_watched(found: Sequence[Watched]) -> None:
    """Print the table of the watched certificates to stdout."""
    level = max(one.level for one in found).name.lower()
    table = Table(
        title=Text.assemble("also watched: ", (level, _STYLES[level])), title_justify="left", show_header=False
    )
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for one in found:
        table.add_section()
        table.add_row(one.name, _text(one.source))
        if one.certificate is not None:
            if one.certificate.subject is not None:
                table.add_row("  subject", _text(one.certificate.subject))
            if one.certificate.topic is not None:
                table.add_row("  topic", _text(one.certificate.topic))
            table.add_row("  valid", f"to {_utc(one.certificate.not_after)}, {one.days_left} days left")
        for notice in one.notices:
            table.add_row(_text(f"  {notice.severity}", str(notice.severity)), _text(notice_text(notice, one.now)))
    _print(table)


def _print(table: Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    console.print(table)


def _table(overview: Overview) -> Table:
    level = overview.level.name.lower()
    table = Table(
        title=Text.assemble(f"{overview.name} ({overview.address}): ", (level, _STYLES[level])),
        title_justify="left",
        show_header=False,
    )
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    if overview.problem is not None:
        table.add_row("unknown", _text(overview.problem, "unknown"))
    if overview.phase is not None:
        table.add_row("phase", str(overview.phase))
        table.add_row("due next", _text(overview.due))
    for slot, certificate in (("main", overview.main), ("reserve", overview.reserve)):
        if certificate is not None or overview.problem is None:  # "none" might be wrong for an unknown pair
            _certificate(table, slot, certificate)
    if overview.apply_at is not None:
        local = local_time(overview.apply_at)
        here = f" ({local:%Y-%m-%d %H:%M:%S %Z})" if local.utcoffset() else ""
        table.add_row("applies", f"{_utc(overview.apply_at)}{here}")
    if overview.scheduled:
        table.add_row("", "automatically, by a schedule in AWS")
    _endpoints(table, overview.endpoints)
    if overview.distribution is not None:
        _distribution(table, overview.distribution)
    if overview.notices:
        table.add_section()
    for notice in overview.notices:
        table.add_row(_text(str(notice.severity), str(notice.severity)), _text(notice_text(notice, overview.now)))
    return table


def _certificate(table: Table, slot: str, one: Certificate | None) -> None:
    table.add_section()
    if one is None:
        table.add_row(slot, "none")
        return
    table.add_row(slot, f"certificate {one.ordinal}, {one.source}")
    if one.details is not None:
        table.add_row("  subject", _text(one.details.subject))
        table.add_row("  issuer", _text(one.details.issuer))
        if one.details.root is not None:
            table.add_row("  root", _text(one.details.root))
            table.add_row("", one.details.root_sha256)
        table.add_row("  SANs", _text(", ".join(one.details.sans) or "none"))
        table.add_row("  serial", one.details.serial_number)
        table.add_row("  key", one.details.key)
    table.add_row("  SHA-256", one.sha256)
    table.add_row("  valid", f"{_utc(one.not_before)} to {_utc(one.not_after)}, {one.days_left} days left")


def _endpoints(table: Table, endpoints: Sequence[EndpointReadiness]) -> None:
    if endpoints:
        table.add_section()
    for number, one in enumerate(endpoints):
        style = str(one.verdict)
        table.add_row("" if number else "endpoints", _text(f"{one.served.endpoint}: {one.text}", style))


def _distribution(table: Table, one: Distribution) -> None:
    table.add_section()
    table.add_row("profile", one.identifier)
    table.add_row("  SHA-256", one.profile or "unknown")
    table.add_row("  devices", one.coverage_text)
    if one.fleet is not None and one.fleet.size:
        table.add_row("  states", one.fleet.states_text)
    for label, line in _missing(one):
        table.add_row(label, line)


def _missing(one: Distribution) -> Iterator[tuple[Text, Text]]:
    for device in (found.status for found in one.first_missing):
        detail = f": {device.detail}" if device.detail else ""
        yield _text(f"  {device.state}", device.state), _text(f"{device.enrollment_id}{detail}")
    more = one.missing_count - len(one.first_missing)
    if one.fleet is not None and one.first_missing and more > 0:
        yield Text("  …"), Text(f"and {more} more: {one.fleet.command(one.fleet.lacking_states)}")


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _text(text: str, kind: str = "") -> Text:
    """Return *text* without markup or control characters: text of devices must not reach the terminal as commands."""
    return Text(printable(text, keep="\n"), style=_STYLES.get(kind, ""))
