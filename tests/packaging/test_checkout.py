"""The package in a checkout: its name, and the code that a copied checkout runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from pulumi.dynamic import ResourceProvider

import ios_mdm.resources
from tools.toolchain import ROOT, VENV

VERSION = re.compile(r'^__version__ = "(?P<number>[^"]+)"$', re.MULTILINE)
FOLDERS = ("benchmarks", "components", "docs", "examples", "provider", "tests", "tools")


def sources() -> list[Path]:
    """Return each Python file of the project."""
    found = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    assert {path.parts[len(ROOT.parts)] for path in found} >= {"__main__.py", "components", "provider", "tests"}
    return found


def subclasses(base: type) -> set[type]:
    """Return each class that inherits from *base*, at any distance."""
    direct: set[type] = set(base.__subclasses__())
    return direct.union(*(subclasses(one) for one in direct))


def test_no_file_uses_the_name_of_the_source_folder() -> None:
    """The package is always imported as `ios_mdm`: its source folder `provider` is not in the wheel."""
    wrong = re.compile(r"\bprovider" + r"\.ios_mdm\b|^\s*(?:from|import) provider\b", re.MULTILINE)
    assert [path for path in sources() if wrong.search(path.read_text(encoding="utf-8"))] == []


def test_every_dynamic_provider_is_stored_under_its_place_in_the_package() -> None:
    """State refers to a provider class by its module and name, which must be the same in a checkout and in a wheel."""
    for module in iter_modules(ios_mdm.resources.__path__):
        import_module(f"ios_mdm.resources.{module.name}")
    found = {one for one in subclasses(ResourceProvider) if not one.__module__.startswith("pulumi.")}
    ours = {one.__name__ for one in found if one.__module__.startswith("ios_mdm.resources.")}
    assert ours >= {"CertificatePairProvider", "ProfileDistributionProvider"}
    declared = {
        name
        for path in (ROOT / "provider").rglob("*.py")
        for name in re.findall(r"^class (\w+Provider)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert declared == ours


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the checkout with its virtualenv, with links to other packages. The copy has another version."""
    copied = tmp_path / "copy"
    venv, packages = (
        copied / ".venv",
        Path(f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"),
    )
    shutil.copytree(ROOT / "provider", copied / "provider", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(VENV / "bin", venv / "bin", symlinks=True)
    shutil.copy2(VENV / "pyvenv.cfg", venv)
    (venv / packages).mkdir(parents=True)
    for entry in (VENV / packages).iterdir():
        if entry.name == "ios-mdm.pth":
            shutil.copy2(entry, venv / packages)
        else:
            (venv / packages / entry.name).symlink_to(entry)
    init = copied / "provider" / "ios_mdm" / "__init__.py"
    text, changes = VERSION.subn('__version__ = "0+copy"', init.read_text(encoding="utf-8"))
    assert changes == 1
    init.write_text(text, encoding="utf-8")
    return copied


@pytest.mark.parametrize(
    "command", [["bin/python", "-m", "ios_mdm"], ["bin/ios-mdm"]], ids=["python -m ios_mdm", "ios-mdm"]
)
def test_a_copied_checkout_runs_its_own_code(copy: Path, tmp_path: Path, command: list[str]) -> None:
    """The command uses interpreter and path file of the copy, in any working directory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    program, *arguments = command
    done = subprocess.run(
        [copy / ".venv" / program, *arguments, "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ios-mdm 0+copy\n"
