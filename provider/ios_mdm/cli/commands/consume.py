"""Options and help of ``consume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["consume"]


@click.command(short_help="Keep the certificate files of a TLS server up to date.")
@click.option(
    "--secret", required=True, metavar="NAME", help="Name or ARN of the pair's secret, for example ios-mdm/berlin."
)
@click.option(
    "--dir",
    "directory",
    type=FILE,
    required=True,
    metavar="DIR",
    help="Folder to write tls.crt, tls.key and ca.crt to.",
)
@click.option(
    "--exec", "command", metavar="COMMAND", help="Command to run after each change, for example 'nginx -s reload'."
)
@click.option("--combined", is_flag=True, help="Also write tls.pem with certificate and private key, for HAProxy.")
@click.option(
    "--interval",
    type=click.IntRange(1, 86_400),
    default=300,
    show_default=True,
    metavar="S",
    help="Seconds between two checks.",
)
@click.option("--once", is_flag=True, help="Run once and exit.")
@click.option("--region", metavar="REGION", help="AWS region. Default: from the environment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line per change.")
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
    """Write a pair's main certificate into a folder, and run a command after each change.

    The only permission needed is secretsmanager:GetSecretValue for AWSCURRENT. Only the current user and root may
    have write access to DIR. COMMAND gets no AWS_… variables. If AWS does not answer, the files are kept.

    SIGUSR1: check now. SIGTERM, SIGINT: exit. Exit codes: 0 success, 2 cannot run.
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
