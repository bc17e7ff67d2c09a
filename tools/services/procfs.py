"""Reads processes and listening sockets from /proc (Linux)."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Identity of a process. A later process with the same pid has another one.

    `started` is the start in clock ticks after boot (proc(5), field 22). `boot` is the kernel's boot id.
    """

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    """Return the kernel's random boot id."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identify(pid: int) -> Identity | None:
    """Return the identity of a running process, or None if it does not run or is a zombie."""
    stat = _stat(pid)
    if stat is None or stat.state in {"Z", "X"}:
        return None
    return Identity(pid=pid, started=stat.started, boot=boot_id())


def is_in(pid: int, folder: Path) -> bool:
    """Return whether *folder* is the working directory of a process, also after a rename of the folder."""
    try:
        return (_PROC / str(pid) / "cwd").samefile(folder)
    except OSError:
        return False  # the process has exited, or belongs to another user


def group(leader: int) -> frozenset[int]:
    """Return the pids of the running processes in a process group, without zombies."""
    members = set()
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            stat = _stat(int(entry.name))
            if stat is not None and stat.group == leader and stat.state not in {"Z", "X"}:
                members.add(int(entry.name))
    return frozenset(members)


def listeners(pids: frozenset[int]) -> frozenset[tuple[str, int]]:
    """Return the addresses and ports on which these processes listen for TCP."""
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    tables = ((_PROC / "net/tcp", socket.AF_INET), (_PROC / "net/tcp6", socket.AF_INET6))
    return frozenset(
        _address(fields[1], family)
        for table, family in tables
        if table.exists()
        for fields in (line.split() for line in table.read_text(encoding="ascii").splitlines()[1:])
        if fields[3] == _LISTEN and fields[9] in inodes
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    state: str
    group: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses. The command may contain parentheses and spaces.
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], group=int(fields[2]), started=int(fields[19]))


def _socket_inodes(pid: int) -> frozenset[str]:
    inodes = set()
    try:
        for descriptor in os.scandir(_PROC / str(pid) / "fd"):
            target = _link(descriptor.path)
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # the process has exited, or belongs to another user
    return frozenset(inodes)


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""  # closed after the listing


def _address(field: str, family: socket.AddressFamily) -> tuple[str, int]:
    host, port = field.split(":")
    # The kernel prints addresses as 32-bit words in the machine's byte order.
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words)), int(port, 16)
