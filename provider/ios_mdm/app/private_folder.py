"""Checks that no other user can change a folder for private keys, and locks the folder for one process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ConsumerError", "check_folder", "exclusive_lock", "write_new"]

_ROOT: Final = 0
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_LOCK: Final = ".lock"


class ConsumerError(IosMdmError):
    """The files could not be written, or the command failed. The server keeps its former certificate."""


def check_folder(folder: Path) -> None:
    """Check that only this user and root can change or replace the folder and the folders above it.

    Args:
        folder: existing folder. Each link in its path is checked as well.

    Raises:
        ConsumerError: Another user can change one of these folders, and so replace ``tls.key``.
    """
    user = os.geteuid()
    resolved = folder.resolve()
    for one in dict.fromkeys((resolved, *_folders_on_path(folder))):
        found = one.lstat()
        is_own = one == resolved
        if found.st_uid not in ({user} if is_own else {user, _ROOT}):
            raise ConsumerError(
                f"{one} belongs to the user {found.st_uid}, but this process runs as {user}: the owner of a folder can "
                "replace its files. Change its owner (chown), or choose another folder"
            )
        # In a folder with the sticky bit, such as /tmp, only the owner of an entry can replace it.
        is_protected = stat.S_ISLNK(found.st_mode) or (found.st_mode & stat.S_ISVTX and not is_own)
        if found.st_mode & _WRITABLE_BY_OTHERS and not is_protected:
            raise ConsumerError(
                f"{one} is writable for its group or for all users (mode {stat.S_IMODE(found.st_mode):04o}), so they "
                "can replace the private key. Remove this permission (chmod go-w), or choose another folder"
            )


def _folders_on_path(path: Path) -> Iterator[Path]:
    """Yield each folder and link in *path* and in the targets of its links, which must not form a circle."""
    absolute = path.absolute()
    current, names = Path(absolute.anchor), deque(absolute.parts[1:])
    yield current
    while names:
        name = names.popleft()
        following = current.parent if name == ".." else current / name
        yield following
        if following.is_symlink():
            target = following.readlink()
            if target.is_absolute():
                current = Path(target.anchor)
            names.extendleft(reversed(target.parts[target.is_absolute() :]))
        else:
            current = following


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock the folder: a second consumer would delete files that the first one is still writing.

    The lock is on a file that only this user can open, because each process that can open a file can lock it.

    Raises:
        ConsumerError: Another process has the lock, or the file does not belong to this user.
    """
    path = folder / _LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(descriptor)
        is_own = found.st_uid == os.geteuid() and found.st_nlink == 1  # with a second name, it is another file
        if not stat.S_ISREG(found.st_mode) or not is_own:
            raise ConsumerError(f"{path} was not created by `consume`: remove it, or choose another folder")
        os.fchmod(descriptor, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends or crashes
        except BlockingIOError:
            raise ConsumerError(
                f"another `consume` uses {folder}: stop one of them, or give each a separate folder"
            ) from None
        yield
    finally:
        os.close(descriptor)


def write_new(path: Path, content: bytes) -> None:
    """Create a file with mode 0600 and flush it to the disk. Links are not followed.

    Raises:
        FileExistsError: A file or a link with this path exists.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
