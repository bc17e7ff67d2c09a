"""Options and help of ``verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["verify"]


@click.command(short_help="Ask devices now which certificates they have.")
@click.option(
    "--definition", type=FILE, metavar="FILE", help="Stack file, or list of servers. Default: that of the stack."
)
@click.option("--server", metavar="NAME", help="Ask only the devices of this server.")
@click.option("--all", "is_for_all", is_flag=True, help="Also ask devices that have proved the profile.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(*, definition: Path | None, server: str | None, is_for_all: bool, as_json: bool) -> None:
    """Ask devices for their certificates: those that were sent the profile and did not prove that they have it.

    The collector (`ios-mdm receive`) records their answers, and `ios-mdm status` shows them.

    Exit codes: 0 success, 2 cannot run.
    """
    from ios_mdm.cli import requested as work

    work.verify(definition=definition, server=server, is_for_all=is_for_all, as_json=as_json)
