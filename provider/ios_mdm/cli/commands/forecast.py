"""Options and help of ``forecast``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["forecast"]

MAX_DAYS = 36500


@click.command(short_help="List the future events of a new pair. Does not contact AWS.")
@click.argument("definition", type=FILE, metavar="DEFINITION.yaml")
@click.option("--server", metavar="NAME", help="Forecast only this server.")
@click.option("--from", "start", metavar="T", help="Start of the forecast, RFC 3339. Default: now.")
@click.option(
    "--days",
    type=click.IntRange(1, MAX_DAYS),
    default=800,
    show_default=True,
    metavar="N",
    help="Length of the forecast in days.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--svg", type=FILE, metavar="FILE", help="Also draw a timeline into this file.")
def forecast(
    *, definition: Path, server: str | None, start: str | None, days: int, as_json: bool, svg: Path | None
) -> None:
    """List the future events of a new pair, as if `pulumi up` ran whenever a change is due. Does not contact AWS.

    DEFINITION.yaml is a stack file, or a list of servers.

    Exit codes: 0 success, 2 cannot run.
    """
    from ios_mdm.cli import forecast as work

    work.run(definition=definition, server=server, start=start, days=days, as_json=as_json, svg=svg)
