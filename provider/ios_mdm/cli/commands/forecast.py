"""``forecast``: its options and help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["forecast"]

MAX_DAYS = 36500


@click.command(short_help="Play the life of a new pair forward; needs no AWS.")
@click.argument("definition", type=FILE, metavar="DEFINITION.yaml")
@click.option("--server", metavar="NAME", help="Of this server only.")
@click.option("--from", "start", metavar="T", help="RFC 3339; now by default.")
@click.option(
    "--days", type=click.IntRange(1, MAX_DAYS), default=800, show_default=True, metavar="N", help="How far to look."
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
    from ios_mdm.cli import forecast as work

    work.run(definition=definition, server=server, start=start, days=days, as_json=as_json, svg=svg)
