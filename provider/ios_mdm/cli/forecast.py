"""``forecast``: what will happen to a pair, and when, without AWS."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ios_mdm import wiring
from ios_mdm.app.offers import Offers
from ios_mdm.app.recorded import Recorded
from ios_mdm.cli.definition_file import read_definition
from ios_mdm.cli.exits import CANNOT_RUN, FILE, explained
from ios_mdm.cli.timeline.page import Row, timeline_svg
from ios_mdm.core.pair.decision import IssueRequest
from ios_mdm.core.pair.forecast import foreseen_life
from ios_mdm.core.pair.lifecycle import foreseen
from ios_mdm.core.pair.observed import Role
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.forecast import Event
    from ios_mdm.settings import ServerSettings

__all__ = ["forecast"]

MOST_DAYS = 36500


@click.command(short_help="Play the life of a new pair forward; needs no AWS.")
@click.argument("definition", type=FILE, metavar="DEFINITION.yaml")
@click.option("--server", metavar="NAME", help="Of this server only.")
@click.option("--from", "start", metavar="T", help="RFC 3339; now by default.")
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=800, show_default=True, metavar="N", help="How far to look."
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--svg", type=FILE, metavar="FILE", help="Also draw the timeline into this file.")
def forecast(
    *, definition: Path, server: str | None, start: str | None, days: int, as_json: bool, svg: Path | None
) -> None:
    """Play the life of a new pair forward, as if an `up` ran whenever something is due. Needs no AWS.

    DEFINITION.yaml is a stack file, or a list of servers.

    Exit codes: 0; 2 cannot run.
    """
    with explained(CANNOT_RUN):
        rows = _rows(definition, server, _start(start), days)
        if svg is not None:
            _draw(rows, svg)
        found = sorted(((row.name, event) for row in rows for event in row.life.events), key=lambda one: one[1].at)
        if as_json:
            listed = [
                {"at": f"{event.at:%Y-%m-%dT%H:%M:%SZ}", "server": name, "event": event.event, "reason": event.reason}
                for name, event in found
            ]
            click.echo(json.dumps({"events": listed}, indent=2))
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
    """Return what the core decides from; of custom certificates the dates are read from their files."""
    if not server.installs:
        return server.definition()
    reader = replace(wiring.here(), base=base).local_bundles()
    issued = None if server.main.install is not None else foreseen(_first(server), start)
    offers = Offers.read(server, Recorded(), reader, start, current=None, main=issued)
    for role in offers.found:
        for text in offers.broken(role):
            click.echo(f"{server.name}: a new pair would be refused: {text}", err=True)
    offered = {role: read.offered for role, read in offers.found.items()}
    return server.definition(main=offered.get(Role.MAIN), reserve=offered.get(Role.RESERVE))


def _first(server: ServerSettings) -> IssueRequest:
    issue = server.main.issue
    return IssueRequest(
        ordinal=1, role=Role.MAIN, key=issue.key, validity_days=issue.validity_days, generation=issue.generation
    )


def _draw(rows: list[Row], file: Path) -> None:
    try:
        file.write_bytes(timeline_svg(rows).encode())
    except OSError as error:
        raise DefinitionError(f"--svg {file} cannot be written: {error.strerror}") from None


def _start(text: str | None) -> datetime:
    if text is None:
        return wiring.here().clock().now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise DefinitionError(f"--from {text!r} is not a date and time of RFC 3339, such as 2040-01-01T00:00:00Z")
    return moment.astimezone(UTC).replace(microsecond=0)


def _show(found: list[tuple[str, Event]]) -> None:
    table = Table("at (UTC)", "server", "event", "reason")
    for name, event in found:
        table.add_row(f"{event.at:%Y-%m-%d %H:%M}", name, event.event, event.reason)
    Console().print(table)
