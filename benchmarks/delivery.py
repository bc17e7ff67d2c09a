"""``python -m benchmarks.delivery``: queues a profile through a real NanoMDM, compared with a bare httpx client.

The bare client sends the same batches with prepared commands. Each measurement is a new process with a new NanoMDM
with the storage ``inmem``, so that memory is measured for each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx

from ios_mdm.adapters.clock import SystemClock
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.app.delivery.distributor import Delivery, Distributor
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.profile import install_profile_command, trust_profile
from ios_mdm.core.x509.issuing import issue
from tests.support.nanomdm_server import nanomdm_server
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

BARE, CHANNEL, LEDGER, AGAIN = "bare httpx client", "up, without a ledger", "up, SQLite ledger", "up again, ledger"
GOALS = {CHANNEL: 0.8, LEDGER: 0.6}


def main(arguments: Sequence[str]) -> int:
    """Measure all kinds in each round, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery", description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000, help="number of devices (100000)")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (3)")
    parser.add_argument("--kinds", default=f"{BARE};{CHANNEL};{LEDGER};{AGAIN}", help="what to measure")
    parser.add_argument("--measure", nargs=3, metavar=("KIND", "URL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        kind, url, folder = options.measure
        _measure(kind, url, Path(folder), options.devices)
        return 0
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="ios-mdm-delivery-") as name:
            for kind in options.kinds.split(";"):
                found.setdefault(kind, []).append(_run_measurement(kind, Path(name), options.devices))
    bare = found.get(BARE)
    for kind, results in found.items():
        seconds, cpu = _medians(results)
        bare_seconds, bare_cpu = (seconds, cpu) if bare is None else _medians(bare)
        goal = f" (goal {GOALS[kind]:.2f}x)" if kind in GOALS else ""
        memory = max(one["megabytes"] for one in results)
        print(
            f"{kind:<24} {options.devices / seconds:9,.0f} devices/s {seconds:6.2f} s, {cpu:6.2f} s of CPU, "
            f"{memory:4.0f} MB, {bare_seconds / seconds:5.2f}x, CPU {bare_cpu / cpu:5.2f}x{goal}"
        )
    print(f"{os.cpu_count()} processors, shared with NanoMDM; load {os.getloadavg()[0]:.1f}")
    return 0


def _medians(results: Sequence[dict[str, float]]) -> tuple[float, float]:
    """Return the median seconds, and the median CPU seconds of the measured process."""
    seconds, cpu = (statistics.median(one[key] for one in results) for key in ("seconds", "cpu"))
    return seconds, cpu


def _run_measurement(kind: str, folder: Path, devices: int) -> dict[str, float]:
    """Run one measurement in a new process, against a new NanoMDM."""
    with nanomdm_server() as server:
        command = [sys.executable, "-m", "benchmarks.delivery", "--devices", str(devices)]
        ran = subprocess.run(
            [*command, "--measure", kind, server.url, str(folder)],
            cwd=ROOT,
            env=os.environ | {"BENCHMARK_API_KEY": server.api_key},
            check=True,
            capture_output=True,
            text=True,
        )
    result: dict[str, float] = json.loads(ran.stdout)
    return result


def _measure(kind: str, url: str, folder: Path, count: int) -> None:
    """Print the seconds and the greatest memory of one measurement as JSON."""
    devices = [f"{number:08X}-{number * 2654435761 % 2**64:016X}" for number in range(count)]
    channel = NanoMdm(url=url, api_key=os.environ["BENCHMARK_API_KEY"], push=False)
    profile = _profile(folder)
    ledger = SqliteLedger(folder / "ledger.sqlite") if kind in {LEDGER, AGAIN} else None
    with contextlib.ExitStack() as stack:
        if kind == BARE:
            requests = list(_bare_requests(channel, devices, profile))
        began, cpu = time.perf_counter(), time.process_time()
        if kind == BARE:
            client = stack.enter_context(httpx.Client(trust_env=False, auth=("nanomdm", channel.api_key)))
            for address, command in requests:
                assert client.put(address, content=command).status_code == 200  # noqa: PLR2004 - HTTP's OK
        else:
            stack.callback(channel.close)
            sent = Distributor(channel, ledger, SystemClock(), report=lambda _line: None).distribute(
                Delivery(server="berlin", profile=profile, enrollment_ids=devices)
            )
            assert sent == (0 if kind == AGAIN else count)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "megabytes": _peak_memory()}))


def _bare_requests(channel: NanoMdm, devices: Sequence[str], profile: bytes) -> Iterator[tuple[str, bytes]]:
    for batch in channel.batches(devices):
        yield f"{channel.url}/v1/enqueue/{','.join(batch)}?nopush=1", install_profile_command(profile, str(uuid4()))


def _profile(folder: Path) -> bytes:
    """Return a profile with two certificates, the same one for all measurements of a round."""
    file = folder / "profile"
    if not file.exists():
        now = datetime.now(UTC).replace(microsecond=0)
        issued = [issue("mdm.example.com", key=KeyType.RSA_2048, validity_days=398, now=now) for _ in range(2)]
        chains = [one.chain for one in issued]
        file.write_bytes(trust_profile(chains, identifier="com.example.t", server="berlin", host="mdm.example.com"))
    return file.read_bytes()


def _peak_memory() -> float:
    """Return the greatest memory of this process in megabytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
