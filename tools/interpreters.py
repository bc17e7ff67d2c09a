"""Runs all tests with each Python from 3.11 on that the machine has: ``python3 -m tools.interpreters``.

Each interpreter uses a copy of the checkout in ``.pythons``, with a separate virtualenv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.toolchain import ROOT

__all__ = ["copy_checkout", "interpreters", "main"]

OLDEST = 11
NEWEST = 19
"""Minor versions of Python 3 to search for."""
COPIES = ROOT / ".pythons"
_KEPT = {".venv", ".hypothesis"}


def interpreters(path: str) -> dict[str, Path]:
    """Return the first working interpreter of each version (such as ``3.12``) on a search path.

    Not every command works: pyenv has a command for each installed version, but runs only selected versions.
    """
    found: dict[str, Path] = {}
    for version in (f"3.{minor}" for minor in range(OLDEST, NEWEST + 1)):
        for folder in path.split(os.pathsep):
            command = Path(folder or ".") / f"python{version}"
            if version not in found and _version(command) == version:
                found[version] = command
    return found


def _version(command: Path) -> str | None:
    """Return the version of an interpreter, or None if it does not run or cannot create virtualenvs."""
    if not os.access(command, os.X_OK):
        return None
    code = "import ensurepip, sys, venv; print(f'{sys.version_info[0]}.{sys.version_info[1]}')"
    try:
        done = subprocess.run([command, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def copy_checkout(target: Path) -> None:
    """Copy the files that git tracks or does not ignore. The virtualenv of an earlier copy is kept."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        if old.is_dir() and old.name not in _KEPT:
            shutil.rmtree(old)
        elif not old.is_dir():
            old.unlink()
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # git lists a deleted file until the deletion is committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)


def main() -> int:
    """Run `make test` with each interpreter; return 1 if one of them failed."""
    found = interpreters(os.environ.get("PATH", os.defpath))
    print(f"== Python versions: {', '.join(found) or 'none from 3.11 on'}", flush=True)
    if len(found) == 1:
        print("== only one: install others to test with them, too", flush=True)
    failed = []
    for version, command in found.items():
        print(f"== Python {version}: {command}", flush=True)
        copy_checkout(COPIES / version)
        if subprocess.run(["make", "test", f"PYTHON={command}"], cwd=COPIES / version, check=False).returncode != 0:
            failed.append(version)
    passed = [version for version in found if version not in failed]
    print(f"== passed: {', '.join(passed) or 'none'}; failed: {', '.join(failed) or 'none'}", flush=True)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
