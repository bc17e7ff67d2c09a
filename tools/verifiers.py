"""Finds the command line tools of OpenSSL, GnuTLS and NSS, or unpacks Debian's packages of them into the cache.

Tests compare their results with ours. Tests whose tools are missing are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tools.debian_packages import can_unpack, unpack
from tools.steps import BootstrapError, say
from tools.toolchain import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "ensure_verifiers"]

COMMANDS = ("certtool", "certutil", "openssl", "pk12util", "vfychain")
_PACKAGES = ("gnutls-bin", "libnss3-tools", "openssl")
_NEEDED = f"the tests need {', '.join(COMMANDS)}: install gnutls-bin, libnss3-tools and openssl"
_LAUNCHER = """#!/bin/sh
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" exec "{program}" "$@"
"""


def ensure_verifiers() -> dict[str, Path]:
    """Return the path of each command on the machine, or in Debian's package in the cache.

    Commands that cannot be unpacked are missing from the result.
    """
    found = {command: Path(path) for command in COMMANDS if (path := shutil.which(command)) is not None}
    target = cache_dir() / "verifiers"
    launchers = {command: target / "launchers" / command for command in COMMANDS if command not in found}
    if not all(launcher.is_file() for launcher in launchers.values()):
        try:
            _install(target, list(launchers.values()))
        except BootstrapError as error:
            shutil.rmtree(target, ignore_errors=True)
            say("verifiers", f"{error}; their tests are skipped")
            return found
    return found | launchers


def _install(target: Path, launchers: Sequence[Path]) -> None:
    if not can_unpack():
        raise BootstrapError(_NEEDED)
    say("verifiers", "unpacking Debian's packages of OpenSSL, GnuTLS and NSS into the cache")
    unpack("verifiers", _PACKAGES, target, dependencies=True, needed=_NEEDED)
    libraries = sorted({str(file.parent) for file in target.glob("**/*.so*")})
    (target / "launchers").mkdir()
    for launcher in launchers:
        program = target / "usr" / "bin" / launcher.name
        launcher.write_text(_LAUNCHER.format(libraries=":".join(libraries), program=program), encoding="utf-8")
        launcher.chmod(0o755)
        try:
            # Each command prints its usage. The loader's exit code for a missing library is 127.
            done = subprocess.run([launcher, "--help"], check=False, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            done = None
        if done is None or done.returncode == 127:  # noqa: PLR2004 - of the dynamic loader and of sh
            raise BootstrapError(f"Debian's {launcher.name} does not run on this machine. {_NEEDED}")
