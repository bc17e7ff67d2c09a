"""Options and help of ``receive``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["receive"]


@click.command(short_help="Record the answers of devices in a ledger.")
@click.option(
    "--ledger",
    metavar="URL",
    help="URL of the ledger: sqlite:///path or dynamodb://table. Default: that of the definition.",
)
@click.option(
    "--definition",
    type=FILE,
    metavar="FILE",
    help="Stack file, or list of servers. New devices of its MDM server are sent the profile at once.",
)
@click.option(
    "--server",
    metavar="NAME",
    help="Server of the definition whose MDM server posts the events, if the definition has several MDM servers.",
)
@click.option(
    "--listen",
    default="127.0.0.1:9100",
    show_default=True,
    metavar="IP:PORT",
    help="Address to listen on. Port 0 selects a free port.",
)
@click.option(
    "--hmac-key-file", type=FILE, metavar="FILE", help="File with the key that NanoMDM gets as -webhook-hmac-key."
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Without a key: host name in NanoMDM's -webhook-url, if it is not localhost. Repeatable.",
)
@click.option(
    "--port-file", type=FILE, metavar="FILE", help="File that holds the bound IP:PORT while the command runs."
)
def receive(
    *,
    ledger: str | None,
    definition: Path | None,
    server: str | None,
    listen: str,
    hmac_key_file: Path | None,
    port_file: Path | None,
    allow_host: tuple[str, ...],
) -> None:
    """Receive NanoMDM's webhook events and record the enrollments and answers of devices in a ledger.

    With a definition, a device that enrolls is sent the profile that `up` sent last. Without one, the next `up` sends
    it. Runs until SIGTERM or SIGINT. Set NanoMDM's -webhook-url to the URL that this command prints.
    """
    from ios_mdm.cli import receive as work

    work.run(
        work.Options(
            ledger=ledger,
            definition=definition,
            server=server,
            listen=listen,
            hmac_key_file=hmac_key_file,
            port_file=port_file,
            hosts=allow_host,
        )
    )
