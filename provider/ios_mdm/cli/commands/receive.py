"""``receive``: its options and help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["receive"]


@click.command(short_help="Note in a ledger which devices have the profile.")
@click.option("--ledger", required=True, metavar="URL", help="Where to note events: sqlite:///path.")
@click.option(
    "--listen",
    default="127.0.0.1:9100",
    show_default=True,
    metavar="IP:PORT",
    help="Where to listen; port 0 picks a free one.",
)
@click.option("--hmac-key-file", type=FILE, metavar="FILE", help="File with the key of NanoMDM's -webhook-hmac-key.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Without a key: a host name in NanoMDM's -webhook-url other than localhost. Repeatable.",
)
@click.option("--port-file", type=FILE, metavar="FILE", help="File to write the bound IP:PORT to while listening.")
def receive(
    ledger: str, listen: str, hmac_key_file: Path | None, port_file: Path | None, allow_host: tuple[str, ...]
) -> None:
    """Receive NanoMDM's webhook events and note in a ledger which devices have the profile.

    Runs until SIGTERM or SIGINT. Point NanoMDM's -webhook-url at the address that it prints.
    """
    from ios_mdm.cli import receive as work

    work.run(ledger=ledger, listen=listen, hmac_key_file=hmac_key_file, port_file=port_file, allow_host=allow_host)
