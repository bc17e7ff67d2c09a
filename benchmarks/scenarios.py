"""The measured stacks. Each stack has a separate folder, and all use one AWS emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.meter import SAMPLE_SECONDS, Measured, measure
from tests.support.stack import make_stack
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.stack import Stack

__all__ = ["INSTALLATION", "Scenario", "empty", "folder", "server", "servers", "trivial"]

_PROGRAMS = ROOT / "benchmarks" / "programs"
INSTALLATION = {"PYTHONDONTWRITEBYTECODE": ""}
"""Environment of an installation: our modules are compiled once."""
_LARGE = 500
"""Number of servers from which a run is so long that rare samples suffice. Sampling takes CPU time."""
_LARGE_SAMPLE_SECONDS = 0.25
_PROJECT = {
    "name": "benchmark",
    "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A stack without pending changes.

    Args:
        name: Name in the table.
        stack: The stack.
        count: Number of servers or of trivial resources; 0 for the empty program.
    """

    name: str
    stack: Stack
    count: int

    def measure_command(self, *arguments: str, roles: bool = False, **environment: str) -> Measured:
        """Run `pulumi` with these arguments, and return its cost.

        Raises:
            RuntimeError: The run failed.
        """
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        return self._measure(command, environment, roles=roles)

    def status(self, python: Path) -> Measured:
        """Run `ios-mdm status` on the stack with this interpreter, and return its cost and memory.

        Raises:
            RuntimeError: The run failed, or the state of a pair is not ok.
        """
        file = f"Pulumi.{self.stack.name}.yaml"
        return self._measure([str(python), "-m", "ios_mdm", "status", "--json", file], {}, roles=True)

    def create(self) -> Measured:
        """Create the stack with `pulumi up`, and return the cost."""
        return self.measure_command("up", "--yes", "--skip-preview", "--suppress-outputs")

    def _measure(self, command: Sequence[str], environment: Mapping[str, str], *, roles: bool) -> Measured:
        found = measure(
            command,
            cwd=self.stack.directory,
            environment={**self.stack.environment, **INSTALLATION, **environment},
            roles=roles,
            interval=_LARGE_SAMPLE_SECONDS if self.count >= _LARGE else SAMPLE_SECONDS,
        )
        if found.code != 0:
            raise RuntimeError(f"{self.name}: {' '.join(command)} failed:\n{found.output[-4000:]}")
        return found


def server(name: str, distribution: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a server with a reserve and without endpoints, because no such server runs."""
    base: dict[str, Any] = {
        "name": name,
        "address": f"{name}.example.com",
        "endpoints": [],
        "main": {"issue": {"key": "ec-p256"}},
        "reserve": {"issue": {"when": "now", "apply": {"afterDays": 30}, "key": "ec-p256"}},
    }
    return base if distribution is None else {**base, "distribution": dict(distribution)}


def servers(directory: Path, aws_url: str, name: str, definitions: Sequence[Mapping[str, Any]]) -> Scenario:
    """Return a stack of the project with these servers."""
    stack = _stack(directory, aws_url)
    stack.define(definitions)
    return Scenario(name=name, stack=stack, count=len(definitions))


def folder(directory: Path, aws_url: str, name: str, definitions: Sequence[Mapping[str, Any]]) -> Scenario:
    """Return a stack of the project with a file per server in a folder."""
    stack = _stack(directory, aws_url)
    servers = stack.directory / "servers"
    servers.mkdir()
    for one in definitions:
        (servers / f"{one['name']}.yaml").write_text(yaml.safe_dump(dict(one), sort_keys=False), encoding="utf-8")
    file = stack.directory / f"Pulumi.{stack.name}.yaml"
    before = yaml.safe_load(file.read_text(encoding="utf-8"))
    config = {"ios-mdm:serversDirectory": servers.name}
    file.write_text(yaml.safe_dump({**before, "config": config}), encoding="utf-8")
    return Scenario(name=name, stack=stack, count=len(definitions))


def empty(directory: Path, aws_url: str) -> Scenario:
    """Return a stack without resources."""
    return Scenario(name="empty program", stack=_other(directory, aws_url, "empty", {}), count=0)


def trivial(directory: Path, aws_url: str, count: int) -> Scenario:
    """Return a stack of *count* resources that do nothing."""
    stack = _other(directory, aws_url, "trivial", {"benchmark:count": count})
    return Scenario(name=f"{count} trivial", stack=stack, count=count)


def _stack(directory: Path, aws_url: str) -> Stack:
    directory.mkdir()
    return make_stack(directory, aws_url)


def _other(directory: Path, aws_url: str, program: str, config: Mapping[str, int]) -> Stack:
    """Return a stack with a program of the benchmarks in place of the project's program."""
    stack = _stack(directory, aws_url)
    for part in stack.directory.iterdir():
        if part.name != ".venv":
            part.unlink()
    for part in (_PROGRAMS / program).glob("*.py"):
        (stack.directory / part.name).symlink_to(part)
    (stack.directory / "Pulumi.yaml").write_text(yaml.safe_dump(_PROJECT), encoding="utf-8")
    # The existing stack belongs to the project's name. This program has another project name.
    stack.run("stack", "init", stack.name).ok()
    file = stack.directory / f"Pulumi.{stack.name}.yaml"
    before = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(yaml.safe_dump({**(before or {}), "config": dict(config)}), encoding="utf-8")
    return stack
