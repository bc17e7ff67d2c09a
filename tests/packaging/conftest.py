"""A fixture: the wheel in a new virtualenv of another Pulumi program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.installed import Installed
from tools.toolchain import ROOT

PROGRAM = Path(__file__).parent / "program"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel, and install it without the network into an empty virtualenv.

    Other packages are imported from the checkout's virtualenv through a path file. Python does not read path files in
    a directory that a path file names, so the code of the checkout is not importable.
    """
    directory = tmp_path_factory.mktemp("wheel")
    folder = directory / "program"
    shutil.copytree(PROGRAM, folder, ignore=shutil.ignore_patterns("__pycache__"))
    checkout = Path(sys.executable).parent
    path = [entry for entry in os.get_exec_path() if Path(entry).resolve() != checkout.resolve()]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))},
        "PATH": os.pathsep.join([str(folder / ".venv" / "bin"), *path]),
        "VIRTUAL_ENV": str(folder / ".venv"),
    }
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
    offline = ("--no-deps", "--no-index")
    for command in (
        (*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", directory, ROOT),
        (sys.executable, "-m", "venv", "--without-pip", folder / ".venv"),
        (
            *pip,
            "--python",
            folder / ".venv" / "bin" / "python",
            "install",
            *offline,
            "--find-links",
            directory,
            "ios-mdm",
        ),
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = directory.glob("*.whl")
    made = Installed(wheel=wheel, folder=folder, environment=environment)
    (made.packages / "third-party.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return made
