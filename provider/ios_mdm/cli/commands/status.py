"""Options and help of ``status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE, StatusCommand

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["status"]


@click.command(cls=StatusCommand, short_help="Show pairs, pending changes, and device coverage.")
@click.argument("definition", type=FILE, metavar="[DEFINITION.yaml]", required=False)
@click.option("--server", metavar="NAME", help="Show only this server.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, definition: Path | None, server: str | None, as_json: bool) -> None:
    """Show the pairs, their pending changes, and the number of devices in each state. Writes nothing.

    DEFINITION.yaml is a stack file, or a list of servers. Default: the file of the selected stack.

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown or wrong usage.
    """
    from ios_mdm.cli import status as work

    work.run(definition=definition, server=server, as_json=as_json)
