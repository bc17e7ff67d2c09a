"""``forecast``: lists the future events of a new pair. Does not contact AWS."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ios_mdm import wiring
from ios_mdm.cli.definition_file import read_definition
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error
from ios_mdm.cli.output import echo
from ios_mdm.cli.timeline.page import Row, timeline_svg
from ios_mdm.core.pair.decision import IssueRequest
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.pair.forecast import foreseen_life
from ios_mdm.core.pair.lifecycle import foreseen_facts
from ios_mdm.core.times import parsed_time, rfc3339
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.forecast import Event
    from ios_mdm.settings import ServerSettings

__all__ = ["run"]


def run(*, definition: Path, server: str | None, start: str | None, days: int, as_json: bool, svg: Path | None) -> None:
    """Forecast the events of a new pair, as if `pulumi up` ran whenever a change is due. Does not contact AWS."""
    with exit_on_error(CANNOT_RUN):
        rows = _rows(definition, server, _start(start), days)
        if svg is not None:
            _draw(rows, svg)
        found = sorted(((row.name, event) for row in rows for event in row.life.events), key=lambda one: one[1].at)
        if as_json:
            listed = [
                {"at": rfc3339(event.at), "server": name, "event": event.event, "reason": event.reason}
                for name, event in found
            ]
            echo(json.dumps({"events": listed}, indent=2))
        else:
            _show(found)


def _rows(file: Path, name: str | None, start: datetime, days: int) -> list[Row]:
    definition = read_definition(file)
    return [
        Row(
            name=server.name,
            address=server.address,
            warn_days=server.warn_days,
            life=foreseen_life(_definition(server, definition.base, start), start=start, days=days),
        )
        for server in definition.servers(name)
    ]


def _definition(server: ServerSettings, base: Path, start: datetime) -> PairDefinition:
    """Return the definition of the pair, with the custom certificates that its files hold."""
    if not server.has_custom_certificate:
        return server.definition()
    issued = None if server.main.install is not None else foreseen_facts(_first(server), start)
    offers = replace(wiring.process_wiring(), base=base).local_offers(server, start, issued)
    for slot in offers.found:
        for text in offers.slot_refusals(slot):
            echo(f"{server.name}: `pulumi up` refuses to create this pair: {text}", err=True)
    offered = {slot: read.offered_certificate for slot, read in offers.found.items()}
    return server.definition(main=offered.get(Slot.MAIN), reserve=offered.get(Slot.RESERVE))


def _first(server: ServerSettings) -> IssueRequest:
    issue = server.main.issue
    return IssueRequest(
        ordinal=1, slot=Slot.MAIN, key=issue.key, validity_days=issue.validity_days, generation=issue.generation
    )


def _draw(rows: list[Row], file: Path) -> None:
    try:
        file.write_bytes(timeline_svg(rows).encode())
    except OSError as error:
        raise DefinitionError(f"--svg {file} cannot be written: {error.strerror}") from None


def _start(text: str | None) -> datetime:
    if text is None:
        return wiring.process_wiring().clock().now()
    try:
        return parsed_time(text)
    except ValueError as error:
        raise DefinitionError(f"--from {error}") from None


def _show(found: list[tuple[str, Event]]) -> None:
    table = Table("at (UTC)", "server", "event", "reason")
    for name, event in found:
        table.add_row(f"{event.at:%Y-%m-%d %H:%M}", name, event.event, event.reason)
    Console().print(table)
