"""Tests of the meter, and of measurements of a stack of the real engine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import scenarios
from benchmarks.__main__ import Series
from benchmarks.imports import package_times
from benchmarks.meter import Measured, measure

if TYPE_CHECKING:
    from pathlib import Path

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
ORPHAN = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}], start_new_session=True)"


@pytest.mark.parametrize("code", [BURN, ORPHAN], ids=["itself", "what it leaves behind"])
def test_all_that_a_command_starts_is_counted(tmp_path: Path, code: str) -> None:
    """The CPU time of a process whose parent did not wait for it is in the sum."""
    found = measure([sys.executable, "-c", code], cwd=tmp_path, environment=os.environ)
    assert found.code == 0
    assert found.cpu >= 0.3


def test_the_exit_code_and_the_output_are_the_commands(tmp_path: Path) -> None:
    """A failed command is visible as a failure."""
    found = measure(["sh", "-c", "echo out; echo err >&2; exit 3"], cwd=tmp_path, environment=os.environ)
    assert (found.code, found.output) == (3, "out\nerr\n")


def test_the_peak_of_memory_is_that_of_the_largest_process(tmp_path: Path) -> None:
    """The peak is in bytes, and includes memory that the program has freed."""
    code = "import time; block = bytearray(100_000_000); del block; time.sleep(0.3)"
    found = measure([sys.executable, "-c", code], cwd=tmp_path, environment=os.environ, roles=True)
    assert 100_000_000 < found.memory["other"] < 200_000_000


def test_a_stack_of_files_is_measured(tmp_path: Path) -> None:
    """Each server has a file in a folder, and a preview declares all servers."""
    definitions = [scenarios.server(name) for name in ("berlin", "paris")]
    stack = scenarios.folder(tmp_path / "folder", "http://127.0.0.1:9", "2 servers", definitions)
    with pytest.raises(RuntimeError, match=r"(?s)2 servers: pulumi preview .*(berlin.*paris|paris.*berlin)"):
        stack.measure_command("preview")


def test_a_stack_is_measured_with_each_kind_of_process(tmp_path: Path) -> None:
    """A preview of a resource that does nothing has an engine, a language host, a program and a provider."""
    stack = scenarios.trivial(tmp_path / "trivial", "http://127.0.0.1:9", 1)
    assert "2 created" in stack.create().output
    found = stack.measure_command("preview", "--expect-no-changes", roles=True)
    assert {"engine", "language host", "program", "provider"} <= found.roles.keys()
    with pytest.raises(RuntimeError, match=r"1 trivial: pulumi preview --no-such-flag .*failed"):
        stack.measure_command("preview", "--no-such-flag")


def test_a_series_has_the_median_of_its_rounds(tmp_path: Path) -> None:
    """A single slow round has no effect."""
    scenario = scenarios.empty(tmp_path / "empty", "http://127.0.0.1:9")
    runs = [Measured(code=0, cpu=cpu, wall=2 * cpu) for cpu in (1.0, 9.0, 2.0)]
    series = Series(scenario=scenario, command="up", runs=runs)
    assert (series.cpu, series.wall) == (2.0, 4.0)


def test_imports_are_summed_by_package() -> None:
    """Self times are added; our packages have one name."""
    log = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       500 |        500 |     pydantic.types\n"
        "import time:      1000 |       1500 |   pydantic\n"
        "import time:      2000 |       3500 | ios_mdm.settings\n"
        "import time:      1000 |       1000 | components\n"
    )
    assert package_times(log) == {"pydantic": 1.5, "ios-mdm": 3.0}
