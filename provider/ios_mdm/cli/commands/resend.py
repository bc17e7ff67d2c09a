"""Options and help of ``resend``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE
from ios_mdm.core.ledger.values import DeviceState

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["resend"]


@click.command(short_help="Send the published profile again to devices.")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--definition", type=FILE, metavar="FILE", help="Stack file, or list of servers. Default: that of the stack."
)
@click.option("--server", metavar="NAME", help="Send only to the devices of this server.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in DeviceState]),
    metavar="STATE",
    help="State of the devices, as `ios-mdm status` names it. Repeatable. Default: failed and silent.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def resend(
    *, ids: tuple[str, ...], definition: Path | None, server: str | None, states: tuple[str, ...], as_json: bool
) -> None:
    """Send the published profile again, with new commands, to devices that failed or are silent.

    With enrollment IDs, only these devices are sent it, in any state. The profile is the one that `pulumi up` published
    last: it is not created again, and it must cover each certificate that devices must trust.

    Exit codes: 0 success, 2 cannot run.
    """
    from ios_mdm.cli import requested as work

    work.resend(definition=definition, server=server, states=states, ids=ids, as_json=as_json)
