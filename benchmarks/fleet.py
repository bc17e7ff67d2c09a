"""``python -m benchmarks.fleet``: counts acknowledgments that are missing if thousands of devices answer at once."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.collector import Load
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from tests.support.simulated_fleet import DESCRIPTORS, WEBHOOK_KEY, Receiver, simulated_fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.simulated_fleet import SimulatedFleet
    from tools.devices import Round

__all__ = ["main"]

SENDERS = 64
LOST_AFTER = 40.0
"""Seconds without a further event after which the missing ones are lost: NanoMDM tries to connect for 30."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Acknowledgments of one fleet, and the seconds until the ledger has the last one."""

    accepted: int
    missing: int
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Measure all fleets, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--devices", default="1000,3000,10000", help="numbers of devices (1000,3000,10000)")
    parser.add_argument("--descriptors", type=int, default=DESCRIPTORS, help="open files of the receiver (1024)")
    parser.add_argument("--suspended", action="store_true", help="suspend the receiver until all devices have answered")
    parser.add_argument("--events", type=int, default=8_000, help="events of which the receiver is killed (8000)")
    options = parser.parse_args(arguments)
    console = Console(width=120)
    table = Table(title=f"receiver with {options.descriptors} descriptors{', suspended' if options.suspended else ''}")
    for column in ("devices", "accepted by NanoMDM", "missing in the ledger", "s"):
        table.add_column(column, justify="right")
    for count in map(int, options.devices.split(",")):
        with (
            tempfile.TemporaryDirectory(prefix="ios-mdm-fleet-") as name,
            simulated_fleet(Path(name), devices=count, descriptors=options.descriptors) as fleet,
        ):
            found = measure(fleet, is_suspended=options.suspended)
        table.add_row(f"{count:,}", f"{found.accepted:,}", f"{found.missing:,}", f"{found.seconds:.1f}")
    console.print(table)
    with tempfile.TemporaryDirectory(prefix="ios-mdm-fleet-") as name:
        acknowledged, missing = kill(Path(name), options.events)
    console.print(f"killed in mid-load: of {acknowledged:,} events with the answer 200, {missing:,} are missing")
    console.print(f"{os.cpu_count()} processors, shared by all processes; load {os.getloadavg()[0]:.1f}")
    return 0


def measure(fleet: SimulatedFleet, *, is_suspended: bool) -> Result:
    """Let all devices acknowledge a profile at the same time, and count the acknowledgments in the ledger."""
    fleet.deliver()
    began = time.monotonic()
    with fleet.receiver.suspension() if is_suspended else contextlib.nullcontext():
        answered = fleet.devices.answer_at_once()
    assert not answered.failures, answered.failures
    missing, ended = _missing(fleet, answered)
    return Result(accepted=len(answered.answers), missing=missing, seconds=ended - began)


def _missing(fleet: SimulatedFleet, answered: Round) -> tuple[int, float]:
    """Return the number of missing acknowledgments, and the time of the last event (``time.monotonic``)."""
    missing, changed = len(fleet.missing(answered)), time.monotonic()
    while missing and time.monotonic() - changed < LOST_AFTER:
        time.sleep(1)  # reading the records of all devices takes CPU time that the receiver needs
        found = len(fleet.missing(answered))
        if found != missing:
            missing, changed = found, time.monotonic()
    return missing, changed


def kill(folder: Path, events: int) -> tuple[int, int]:
    """Kill the receiver after a number of events; return the number of answers 200, and those not in the ledger."""
    receiver = Receiver(folder=folder)
    receiver.start()
    load = Load(key=WEBHOOK_KEY.encode())

    async def send_events(number: int) -> None:
        count = 0
        while receiver.process.poll() is None:
            await load.send(receiver.port, f"{number}-{count}")
            count += 1
            if len(load.acknowledged) >= events and receiver.process.returncode is None:
                receiver.process.kill()

    async def send_all() -> None:
        await asyncio.gather(*(send_events(number) for number in range(SENDERS)))

    asyncio.run(send_all())
    receiver.kill()
    return len(load.acknowledged), len(load.acknowledged - set(SqliteLedger(receiver.ledger).enrolled_ids()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
