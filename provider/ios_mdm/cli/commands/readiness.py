"""Options and help of ``readiness``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE, StatusCommand

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["readiness"]


@click.command(cls=StatusCommand, short_help="Report whether every device can connect after the next switch.")
@click.option(
    "--definition", type=FILE, metavar="FILE", help="Stack file, or list of servers. Default: that of the stack."
)
@click.option("--server", metavar="NAME", help="Report only this server.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all devices.")
@click.option("--html", type=FILE, metavar="FILE", help="Also write one self-contained page to this file.")
def readiness(*, definition: Path | None, server: str | None, as_json: bool, html: Path | None) -> None:
    """Report whether every device can connect after the next switch, and why not.

    Reads AWS, the ledger and the endpoints. Writes nothing but the file of --html.

    Exit codes: 0 ready, 1 ready with warnings, 2 not ready, 3 unknown or wrong usage.
    """
    from ios_mdm.cli import readiness as work

    work.run(definition=definition, server=server, as_json=as_json, html=html)
