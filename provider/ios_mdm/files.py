"""Reads files that a definition or an option names: only regular files, up to a size limit (R40). Replaces files."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from ios_mdm.errors import DefinitionError

__all__ = ["KIB", "MIB", "file_content", "file_start", "replace_file"]

KIB = 1 << 10
MIB = 1 << 20

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def file_content(path: Path, *, limit: int, named: str, allows_pipe: bool = False) -> bytes:
    """Return the content of a file.

    Args:
        path: path of the file; links are followed.
        limit: size limit in bytes, a multiple of 1 KiB.
        named: start of an error: the key or option, and the name of the file. An error never quotes the content.
        allows_pipe: whether the file may be a pipe, such as ``<(command)`` of a shell. Reading waits for the writer.

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
        # The check precedes the open, because opening some devices has an effect.
        _check_kind(path.stat().st_mode, named, allows_pipe=allows_pipe)
        # Opening a pipe that has no writer would wait, which a file of a definition must not cause.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if allows_pipe else os.O_NONBLOCK))
        with os.fdopen(descriptor, "rb") as stream:
            _check_kind(os.fstat(descriptor).st_mode, named, allows_pipe=allows_pipe)
            return stream.read(size)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "its name has a zero byte"
    raise DefinitionError(f"{named} cannot be read: {reason}")


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Create or replace a file by a rename. A reader sees the former content or the new one, never a part of it.

    Args:
        path: path of the file, in an existing folder.
        content: the new content.
        mode: permissions of the file.

    Raises:
        OSError: The file cannot be written. No other file stays in the folder.
        ValueError: The name has a zero byte.
    """
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, mode)
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def _check_kind(mode: int, named: str, *, allows_pipe: bool) -> None:
    if stat.S_ISREG(mode) or (allows_pipe and stat.S_ISFIFO(mode)):
        return
    if stat.S_ISDIR(mode):
        raise DefinitionError(f"{named} cannot be read: Is a directory. Name a file in it instead")
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    raise DefinitionError(f"{named} cannot be read: it is {kind}, not a file")
