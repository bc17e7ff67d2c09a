"""``python -m benchmarks``: measures runs without pending changes, compared with resources that do nothing."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import boto3
from rich.console import Console
from rich.table import Table

from benchmarks import imports, scenarios
from tests.support.stack import recording_proxy
from tools.services import local, ministack
from tools.services.webhook import Recorder
from tools.toolchain import Toolchain, ToolchainMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.meter import Measured
    from benchmarks.scenarios import Scenario

__all__ = ["COMMANDS", "Series", "main"]

COMMANDS: Mapping[str, Sequence[str]] = {
    "up": ("up", "--yes", "--skip-preview"),
    "preview": ("preview",),
}
DEVICES = 5
WIDTH = 120
API_KEY_SECRET = "mdm/api-key"  # noqa: S105 - the name of a secret


@dataclass(slots=True, kw_only=True)
class Series:
    """Results of one command on one stack.

    Args:
        scenario: Scenario with the stack.
        command: Key of ``COMMANDS``: ``up`` or ``preview``.
        runs: One result per round.
    """

    scenario: Scenario
    command: str
    runs: list[Measured] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """Median CPU seconds of engine, language host, program and provider together."""
        return median(run.cpu for run in self.runs)

    @property
    def wall(self) -> float:
        """Median seconds until the last process exited."""
        return median(run.wall for run in self.runs)


def main(arguments: Sequence[str]) -> int:
    """Measure all scenarios, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--servers", default="1,100", help="numbers of servers, separated by commas (1,100)")
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements of each run (5)")
    options = parser.parse_args(arguments)
    counts = [int(count) for count in options.servers.split(",")]
    console = Console(width=WIDTH)
    try:
        tools = Toolchain.load()
    except ToolchainMissingError as error:
        console.print(f"error: {error}", markup=False)
        return 2
    with tempfile.TemporaryDirectory(prefix="ios-mdm-benchmarks-") as name:
        directory = Path(name)
        state = directory / "services"
        with Recorder(state / "mdm-webhook-key") as webhook:
            try:
                executables = local.Executables(
                    ministack=tools.ministack, nanomdm=tools.nanomdm, scepserver=tools.scepserver, mdmb=tools.mdmb
                )
                services = local.up(state, executables, webhook_url=webhook.url, devices=DEVICES, storage="inmem")
                stacks = _create_scenarios(console, directory, services, counts)
                _show(console, _measure(console, stacks, options.rounds))
                _show_where(console, stacks, services.aws_url)
            finally:
                local.down(state)
    _show_imports(console, tools.python)
    console.print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    return 0


def _create_scenarios(
    console: Console, directory: Path, services: local.LocalServices, counts: Sequence[int]
) -> Sequence[Scenario]:
    _keep_api_key(services)
    stacks = [scenarios.empty(directory / "empty", services.aws_url)]
    for count in counts:
        stacks.append(scenarios.trivial(directory / f"trivial-{count}", services.aws_url, count))
        definitions = [scenarios.server(f"n{count}-{number}") for number in range(count)]
        title = "1 server" if count == 1 else f"{count} servers"
        stacks.append(scenarios.servers(directory / f"servers-{count}", services.aws_url, title, definitions))
    distribution = {
        "profile": {"identifier": "com.example.benchmark.trust"},
        "channel": {"nanomdm": {"url": services.mdm_url, "apiKeySecret": API_KEY_SECRET, "push": False}},
        "devices": list(services.fleet.ids()),
        "ledger": "sqlite:///ledger.sqlite",
    }
    with_devices = [scenarios.server("distributed", distribution)]
    stacks.append(
        scenarios.servers(directory / "distributed", services.aws_url, "1 server, distribution", with_devices)
    )
    for stack in stacks:
        found = stack.create()
        console.print(f"created: {stack.name}, {found.cpu:.1f} s of CPU, {found.wall:.1f} s", highlight=False)
    return stacks


def _keep_api_key(services: local.LocalServices) -> None:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=services.aws_url,
        region_name=ministack.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - an emulator takes any
    )
    client.create_secret(Name=API_KEY_SECRET, SecretString=services.api_key.read_text(encoding="utf-8"))
    client.close()


def _measure(console: Console, stacks: Sequence[Scenario], rounds: int) -> Sequence[Series]:
    """Measure all stacks in each round, so that other load on the machine affects all of them."""
    series = [Series(scenario=stack, command=command) for stack in stacks for command in COMMANDS]
    for number in range(rounds):
        console.print(f"round {number + 1} of {rounds}")
        for one in series:
            one.runs.append(one.scenario.measure_command(*COMMANDS[one.command]))
    return series


def _show(console: Console, series: Sequence[Series]) -> None:
    table = Table("stack", "command", "CPU s", "wall s", "CPU to trivial", "wall to trivial")
    trivial = {(one.scenario.count, one.command): one for one in series if one.scenario.name.endswith("trivial")}
    for one in series:
        base = trivial.get((one.scenario.count, one.command))
        ratios = ("", "") if base is None else (f"{one.cpu / base.cpu:.2f}", f"{one.wall / base.wall:.2f}")
        table.add_row(one.scenario.name, one.command, f"{one.cpu:.2f}", f"{one.wall:.2f}", *ratios)
    console.print(table)


def _show_where(console: Console, stacks: Sequence[Scenario], aws_url: str) -> None:
    """Run one more `up` of each stack, and print the CPU time of each process and the calls of AWS per server."""
    found = [(stack, stack.measure_command(*COMMANDS["up"], roles=True).roles) for stack in stacks]
    roles = sorted({role for _, used in found for role in used if used[role]})
    table = Table("CPU s of an up", *roles)
    lines = []
    for stack, used in found:
        with recording_proxy(aws_url) as proxy:
            stack.measure_command(*COMMANDS["up"], AWS_ENDPOINT_URL=proxy.url)
        calls = Counter(_kind(call) for call in proxy.calls)
        if calls:
            each = ", ".join(f"{number / stack.count:g} {call}" for call, number in sorted(calls.items()))
            lines.append(f"calls of AWS per server, {stack.name}: {each}")
        table.add_row(stack.name, *(f"{used.get(role, 0.0):.2f}" for role in roles))
    console.print(table, *lines, sep="\n", highlight=False)


def _kind(call: str) -> str:
    """Return a call without the name of its resource: ``GET /schedules`` for ``GET /schedules/berlin``."""
    method, slash, path = call.partition(" /")
    return f"{method}{slash}{path.partition('/')[0]}"


def _show_imports(console: Console, python: Path) -> None:
    for process, code in imports.PROCESSES.items():
        packages = imports.heaviest_packages(python, code)
        summary = ", ".join(f"{package} {milliseconds:.0f}" for package, milliseconds in packages.items())
        console.print(f"imports of the {process}, ms: {summary}", highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
