"""``consume``: keeps the certificate files of a TLS server up to date with a pair, and reloads the server."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ios_mdm import wiring
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error, print_error
from ios_mdm.cli.output import echo
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
    with exit_on_error(CANNOT_RUN):
        consumer = _consumer(secret, directory, command, region, combined=combined)
        if once:
            _show(consumer.round(), as_json=as_json, first=True)
            return
        _poll(consumer, interval, as_json=as_json)


def _poll(consumer: Consumer, interval: int, *, as_json: bool) -> None:
    """Check every *interval* seconds and on SIGUSR1. SIGTERM and SIGINT end the loop after the current round."""
    # Only SimpleQueue is safe in a signal handler: other queues and events can deadlock there.
    signals: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _frame: signals.put(number))
    first = True
    while True:
        try:
            _show(consumer.round(), as_json=as_json, first=first)
            first = False
        except IosMdmError as error:
            print_error(str(error))
        sys.stdout.flush()
        try:
            if signals.get(timeout=interval) != signal.SIGUSR1:
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
    return wiring.process_wiring().consumer(secret, directory, words, region, combined=combined)


def _show(result: Round, *, as_json: bool, first: bool) -> None:
    """Print the certificate in the folder: in the first round, and after each change."""
    if not (first or result.changed or result.reloaded):
        return
    one = result.certificate
    if as_json:
        found = {
            "subject": one.subject,
            "sha256": one.sha256,
            "notAfter": rfc3339(one.not_after),
            "changed": result.changed,
            "reloaded": result.reloaded,
        }
        echo(json.dumps(found))
        return
    state = "now" if result.changed else "unchanged,"
    reloaded = "; reloaded" if result.reloaded else ""
    served = f"{printable(one.subject)}, {one.sha256}, valid until {one.not_after:%Y-%m-%d %H:%M} UTC"
    echo(f"{state} serving {served}{reloaded}")
