"""``status``: its options and help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE, StatusCommand

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["status"]


@click.command(cls=StatusCommand, short_help="Show the pairs, what is due, and who has the profile.")
@click.argument("definition", type=FILE, metavar="[DEFINITION.yaml]", required=False)
@click.option("--server", metavar="NAME", help="Of this server only.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(*, definition: Path | None, server: str | None, as_json: bool) -> None:
    """Show the pairs, what is due, and which devices have the profile. Writes nothing.

    DEFINITION.yaml is a stack file, or a list of servers; the selected stack's file by default.

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown or usage.
    """
    from ios_mdm.cli import status as work

    work.run(definition=definition, server=server, as_json=as_json)
