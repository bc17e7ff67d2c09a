"""``consume``: keeps the files of what terminates TLS in step with a pair, and reloads it after a change."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import click

from ios_mdm.cli.exits import CANNOT_RUN, FILE, complain, explained
from ios_mdm.core.times import rfc3339
from ios_mdm.errors import DefinitionError, IosMdmError

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.app.consumer import Consumer, Round

__all__ = ["consume"]


@click.command(short_help="Keep a server's certificate files in step with a pair.")
@click.option("--secret", required=True, metavar="NAME", help="Name or ARN of the pair's secret: ios-mdm/berlin.")
@click.option(
    "--dir", "directory", type=FILE, required=True, metavar="DIR", help="Folder for tls.crt, tls.key and ca.crt."
)
@click.option("--exec", "command", metavar="COMMAND", help="Run after a change: 'nginx -s reload'.")
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
    interval: int,
    once: bool,
    region: str | None,
    as_json: bool,
) -> None:
    """Fetch a pair's main certificate into a folder, and run a command whenever it has changed.

    Needs secretsmanager:GetSecretValue for AWSCURRENT, and nothing else. While AWS is away the last good files stay.
    SIGUSR1: look now. SIGTERM, SIGINT: end. Exit codes: 0; 2 cannot run.
    """
    with explained(CANNOT_RUN):
        consumer = _consumer(secret, directory, command, region)
        if once:
            _show(consumer.round(), as_json=as_json, first=True)
            return
        _keep_looking(consumer, interval, as_json=as_json)


def _keep_looking(consumer: Consumer, interval: int, *, as_json: bool) -> None:
    """Look every so many seconds, and at once on SIGUSR1, until SIGTERM or SIGINT; a round that has begun is ended."""
    # Of all queues and events only this one may be used in a signal handler: the others can block on themselves.
    told: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _frame: told.put(number))
    first = True
    while True:
        try:
            _show(consumer.round(), as_json=as_json, first=first)
            first = False
        except IosMdmError as error:
            complain(str(error))
        sys.stdout.flush()
        try:
            if told.get(timeout=interval) != signal.SIGUSR1:
                return
        except Empty:
            pass


def _consumer(secret: str, directory: Path, command: str | None, region: str | None) -> Consumer:
    from ios_mdm.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - --help needs none of these
    from ios_mdm.app.consumer import Consumer  # noqa: PLC0415 - the same

    try:
        words = () if command is None else tuple(shlex.split(command))
    except ValueError as error:
        raise DefinitionError(f"--exec is no command line: {error}") from None
    if command is not None and not words:
        raise DefinitionError("--exec is empty: leave it out, or give a command such as 'nginx -s reload'")
    return Consumer(source=SecretsManager(region=region), secret=secret, directory=directory, command=words)


def _show(done: Round, *, as_json: bool, first: bool) -> None:
    """Say what is served: at the start, and after every change."""
    if not (first or done.changed or done.reloaded):
        return
    one = done.certificate
    if as_json:
        found = {
            "subject": one.subject,
            "sha256": one.sha256,
            "notAfter": rfc3339(one.not_after),
            "changed": done.changed,
            "reloaded": done.reloaded,
        }
        click.echo(json.dumps(found))
        return
    what = "now" if done.changed else "unchanged,"
    reloaded = "; reloaded" if done.reloaded else ""
    click.echo(f"{what} serving {one.subject}, {one.sha256}, valid until {one.not_after:%Y-%m-%d %H:%M} UTC{reloaded}")
