"""Finds a headless Chromium on the machine, or unpacks Debian's package into the cache.

Tests view the pages of the commands in it. Without a browser, these tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tools.debian_packages import can_unpack, unpack
from tools.steps import BootstrapError, say
from tools.toolchain import cache_dir

__all__ = ["COMMANDS", "ensure_chromium"]

COMMANDS = ("chromium-headless-shell", "chromium")
_PACKAGE = "chromium-headless-shell"
_NEEDED = f"the tests of pages need Chromium: install it (Debian: `apt install {_PACKAGE}`)"
_LAUNCHER = """#!/bin/sh
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" exec "{program}" "$@"
"""


def ensure_chromium() -> dict[str, Path]:
    """Return the path of Chromium: on the machine, or from Debian's package in the cache; empty without Chromium.

    A package that cannot be unpacked is no error: a line says so, and that tests are skipped.
    """
    for command in COMMANDS:
        if (found := shutil.which(command)) is not None:
            return {"chromium": Path(found)}
    target = cache_dir() / "chromium"
    launcher = target / "launcher"
    if not launcher.is_file():
        try:
            _install(target, launcher)
        except BootstrapError as error:
            shutil.rmtree(target, ignore_errors=True)
            say("chromium", f"{error}; the tests of pages in a browser are skipped")
            return {}
    return {"chromium": launcher}


def _install(target: Path, launcher: Path) -> None:
    if not can_unpack():
        raise BootstrapError(_NEEDED)
    say("chromium", "unpacking Debian's package of Chromium into the cache (about 300 MB)")
    unpack("chromium", [_PACKAGE], target, dependencies=True, needed=_NEEDED)
    program = target / "usr" / "lib" / "chromium" / _PACKAGE
    libraries = sorted({str(file.parent) for file in (target / "usr" / "lib").glob("*-linux-*/**/*.so*")})
    script = target / "launcher.new"
    script.write_text(_LAUNCHER.format(libraries=":".join(libraries), program=program), encoding="utf-8")
    script.chmod(0o755)
    try:
        subprocess.run([script, "--version"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        raise BootstrapError(f"Debian's Chromium does not run on this machine. {_NEEDED}") from None
    script.rename(launcher)
