"""Who may import whom: the core is pure, and a Pulumi program starts without AWS and cryptography."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("boto3", "botocore", "cryptography")


def imported(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "ios_mdm"}
    return names


def files(folder: str) -> list[Path]:
    """Return the modules of a folder."""
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("path", files("provider/ios_mdm/core"), ids=lambda path: path.stem)
def test_the_core_is_pure(path: Path) -> None:
    """The core imports the standard library, cryptography, itself and the errors, and nothing else."""
    allowed = sys.stdlib_module_names | {"cryptography"}
    beyond = {
        name
        for name in imported(path)
        if name.partition(".")[0] not in allowed and name != "ios_mdm.errors" and not name.startswith("ios_mdm.core")
    }
    assert beyond == set()


@pytest.mark.parametrize("path", files("provider/ios_mdm/core"), ids=lambda path: path.stem)
def test_the_core_does_no_input_or_output(path: Path) -> None:
    """Of the standard library, the core uses nothing that reaches files, processes, the network or the environment."""
    outside = {"os", "pathlib", "io", "socket", "ssl", "subprocess", "time", "urllib", "http", "sqlite3", "logging"}
    assert {name.partition(".")[0] for name in imported(path)} & outside == set()


MIDDLE = [
    ROOT / f"provider/ios_mdm/{name}.py"
    for name in ("app/pair/effects", "app/pair/values", "ports", "app/pair/service", "app/switching")
]


@pytest.mark.parametrize("path", [*files("provider/ios_mdm/core"), *MIDDLE])
def test_adapters_are_not_known_inside(path: Path) -> None:
    """Core, ports and service know no adapter, no resource and no engine."""
    outside = ("ios_mdm.adapters", "ios_mdm.resources", "ios_mdm.settings", "pulumi", "boto3", "botocore")
    assert not [name for name in imported(path) if name.startswith(outside)]


@pytest.mark.parametrize("path", files("provider/ios_mdm/adapters"), ids=lambda path: path.stem)
def test_adapters_do_not_know_the_engine(path: Path) -> None:
    """An adapter works without Pulumi and without the service."""
    outside = ("pulumi", "ios_mdm.resources", "ios_mdm.app.pair.service", "components")
    assert not [name for name in imported(path) if name.startswith(outside)]


def loaded(statement: str) -> list[str]:
    """Return which of the heavy packages a fresh interpreter has after this statement."""
    code = f"import sys; {statement}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "module",
    [
        "components",
        "ios_mdm.resources.certificate_pair",
        "ios_mdm.resources.profile_distribution",
        "ios_mdm.settings",
        "ios_mdm.app.pair.service",
        "ios_mdm.app.delivery",
        "pulumi",
    ],
)
def test_a_program_starts_without_aws_and_cryptography(module: str) -> None:
    """What `__main__.py` imports loads neither boto3 nor cryptography; nor does Pulumi's SDK itself."""
    assert loaded(f"import {module}") == []


def test_the_program_imports_only_what_is_measured_here() -> None:
    """`__main__.py` imports Pulumi, the components and the errors, which the test above covers."""
    path = ROOT / "__main__.py"
    assert imported(path) <= {"asyncio", "gc", "sys", "pulumi", "components", "ios_mdm.errors"}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 30
