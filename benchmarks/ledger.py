"""``python -m benchmarks.ledger``: measures a SQLite ledger with many devices, compared with bare SQLite.

Each step runs in a separate process. Its time starts after the imports, and its memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, EnqueuedCommand, StatePolicy
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["main"]

SERVER = "berlin"
BATCH = 500
"""Devices of a command. NanoMDM gets their ids in a URL."""
PART = 20_000
"""Devices that ``up`` reads at once."""
HISTORY = 10
"""Number of profiles that were sent before."""
START = datetime(2026, 1, 1, tzinfo=UTC)
CERTIFICATES = (b"1" * 32, b"2" * 32)
MIB = 1024 * 1024
T = TypeVar("T")


def main(arguments: Sequence[str]) -> int:
    """Measure all steps, and print their times, memory and ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000, help="number of devices that are read (100000)")
    parser.add_argument("--fleet", type=int, default=1_000_000, help="number of devices that are sent to (1000000)")
    parser.add_argument("--step", choices=sorted(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step is not None:
        print(json.dumps(_step(options.step, options.path, options.devices)))
        return 0
    console = Console(width=120)
    table = Table("devices", "step", "wall s", "CPU s", "ratio to bare SQLite", "peak memory, MiB", "file, MiB")
    with tempfile.TemporaryDirectory(prefix="ios-mdm-ledger-") as name:
        for devices, steps in ((options.devices, READS), (options.fleet, WRITES)):
            bare = 0.0
            for step in steps:
                file = Path(name) / f"{'bare' if step == 'bare writes' else 'ledger'}-{devices}.db"
                found = _result_of(step, file, devices)
                bare = found["cpu"] if step.startswith("bare") else bare
                ratio = f"{found['cpu'] / bare:.1f}" if bare else ""
                seconds, cpu = (f"{found[key]:.2f}" for key in ("seconds", "cpu"))
                memory, size = (f"{found[key] / MIB:.0f}" for key in ("memory", "size"))
                table.add_row(f"{devices:,}", step, seconds, cpu, ratio, memory, size)
    console.print(table)
    console.print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    return 0


def _result_of(step: str, path: Path, devices: int) -> Mapping[str, float]:
    command = [sys.executable, "-m", "benchmarks.ledger", f"--step={step}", f"--path={path}", f"--devices={devices}"]
    result: Mapping[str, float] = json.loads(
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    )
    return result


def _step(name: str, path: Path, devices: int) -> Mapping[str, float]:
    ids = [f"00008030-{number:016X}" for number in range(devices)]
    began, cpu = time.perf_counter(), time.process_time()
    STEPS[name](path, ids)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"seconds": seconds, "cpu": cpu, "memory": int(peak.split()[1]) * 1024, "size": path.stat().st_size}


def _history(path: Path, ids: Sequence[str]) -> None:
    """Enroll the devices, and send them several profiles. The last one is acknowledged and proved."""
    ledger = SqliteLedger(path)
    for part in _parts(ids, PART):
        ledger.record_events([_event(one, 0, is_authenticated=True) for one in part], now=START)
        ledger.record_events([_event(one, 1) for one in part], now=START)
    uuids = [_send(ledger, ids, number) for number in range(1, HISTORY + 2)][-1]
    answers: list[tuple[str, str]] = [(one, uuids[at // BATCH]) for at, one in enumerate(ids)]
    for answered in _parts(answers, PART):
        ledger.record_events([_event(one, HISTORY + 1, command) for one, command in answered], now=START)


def _event(device: str, day: int, command: str = "", *, is_authenticated: bool = False) -> DeviceEvent:
    return DeviceEvent(
        identity=uuid4().bytes,
        at=START + timedelta(days=day, seconds=1),
        topic="mdm.Connect",
        enrollment_id=device,
        enrolled=None if is_authenticated else True,
        authenticated=is_authenticated,
        answer=Answer(command_uuid=command, status=AnswerStatus.ACKNOWLEDGED) if command else None,
        certificates=frozenset(CERTIFICATES) if command else None,
    )


def _send(ledger: SqliteLedger, ids: Sequence[str], number: int = 1) -> list[str]:
    """Send a profile to all devices, without an MDM server; return the CommandUUIDs."""
    profile, at = b"profile %d" % number * 500, START + timedelta(days=number)
    publication = ledger.publish(SERVER, profile, certificates=CERTIFICATES, seed=uuid4(), at=at)
    uuids = []
    for part in _parts(ids, PART):
        waiting = list(ledger.waiting(SERVER, publication.revision, enrollment_ids=part).items())
        for batch in _parts(waiting, BATCH):
            uuids.append(str(uuid4()).upper())
            ledger.record_commands(
                [EnqueuedCommand(command_uuid=uuids[-1], epochs=dict(batch), at=at)], publication=publication
            )
    return uuids


def _second_run(path: Path, ids: Sequence[str]) -> None:
    ledger = SqliteLedger(path)
    publication = ledger.publication(SERVER)
    assert publication is not None
    for part in _parts(ids, PART):
        assert not ledger.waiting(SERVER, publication.revision, enrollment_ids=part)


def _policy(ledger: SqliteLedger) -> StatePolicy:
    publication = ledger.publication(SERVER)
    assert publication is not None
    return StatePolicy(
        revision=publication.revision, certificates=publication.certificates, is_proof_configured=True, silent_before=0
    )


def _count_all(path: Path, ids: Sequence[str]) -> None:
    ledger = SqliteLedger(path)
    assert sum(ledger.counts(SERVER, _policy(ledger)).values()) == len(ids)


def _count_listed(path: Path, ids: Sequence[str]) -> None:
    ledger = SqliteLedger(path)
    assert sum(ledger.counts(SERVER, _policy(ledger), enrollment_ids=ids).values()) == len(ids)


def _read_all(path: Path, ids: Sequence[str]) -> None:
    ledger = SqliteLedger(path)
    policy = _policy(ledger)
    assert sum(device_status(one, policy).has_profile for one in ledger.devices(SERVER)) == len(ids)


def _bare_reads(path: Path, ids: Sequence[str]) -> None:
    """Read the rows of all devices and of their deliveries."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in ("device", "delivery"):
            assert sum(1 for _ in connection.execute(f"SELECT * FROM {table}")) == len(ids)  # noqa: S608 - a constant


def _bare_writes(path: Path, ids: Sequence[str]) -> None:
    """Write a row for each device, in as many transactions as there are commands."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE delivery (id TEXT PRIMARY KEY, queued INTEGER, epoch INTEGER) WITHOUT ROWID")
        for batch in _parts(ids, BATCH):
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO delivery VALUES (?, 1, 1)", [(one,) for one in batch])
            connection.execute("COMMIT")


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


STEPS: Mapping[str, Callable[[Path, Sequence[str]], object]] = {
    "11 profiles sent": _history,
    "bare reads": _bare_reads,
    "counts of all devices": _count_all,
    "counts of listed devices": _count_listed,
    "each device": _read_all,
    "second run": _second_run,
    "bare writes": _bare_writes,
    "first run": lambda path, ids: _send(SqliteLedger(path), ids),
}
READS = tuple(STEPS)[:6]
WRITES = ("bare writes", "first run", "second run")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
