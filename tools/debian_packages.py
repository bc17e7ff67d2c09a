"""Unpacks Debian packages into the cache, without an installation on the machine."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.steps import BootstrapError, run
from tools.toolchain import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["can_unpack", "unpack", "with_missing_dependencies"]


def can_unpack() -> bool:
    """Return whether this machine has apt-get and dpkg-deb, which :func:`unpack` needs."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def with_missing_dependencies(subject: str, packages: Sequence[str]) -> list[str]:
    """Return the packages that an installation of *packages* would install or upgrade on this machine.

    Raises:
        BootstrapError: apt has no package lists yet, or does not know a package.
    """
    simulated = run(subject, ["apt-get", "--simulate", "--no-install-recommends", "install", *packages])
    return re.findall(r"^Inst (\S+)", simulated, re.MULTILINE)


def unpack(subject: str, packages: Sequence[str], target: Path, *, dependencies: bool, needed: str) -> None:
    """Download packages and unpack them into the directory *target*.

    Args:
        subject: Subject of the progress lines.
        packages: Names of the packages.
        target: Directory, which is replaced.
        dependencies: Whether dependencies that this machine lacks are unpacked, too.
        needed: Error message if the packages cannot be downloaded.

    Raises:
        BootstrapError: The packages cannot be downloaded or unpacked.
    """
    with tempfile.TemporaryDirectory(prefix=f"{target.name}-", dir=cache_dir()) as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # apt downloads as a different user
        try:
            _download(subject, packages, folder, dependencies=dependencies)
        except BootstrapError:
            # apt has no package lists yet, and only root can download them.
            if os.geteuid() != 0:
                raise BootstrapError(needed) from None
            run(f"{subject} lists", ["apt-get", "update", "-qq"], cwd=folder)
            _download(subject, packages, folder, dependencies=dependencies)
        for package in sorted(folder.glob("*.deb")):
            run(f"{subject} unpack", ["dpkg-deb", "-x", package, folder / "tree"])
        shutil.rmtree(target, ignore_errors=True)
        (folder / "tree").rename(target)


def _download(subject: str, packages: Sequence[str], folder: Path, *, dependencies: bool) -> None:
    names = with_missing_dependencies(subject, packages) if dependencies else packages
    run(subject, ["apt-get", "download", *names], cwd=folder)
