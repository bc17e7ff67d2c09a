"""Messages about a ledger's file that cannot be used: reason and remedy for each error of SQLite and of the system."""

from __future__ import annotations

import errno
import os
import pwd
import sqlite3
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers.private_file import NotPrivateError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["problem"]

_PRIMARY: Final = 0xFF
"""Mask of SQLite's primary error codes; the other bits are details of the same error."""
_DENIED_BY_SQLITE: Final = frozenset(
    {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
)
_DENIED_BY_SYSTEM: Final = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EROFS})
_FULL: Final = "its disk is full. Free some space in {folder}, and run again"
_LOCKED: Final = (
    "another process keeps it locked. Find it (fuser {path}), let it end, and run again; keep the ledger on a local "
    "disk, because locks of network file systems are not reliable"
)
_DAMAGED: Final = (
    "it is damaged, or no SQLite file. Restore it from a backup, or move it away: the next up creates another, and "
    "sends the profile to each device again"
)
_REASONS_OF_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: "its disk reports an error. Check the disk and its free space, and run again",
}
_REASONS_OF_SYSTEM: Final = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL}


def problem(path: Path, error: sqlite3.Error | OSError) -> str:
    """Return why the ledger cannot be used and what to do, without a period.

    Args:
        path: of the ledger.
        error: raised when it was used.
    """
    if isinstance(error, NotPrivateError):
        return str(error.strerror)
    if isinstance(error, OSError):
        is_denied = error.errno in _DENIED_BY_SYSTEM
        reason = _REASONS_OF_SYSTEM.get(error.errno or 0)
        other = f"{error.strerror or type(error).__name__}. Correct the path or the folder, and run again"
    else:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        is_denied = code in _DENIED_BY_SQLITE
        reason = _REASONS_OF_SQLITE.get(code)
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        other = f"SQLite reports {name}. Check the file, and run again"
    if is_denied:
        return _denial(path)
    return other if reason is None else reason.format(path=path, folder=path.parent)


def _denial(path: Path) -> str:
    """Return why access is denied, and what to do: the owner, a wrong path, or the mode.

    The owner is that of the file, or of the nearest folder above it that exists.
    """
    for one in (path, *path.parents):
        try:
            owner = one.stat().st_uid
        except OSError:
            continue
        if one.is_dir() == (one == path):
            return f"{one} is a {'folder' if one == path else 'file'}. Correct the path, and run again"
        if owner == os.geteuid():
            break
        return (
            f"{one} belongs to the user {_user(owner)}, and this process runs as {_user(os.geteuid())}. Run it as that "
            "user, or change the owner of the file and its folder"
        )
    return f"it, or its folder, cannot be read and written by the user {_user(os.geteuid())}. Change the mode of both"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
