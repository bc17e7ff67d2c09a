"""Finds an nginx, or unpacks Debian's package of it into the cache: nothing is installed, and nothing is started."""

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
    """Return the path of an nginx: the machine's own, else that of Debian's package in the cache.

    Raises:
        BootstrapError: there is none, and none can be had.
    """
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if found is not None:
        return Path(found)
    target = cache_dir() / "nginx"
    executable = target / "usr" / "sbin" / "nginx"
    if not executable.is_file():
        if not can_unpack():
            raise BootstrapError(_NEEDED)
        say("nginx", "unpacking Debian's package into the cache")
        unpack("nginx", ["nginx"], target, dependencies=False, needed=_NEEDED)
    try:
        subprocess.run([executable, "-v"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        shutil.rmtree(target, ignore_errors=True)
        raise BootstrapError(f"Debian's nginx does not run here. {_NEEDED}") from None
    return executable
