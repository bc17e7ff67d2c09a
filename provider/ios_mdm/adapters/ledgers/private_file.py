"""Creates a file that only its owner can use, and refuses one that others may have written."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

__all__ = ["NotPrivateError", "create_private", "is_private", "make_private"]


class NotPrivateError(PermissionError):
    """Other users can write the file; the message says what to do."""


def create_private(path: Path) -> None:
    """Create an empty file with mode 0600, unless there is one, and missing folders above it with mode 0700.

    Raises:
        OSError: The file cannot be created, or *path* is a symbolic link to a file that does not exist.
    """
    for folder in reversed([one for one in path.parents if not one.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    # A link replaces nothing and follows no symbolic link. The file is never opened under its own name: closing it
    # would release the locks of every SQLite connection in the process.
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(scratch, path)
    finally:
        Path(scratch).unlink()
    if not path.exists():
        message = "it is a symbolic link to a file that does not exist; create that file or remove the link"
        raise FileNotFoundError(errno.ENOENT, message)


def is_private(path: Path) -> bool:
    """Return whether there is a file at *path* that only its owner can write; False if there is none.

    Raises:
        NotPrivateError: Others can write the file.
        OSError: Its folder cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISREG(mode) and mode & (stat.S_IWGRP | stat.S_IWOTH):
        shown = f"{stat.S_IMODE(mode):04o}"
        message = f"other users can write it (mode {shown}); check its content, then run `chmod 600` on it"
        raise NotPrivateError(errno.EPERM, message)
    return True


def make_private(path: Path) -> None:
    """Remove the permissions of users outside the file's group.

    Raises:
        OSError: They cannot be removed.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IRWXO:
        path.chmod(stat.S_IMODE(mode) & ~stat.S_IRWXO)
