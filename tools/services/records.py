"""Records of the services in their state directory: process, port and log of each service, and one lock."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tools.services import procfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOG_TAIL = 2_000
"""Number of bytes of a log that an error quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Record of a service in `<state>/<name>.json`. The port is kept after the process has stopped."""

    port: int
    digest: str = ""
    process: procfs.Identity | None = None


@contextmanager
def state_lock(state: Path) -> Iterator[None]:
    """Create the state directory (mode 0700) and hold its lock, so that starts and stops do not overlap."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.chmod(0o700)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def log(state: Path, name: str) -> Path:
    """Create the log file of a service if it is missing (mode 0600), and return its path."""
    file = state / f"{name}.log"
    file.touch(mode=0o600)
    return file


def tail(state: Path, name: str) -> str:
    """Return the end of a log, for an error message."""
    return log(state, name).read_bytes()[-_LOG_TAIL:].decode(errors="replace").strip() or "(the log is empty)"


def read(state: Path, name: str) -> Record | None:
    """Return the record of a service, or None if the service never started in this directory."""
    try:
        stored = json.loads((state / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    process = stored["process"]
    return Record(
        port=stored["port"],
        digest=stored["digest"],
        process=None if process is None else procfs.Identity(**process),
    )


def write(state: Path, name: str, record: Record) -> None:
    """Write the record of a service to `<name>.json`."""
    # The rename is atomic: after a crash, an incomplete record would leave a process without a record.
    fresh = state / f"{name}.json.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(record)), encoding="utf-8")
    fresh.replace(state / f"{name}.json")
