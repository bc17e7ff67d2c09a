"""Options and help of ``devices``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE, StatusCommand
from ios_mdm.core.ledger.values import DeviceState

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["devices"]


def _form(context: click.Context, option: click.Parameter, is_chosen: bool) -> bool:  # noqa: FBT001 - click's signature
    """Refuse two forms of output."""
    if is_chosen and any(value is True for value in context.params.values()):
        raise click.BadParameter("--csv and --json exclude each other", context, option)
    return is_chosen


@click.command(cls=StatusCommand, short_help="List the devices, and the state of the profile on each.")
@click.option(
    "--definition", type=FILE, metavar="FILE", help="Stack file, or list of servers. Default: that of the stack."
)
@click.option("--server", metavar="NAME", help="List only the devices of this server.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in DeviceState]),
    metavar="STATE",
    help=f"List only devices in this state: {', '.join(DeviceState)}. Repeatable.",
)
@click.option("--csv", "as_csv", is_flag=True, callback=_form, help="Print CSV.")
@click.option("--json", "as_json", is_flag=True, callback=_form, help="Print JSON.")
def devices(
    *, definition: Path | None, server: str | None, states: tuple[str, ...], as_csv: bool, as_json: bool
) -> None:
    """List the devices with the state of the profile, as the ledger has it. Writes nothing.

    A device has the profile if it is proved. Without distribution.proof, an acknowledged one counts, too.

    Exit codes: 0 each device has the profile, 1 warning, 3 unknown or wrong usage.
    """
    from ios_mdm.cli import devices as work

    work.run(definition=definition, server=server, states=states, as_csv=as_csv, as_json=as_json)
