"""``consume``: its options and help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["consume"]


@click.command(short_help="Keep a server's certificate files in step with a pair.")
@click.option("--secret", required=True, metavar="NAME", help="Name or ARN of the pair's secret: ios-mdm/berlin.")
@click.option(
    "--dir", "directory", type=FILE, required=True, metavar="DIR", help="Folder for tls.crt, tls.key and ca.crt."
)
@click.option("--exec", "command", metavar="COMMAND", help="Run after a change: 'nginx -s reload'.")
@click.option(
    "--combined", is_flag=True, help="Also write tls.pem with certificate and private key, as HAProxy reads them."
)
@click.option(
    "--interval",
    type=click.IntRange(1, 86_400),
    default=300,
    show_default=True,
    metavar="S",
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Look once, then end.")
@click.option("--region", metavar="REGION", help="AWS region; the environment's by default.")
@click.option("--json", "as_json", is_flag=True, help="For machines, a line a change.")
def consume(
    *,
    secret: str,
    directory: Path,
    command: str | None,
    combined: bool,
    interval: int,
    once: bool,
    region: str | None,
    as_json: bool,
) -> None:
    """Fetch a pair's main certificate into a folder, and run a command whenever it has changed.

    Needs secretsmanager:GetSecretValue for AWSCURRENT, and nothing else. Only this user and root may be able to
    write to DIR. The command gets no AWS_… variables. While AWS is away the last good files stay.
    SIGUSR1: look now. SIGTERM, SIGINT: end. Exit codes: 0; 2 cannot run.
    """
    from ios_mdm.cli import consume as work

    work.run(
        secret=secret,
        directory=directory,
        command=command,
        combined=combined,
        interval=interval,
        once=once,
        region=region,
        as_json=as_json,
    )
