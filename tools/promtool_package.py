"""Finds promtool on the machine, or unpacks it from Debian's package of Prometheus into the cache."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tools.debian_packages import can_unpack, unpack
from tools.steps import BootstrapError, say
from tools.toolchain import cache_dir

__all__ = ["find_promtool"]

_NEEDED = "promtool checks the alert rules: install it (Debian, Ubuntu: `apt install prometheus`)"


def find_promtool() -> Path | None:
    """Return the path of promtool, or None if the machine has none and the package cannot be unpacked or used."""
    found = shutil.which("promtool")
    if found is not None:
        return Path(found)
    target = cache_dir() / "promtool"
    executable = target / "promtool"
    try:
        if not executable.is_file():
            _install(target, executable)
        subprocess.run([executable, "--version"], check=True, capture_output=True, timeout=30)
    except (BootstrapError, OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(target, ignore_errors=True)
        problem = str(error) if isinstance(error, BootstrapError) else f"Debian's promtool does not run here. {_NEEDED}"
        say("promtool", f"{problem}; its tests are skipped")
        return None
    return executable


def _install(target: Path, executable: Path) -> None:
    if not can_unpack():
        raise BootstrapError(_NEEDED)
    say("promtool", "unpacking Debian's package of Prometheus into the cache")
    unpack("promtool", ["prometheus"], target, dependencies=False, needed=_NEEDED)
    (target / "usr" / "bin" / "promtool").rename(executable)
    for rest in target.iterdir():  # the server and its pages take another 48 MB
        if rest.is_dir():
            shutil.rmtree(rest)
