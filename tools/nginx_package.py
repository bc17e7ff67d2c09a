"""Finds an nginx, or unpacks Debian's package of it into the cache: nothing is installed, and nothing is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.steps import BootstrapError, run, say
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
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise BootstrapError(_NEEDED)
        say("nginx", "unpacking Debian's package into the cache")
        _unpack(target)
    try:
        subprocess.run([executable, "-v"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        shutil.rmtree(target, ignore_errors=True)
        raise BootstrapError(f"Debian's nginx does not run here. {_NEEDED}") from None
    return executable


def _unpack(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nginx-", dir=cache_dir()) as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # apt fetches as a user of its own
        try:
            run("nginx", ["apt-get", "download", "nginx"], cwd=folder)
        except BootstrapError:
            # No lists of packages yet: only root can get them.
            if os.geteuid() != 0:
                raise BootstrapError(_NEEDED) from None
            run("nginx lists", ["apt-get", "update", "-qq"], cwd=folder)
            run("nginx", ["apt-get", "download", "nginx"], cwd=folder)
        (package,) = folder.glob("nginx_*.deb")
        run("nginx unpack", ["dpkg-deb", "-x", package, folder / "tree"])
        shutil.rmtree(target, ignore_errors=True)
        (folder / "tree").rename(target)
