"""``python -m benchmarks.latency``: measures runs without pending changes, with a delay added to each AWS call."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks import scenarios
from benchmarks.meter import measure
from benchmarks.relay import delaying_relay
from tools.services import ministack, process
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.meter import Measured
    from benchmarks.scenarios import Scenario

__all__ = ["main"]

COMMANDS: Mapping[str, Sequence[str]] = {
    "up --skip-preview": ("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never"),
    "preview": ("pulumi", "preview", "--non-interactive", "--color", "never"),
    "ios-mdm status": (".venv/bin/python", "-m", "ios_mdm", "status", "Pulumi.test.yaml"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure all commands, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--servers", type=int, default=50, help="number of servers (50)")
    parser.add_argument("--delay", type=float, default=40, help="milliseconds that are added to each call of AWS (40)")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements of each run (3)")
    parser.add_argument("--only", choices=COMMANDS, help="measure only this command")
    options = parser.parse_args(arguments)
    console = Console(width=120)
    table = Table(title=f"{options.servers} servers, median of {options.rounds} rounds")
    for column in ("command", "calls of AWS", "wall s", f"wall s, {options.delay:g} ms added"):
        table.add_column(column, justify="left" if column == "command" else "right")
    with tempfile.TemporaryDirectory(prefix="ios-mdm-latency-") as name:
        state = Path(name) / "services"
        state.mkdir(mode=0o700)
        service = ministack.service(Toolchain.load().ministack, state / "data")
        try:
            url = process.ensure(state, service).url
            with delaying_relay(url) as aws:
                definitions = [scenarios.server(f"s{number}") for number in range(options.servers)]
                stack = scenarios.servers(Path(name) / "stack", aws.url, "latency", definitions)
                stack.create()
                for title, command in COMMANDS.items():
                    if options.only not in {None, title}:
                        continue
                    aws.calls = 0
                    aws.delay = 0.0
                    plain = [_measure(stack, command) for _ in range(options.rounds)]
                    calls = aws.calls // options.rounds
                    aws.delay = options.delay / 1000
                    delayed = [_measure(stack, command) for _ in range(options.rounds)]
                    walls = (median(run.wall for run in runs) for runs in (plain, delayed))
                    table.add_row(title, str(calls), *(f"{wall:.1f}" for wall in walls))
        finally:
            process.stop(state, service.name)
    console.print(table)
    console.print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    return 0


def _measure(stack: Scenario, command: Sequence[str]) -> Measured:
    found = measure(command, cwd=stack.stack.directory, environment=stack.stack.environment)
    if found.code != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{found.output[-4000:]}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
