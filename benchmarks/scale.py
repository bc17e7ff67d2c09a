"""``python -m benchmarks.scale``: measures a stack with many servers, whose definition is a folder of files.

The creation runs with ``PULUMI_SKIP_CHECKPOINTS=true``, unless ``--checkpoints`` is set. The engine then writes its
state once, at the end. Without the variable it writes the whole state after each step, which takes quadratic time. The
variable is for measurements only: after a crash, the engine does not know the created resources. All other runs are
ordinary ones.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks import scenarios
from tools.services import ministack, process
from tools.toolchain import Toolchain, ToolchainMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.meter import Measured

__all__ = ["main"]

PREVIEW = ("preview", "--suppress-outputs")
UP = ("up", "--yes", "--skip-preview", "--suppress-outputs")
ROLES = ("engine", "language host", "program", "provider", "command line")
WIDTH = 140
MIB = 1024 * 1024


def main(arguments: Sequence[str]) -> int:
    """Measure all runs, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--servers", default="100", help="numbers of servers, separated by commas (100)")
    parser.add_argument(
        "--checkpoints", action="store_true", help="write the state after each step, as `pulumi up` does"
    )
    options = parser.parse_args(arguments)
    console = Console(width=WIDTH)
    try:
        tools = Toolchain.load()
    except ToolchainMissingError as error:
        console.print(f"error: {error}", markup=False)
        return 2
    table = Table("servers", "run", "wall s", "CPU s", *(f"{role}: CPU, peak memory" for role in ROLES))
    for count in map(int, options.servers.split(",")):
        with tempfile.TemporaryDirectory(prefix="ios-mdm-scale-") as name:
            directory = Path(name)
            state = directory / "services"
            state.mkdir(mode=0o700)
            try:
                aws = process.ensure(state, ministack.service(tools.ministack, state / "aws"))
                for title, found in _runs(directory, aws.url, tools.python, count, checkpoints=options.checkpoints):
                    console.print(f"{count}: {title}: {found.wall:.1f} s", highlight=False)
                    table.add_row(str(count), title, f"{found.wall:.1f}", f"{found.cpu:.1f}", *_parts(found))
            finally:
                process.stop(state, ministack.NAME)
    console.print(table)
    console.print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    return 0


def _runs(
    directory: Path, aws_url: str, python: Path, count: int, *, checkpoints: bool
) -> Iterator[tuple[str, Measured]]:
    width = len(str(count - 1))
    definitions = [scenarios.server(f"n{number:0{width}}") for number in range(count)]
    stack = scenarios.folder(directory / "stack", aws_url, f"{count} servers", definitions)
    yield "first preview", stack.measure_command(*PREVIEW, roles=True)
    skipped = "false" if checkpoints else "true"
    yield "creation", stack.measure_command(*UP, roles=True, PULUMI_SKIP_CHECKPOINTS=skipped)
    yield "preview", stack.measure_command(*PREVIEW, "--expect-no-changes", roles=True)
    # This run stores the ids of each pair in its inputs, so the engine writes a checkpoint per pair.
    yield "second up", stack.measure_command(*UP, "--expect-no-changes", roles=True, PULUMI_SKIP_CHECKPOINTS=skipped)
    yield "up", stack.measure_command(*UP, "--expect-no-changes", roles=True)
    yield "status", stack.status(python)


def _parts(found: Measured) -> Iterator[str]:
    for role in ROLES:
        known = role in found.roles
        yield f"{found.roles[role]:.1f} s, {found.memory[role] / MIB:.0f} MiB" if known else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
