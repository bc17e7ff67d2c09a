"""Finds an nginx on the machine, or unpacks Debian's package into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.debian_packages import can_unpack, unpack
from tools.steps import BootstrapError, say
from tools.toolchain import cache_dir

__all__ = ["ensure_nginx"]

_NEEDED = "nginx is needed for tests and rehearsals of a switch: install it (Debian, Ubuntu: `apt install nginx`)"


def ensure_nginx() -> Path:
    """Return the path of nginx: on the machine, or from Debian's package in the cache.

    Raises:
        BootstrapError: The machine has no nginx, and the package cannot be unpacked or does not run.
    """
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if found is not None:
        return Path(found)
    target = cache_dir() / "nginx"
    executable = target / "usr" / "sbin" / "nginx"
    if not executable.is_file():
        if not can_unpack():
            raise BootstrapError(_NEEDED)
        say("nginx", "unpacking Debian's package of nginx into the cache")
        unpack("nginx", ["nginx"], target, dependencies=False, needed=_NEEDED)
    try:
        subprocess.run([executable, "-v"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        shutil.rmtree(target, ignore_errors=True)
        raise BootstrapError(f"Debian's nginx does not run on this machine. {_NEEDED}") from None
    return executable
