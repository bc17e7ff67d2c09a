"""Prints the report about the next switch of a server as a table."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ios_mdm.app.readiness.values import Verdict, since
from ios_mdm.app.status.overview import Level
from ios_mdm.cli.readiness_words import (
    ANCHOR_ADVICE,
    PRESENTED,
    VERDICTS,
    anchor_text,
    device_summary,
    schedule_text,
    time_text,
)
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ios_mdm.app.readiness.values import DeviceReport, Report
    from ios_mdm.app.status.fleet import FleetDevice

__all__ = ["show"]

MAX_NAMES: Final = 20
"""Number of devices of a list that the table names."""

_WIDTH = 120
_STYLES = {Verdict.READY: "green", Verdict.UNKNOWN: "magenta", Verdict.NOT_READY: "bold red"}
_LEVELS = {
    Level.CRITICAL: ("obstacle", "bold red"),
    Level.UNKNOWN: ("unknown", "magenta"),
    Level.WARNING: ("warning", "yellow"),
}


def show(report: Report) -> None:
    """Print the report of a server to stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    console.print(_table(report))


def _table(report: Report) -> Table:
    status = report.overview
    table = Table(
        title=Text.assemble(f"{status.name} ({status.address}): ", (VERDICTS[report.verdict], _STYLES[report.verdict])),
        title_justify="left",
        show_header=False,
    )
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for reason in report.reasons:
        label, style = _LEVELS[reason.level]
        table.add_row(Text(label, style=style), _text(reason.message))
    table.add_section()
    for number, event in enumerate(report.timeline):
        table.add_row("" if number else "timeline", _text(f"{time_text(event.at)}  {event.text}"))
    if (schedule := schedule_text(report)) is not None:
        table.add_row("switch", schedule)
    if report.devices is not None:
        _devices(table, report.devices)
    if report.endpoints:
        table.add_section()
    for number, one in enumerate(report.endpoints):
        text = f"{one.name}: {PRESENTED[one.presented]}. Connection: {one.readiness.text}"
        table.add_row("" if number else "endpoints", _text(text))
    if report.anchors:
        table.add_section()
        table.add_row("not checked", ANCHOR_ADVICE)
    for anchor in report.anchors:
        table.add_row(f"  {anchor.slot}", _text(anchor_text(anchor)))
    return table


def _devices(table: Table, devices: DeviceReport) -> None:
    table.add_section()
    table.add_row("devices", _text(device_summary(devices)))
    if devices.fleet.size:
        table.add_row("  states", devices.fleet.states_text)
    if not devices.has_reserve:
        return
    lists = (
        ("lost", devices.lost_count, devices.lost_devices(), devices.lost_states),
        ("not proved", devices.unproved_count, devices.unproved_devices(), {DeviceState.ACKNOWLEDGED}),
    )
    for label, count, found, states in lists:
        if not count:
            continue
        table.add_row(f"  {label}", "1 device" if count == 1 else f"{count} devices")
        for device in _first(found, count):
            table.add_row("", _text(_device_text(device)))
        if count > MAX_NAMES:
            table.add_row("", _more(devices, count - MAX_NAMES, states))


def _first(found: Iterator[FleetDevice], count: int) -> Iterator[FleetDevice]:
    # Without a further device, the search would read all records.
    return islice(found, min(count, MAX_NAMES))


def _more(devices: DeviceReport, count: int, states: Collection[DeviceState]) -> str:
    return f"and {count} more: {devices.fleet.command(states)}"


def _device_text(device: FleetDevice) -> str:
    status, known = device.status, since(device)
    at = "" if known is None else f" since {time_text(known)}"
    return f"{status.enrollment_id}: {status.state}{at}{f' ({status.detail})' if status.detail else ''}"


def _text(text: str) -> Text:
    """Return *text* without markup or control characters."""
    return Text(printable(text, keep="\n"))
