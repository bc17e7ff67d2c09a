"""``python -m benchmarks.collector``: compares events per second with SQLite commits; measures a fleet at once."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ios_mdm.app.collector.handler import signature
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

KEY = b"benchmark"
SENDERS = (1, 8, 64)
RAW_PAYLOAD = "A" * 600  # size of the base64 of a device's answer


@dataclass(slots=True)
class Load:
    """Results of the senders.

    Args:
        statuses: Number of answers per HTTP status. Status 0 is a broken connection.
        acknowledged: Devices with status 200.
        seconds: Duration of each request.
        key: HMAC key of the collector.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    key: bytes = KEY

    async def send(self, port: int, device: str) -> None:
        """Post one signed acknowledgment on a new connection, as NanoMDM does."""
        began = time.perf_counter()
        status = 0
        with contextlib.suppress(OSError, ValueError, IndexError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                writer.write(_request(device, self.key))
                status = int((await reader.read()).split()[1])
        self.seconds.append(time.perf_counter() - began)
        self.statuses[status] += 1
        if status == 200:  # noqa: PLR2004 - HTTP's OK
            self.acknowledged.add(device)


def main(arguments: Sequence[str]) -> int:
    """Measure commits and events alternately, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collector", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="seconds of each measurement (3)")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (3)")
    parser.add_argument("--devices", type=int, default=10_000, help="number of devices that answer at once (10000)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ios-mdm-collector-") as name, _collector(Path(name)) as (port, ledger):
        bare: list[float] = []
        loads: dict[int, list[tuple[float, float]]] = {one: [] for one in SENDERS}
        for number in range(options.rounds):
            bare.append(_commits(Path(name) / f"bare-{number}.db", options.seconds))
            for senders, found in loads.items():
                found.append(asyncio.run(_rate(port, senders, options.seconds, f"{number}-{senders}")))
        base = statistics.median(bare)
        print(f"{'bare SQLite commits, one after the other':<44} {base:7.0f}/s   1.00x")
        for senders, found in loads.items():
            rate, slowest = (statistics.median(one) for one in zip(*found, strict=True))
            print(f"{f'events, {senders} senders':<44} {rate:7.0f}/s {rate / base:6.2f}x   p99 {slowest * 1000:.0f} ms")
        _show_fleet(port, ledger, options.devices)
    print(f"{os.cpu_count()} processors, shared by senders and collector; load {os.getloadavg()[0]:.1f}")
    return 0


def _commits(file: Path, seconds: float) -> float:
    """Return the commits per second of one connection. A transaction has one row, and is as durable as the ledger's."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, text TEXT)")
        began = time.perf_counter()
        count = 0
        while (took := time.perf_counter() - began) < seconds:
            connection.execute("INSERT INTO row (text) VALUES (?)", (RAW_PAYLOAD[:100],))
            count += 1
    return count / took


async def _rate(port: int, senders: int, seconds: float, prefix: str) -> tuple[float, float]:
    """Return events per second, and the 99th percentile of their duration in seconds."""
    load = Load()
    began = time.perf_counter()

    async def sender(number: int) -> None:
        count = 0
        while time.perf_counter() - began < seconds:
            await load.send(port, f"{prefix}-{number}-{count}")
            count += 1

    await asyncio.gather(*(sender(number) for number in range(senders)))
    took = time.perf_counter() - began
    assert set(load.statuses) == {200}, load.statuses
    return len(load.acknowledged) / took, statistics.quantiles(load.seconds, n=100)[-1]


def _show_fleet(port: int, ledger: Path, devices: int) -> None:
    load = Load()

    async def answer() -> None:
        await asyncio.gather(*(load.send(port, f"fleet-{number}") for number in range(devices)))

    began = time.perf_counter()
    asyncio.run(answer())
    took = time.perf_counter() - began
    with contextlib.closing(sqlite3.connect(ledger)) as connection:
        known = {one for (one,) in connection.execute("SELECT enrollment_id FROM device")}
    lost = load.acknowledged - known
    print(
        f"{devices} devices at once: {load.statuses[200]} acknowledged in {took:.1f} s, {len(lost)} of them not in the "
        f"ledger; other answers: { {code: count for code, count in load.statuses.items() if code != 200} or 'none' }"  # noqa: PLR2004
    )


@contextlib.contextmanager
def _collector(folder: Path) -> Iterator[tuple[int, Path]]:
    """Run the collector on a free port; yield the port and the ledger file."""
    (folder / "key").write_bytes(KEY)
    ledger = folder / "ledger.db"
    arguments = ["--ledger", f"sqlite:///{ledger}", "--listen", "127.0.0.1:0", "--hmac-key-file", str(folder / "key")]
    with subprocess.Popen(
        [sys.executable, "-m", "ios_mdm", "receive", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rstrip("/\n").rpartition(":")[2]), ledger
        finally:
            process.terminate()


def _request(device: str, key: bytes) -> bytes:
    details = {"status": "Acknowledged", "command_uuid": "c1", "udid": device, "raw_payload": RAW_PAYLOAD}
    posted = {
        "topic": "mdm.Connect",
        "event_id": device,
        "created_at": datetime.now(UTC).isoformat(),
        "acknowledge_event": details | {"ids": {"id": device, "type": "Device"}},
    }
    body = json.dumps(posted).encode()
    head = [
        "POST / HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json; charset=utf-8",
        f"X-Hmac-Signature: {signature(body, key)}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
