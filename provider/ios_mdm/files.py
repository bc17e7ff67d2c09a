"""Reads files that a definition or an option names: regular files only, and up to a size (R40)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KIB", "MIB", "file_content", "file_start"]

KIB = 1 << 10
MIB = 1 << 20

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def file_content(path: Path, *, limit: int, named: str, allows_pipe: bool = False) -> bytes:
    """Return the content of a file.

    Args:
        path: of the file; links are followed.
        limit: the most bytes, a number of whole KiB.
        named: the key or option and the file's name: the start of an error, which quotes nothing of the content.
        allows_pipe: whether the file may be a pipe, such as ``<(command)`` of a shell. Reading it waits for its writer.

    Raises:
        DefinitionError: The file cannot be read, is not a regular file, or is larger than the limit.
    """
    content = file_start(path, size=limit + 1, named=named, allows_pipe=allows_pipe)
    if len(content) > limit:
        raise DefinitionError(f"{named} is larger than {limit // KIB:,} KiB: check that this is the right file")
    return content


def file_start(path: Path, *, size: int, named: str, allows_pipe: bool = False) -> bytes:
    """Return the first *size* bytes of a file; arguments and errors as for :func:`file_content`."""
    try:
        # Before the file is opened: some devices act on that.
        _check_kind(path.stat().st_mode, named, allows_pipe=allows_pipe)
        # An open of a pipe without a writer would wait, and a reference of a definition must not.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if allows_pipe else os.O_NONBLOCK))
        with os.fdopen(descriptor, "rb") as stream:
            _check_kind(os.fstat(descriptor).st_mode, named, allows_pipe=allows_pipe)
            return stream.read(size)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "its name has a zero byte"
    raise DefinitionError(f"{named} cannot be read: {reason}")


def _check_kind(mode: int, named: str, *, allows_pipe: bool) -> None:
    if stat.S_ISREG(mode) or (allows_pipe and stat.S_ISFIFO(mode)):
        return
    if stat.S_ISDIR(mode):
        raise DefinitionError(f"{named} cannot be read: Is a directory")
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    raise DefinitionError(f"{named} cannot be read: it is {kind}, not a file")
