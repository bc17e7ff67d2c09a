"""``consume``: keeps the certificate files of a TLS server up to date with a pair, and reloads the server."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import click

from ios_mdm import wiring
from ios_mdm.cli.exits import CANNOT_RUN, complain, explained
from ios_mdm.core.text import printable
from ios_mdm.core.times import rfc3339
from ios_mdm.errors import DefinitionError, IosMdmError

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.app.consumer import Consumer, Round

__all__ = ["run"]


def run(
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
    """Write a pair's main certificate into a folder, and run a command after each change."""
    with explained(CANNOT_RUN):
        consumer = _consumer(secret, directory, command, region, combined=combined)
        if once:
            _show(consumer.round(), as_json=as_json, first=True)
            return
        _keep_looking(consumer, interval, as_json=as_json)


def _keep_looking(consumer: Consumer, interval: int, *, as_json: bool) -> None:
    """Check every *interval* seconds and on SIGUSR1. SIGTERM and SIGINT end the loop after the current round."""
    # Only SimpleQueue is safe in a signal handler: other queues and events can deadlock there.
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


def _consumer(secret: str, directory: Path, command: str | None, region: str | None, *, combined: bool) -> Consumer:
    try:
        words = () if command is None else tuple(shlex.split(command))
    except ValueError as error:
        raise DefinitionError(f"--exec is not a command line: {error}") from None
    if command is not None and not words:
        raise DefinitionError("--exec is empty: omit it, or set a command such as 'nginx -s reload'")
    return wiring.here().consumer(secret, directory, words, region, combined=combined)


def _show(done: Round, *, as_json: bool, first: bool) -> None:
    """Print the certificate in the folder: in the first round, and after each change."""
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
    served = f"{printable(one.subject)}, {one.sha256}, valid until {one.not_after:%Y-%m-%d %H:%M} UTC"
    click.echo(f"{what} serving {served}{reloaded}")
