"""``devices``: lists the devices of the servers as a table, as CSV or as JSON. Memory does not grow with the list."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import click

from ios_mdm import wiring
from ios_mdm.app.status.device_list import device_list
from ios_mdm.cli.definition_file import read_definition, selected_stack_file
from ios_mdm.cli.exits import Exit, exit_on_error, print_error
from ios_mdm.cli.json_stream import json_parts
from ios_mdm.cli.output import echo, echo_parts
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.text import printable
from ios_mdm.core.times import rfc3339
from ios_mdm.errors import DefinitionError, IosMdmError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.app.status.device_list import DeviceList
    from ios_mdm.app.status.fleet import FleetDevice
    from ios_mdm.settings import ServerSettings

__all__ = ["run"]

_Json = dict[str, object]
_COLUMNS = ("server", "id", "state", "since", "lastSeen", "revision", "reason")
_LINE = "{:36}  {:12}  {:20}  {:20}  {:>8}  {}"
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet evaluates a cell with one of these first characters. The last four are their full-width forms."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A server, and its devices or the error that made them unknown."""

    server: ServerSettings
    devices: DeviceList | None
    problem: str = ""


def run(*, definition: Path | None, server: str | None, states: Sequence[str], as_csv: bool, as_json: bool) -> None:
    """List devices."""
    with exit_on_error(Exit.UNKNOWN):
        found = _found_devices(definition, server)
        chosen = frozenset(map(DeviceState, states)) or frozenset(DeviceState)
        for one in found:
            _print_messages(one, is_complete=not as_json)
        code = _exit_code(found)
        if as_json:
            answer = {"servers": (_server(one, chosen) for one in found), "severity": code.name.lower()}
            echo_parts(chain(json_parts(answer), ["\n"]))
        elif as_csv:
            echo_parts(_csv_lines(found, chosen))
        else:
            for one in found:
                echo_parts(_lines(one, chosen))
        raise click.exceptions.Exit(code)


def _found_devices(file: Path | None, name: str | None) -> Sequence[_Found]:
    """Return the servers of a definition that have a ledger.

    Raises:
        DefinitionError: There is no such server, or none has a ledger.
    """
    definition = read_definition(selected_stack_file(os.environ) if file is None else file)
    aws, here = definition.settings.aws, replace(wiring.process_wiring(), base=definition.base)
    now, found = here.clock().now(), []
    for server in definition.servers(name):
        settings = server.distribution
        if settings is None or settings.ledger is None:
            continue
        observe = partial(here.pairs(aws.region).observe, aws.secret_name(server.name))
        try:
            ledger = here.ledger(settings.ledger, aws.region)
            devices = device_list(server.name, settings, ledger, observe, base=here.base, now=now)
        except IosMdmError as error:
            found.append(_Found(server, None, str(error)))
        else:
            found.append(_Found(server, devices))
    if not found:
        which = "no server" if name is None else f"not the server {name}"
        raise DefinitionError(
            f"{definition.path.name}: {which} has distribution.ledger, which records the states of devices: add "
            "`ledger: sqlite:///path`, and run `pulumi up`"
        )
    return found


def _exit_code(found: Sequence[_Found]) -> Exit:
    if any(one.devices is None for one in found):
        return Exit.UNKNOWN
    return Exit.OK if all(one.devices is not None and one.devices.is_covered for one in found) else Exit.WARNING


def _print_messages(found: _Found, *, is_complete: bool) -> None:
    """Print the error of a server to stderr, and its notices if *is_complete* is True."""
    if found.devices is None:
        print_error(found.problem)
    elif is_complete:
        for notice in found.devices.notices:
            echo(printable(f"{notice.severity}: {found.server.name}: {notice.message}"), err=True)


def _lines(found: _Found, states: Collection[DeviceState]) -> Iterator[str]:
    """Yield the table of a server. A long id shifts its line, because the width is not known in advance."""
    if found.devices is None:
        return
    fleet = found.devices.fleet
    counts = f": {fleet.states_text}" if fleet.states_text else ""
    yield f"{found.server.name} ({found.server.address}): {fleet.coverage_text}{counts}\n"
    header = True
    for device in fleet.devices(states):
        if header:
            yield _line("ID", "STATE", "SINCE", "LAST SEEN", "REVISION", "REASON")
            header = False
        status = device.status
        revision = "" if device.revision is None else str(device.revision)
        since, seen = _time_text(device.since), _time_text(device.seen_at)
        yield _line(printable(status.enrollment_id), status.state, since, seen, revision, printable(status.detail))


def _line(*cells: str) -> str:
    return _LINE.format(*cells).rstrip() + "\n"


def _csv_lines(found: Sequence[_Found], states: Collection[DeviceState]) -> Iterator[str]:
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL, lineterminator="\n")
    yield writer.writerow(_COLUMNS)
    for one in found:
        for device in () if one.devices is None else one.devices.fleet.devices(states):
            row = [_safe_cell(one.server.name), *(_safe_cell(str(cell)) for cell in _cells(device).values())]
            yield writer.writerow(row)


class _Echo:
    """A file that returns the text that is written to it."""

    def write(self, text: str) -> str:
        """Return *text*."""
        return text


def _safe_cell(text: str) -> str:
    """Return a cell that no spreadsheet evaluates. Ids and reasons are texts of devices."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown


def _server(found: _Found, states: Collection[DeviceState]) -> _Json:
    if found.devices is None:
        notice = {"severity": "unknown", "reason": "unknown", "message": found.problem}
        return {"name": found.server.name, "notices": [notice]}
    fleet, publication = found.devices.fleet, found.devices.publication
    return {
        "name": found.server.name,
        "profile": None if publication is None else publication.digest,
        "revision": None if publication is None else publication.revision,
        "proof": fleet.policy.is_proof_configured,
        "states": {str(state): count for state, count in fleet.states.items()},
        "notices": [
            {"severity": str(one.severity), "reason": one.reason, "message": one.message}
            for one in found.devices.notices
        ],
        "devices": map(_json_device, fleet.devices(states)),
    }


def _json_device(device: FleetDevice) -> _Json:
    return {key: value if value != "" else None for key, value in _cells(device).items()}


def _cells(device: FleetDevice) -> dict[str, str | int]:
    """Return the columns of a device. An unknown value is an empty text."""
    status = device.status
    return {
        "id": status.enrollment_id,
        "state": str(status.state),
        "since": _time_text(device.since),
        "lastSeen": _time_text(device.seen_at),
        "revision": "" if device.revision is None else device.revision,
        "reason": status.detail,
    }


def _time_text(time: datetime | None) -> str:
    return "" if time is None else rfc3339(time)
