"""What is kept about the services in their state directory: process, port and log of each, and one lock for all."""

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
"""Bytes of a log that an error quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept about a service in `<state>/<name>.json`; the port outlives the process."""

    port: int
    digest: str = ""
    process: procfs.Identity | None = None


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Create the state directory (mode 0700) and hold its lock: only one start or stop at a time."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.chmod(0o700)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def log(state: Path, name: str) -> Path:
    """Return the log file of a service, which exists then; mode 0600."""
    file = state / f"{name}.log"
    file.touch(mode=0o600)
    return file


def tail(state: Path, name: str) -> str:
    """Return the end of a log, for an error."""
    return log(state, name).read_bytes()[-_LOG_TAIL:].decode(errors="replace").strip() or "(it wrote nothing)"


def read(state: Path, name: str) -> Record | None:
    """Return what is kept about a service; None if it never started here."""
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
    """Keep a record of a service in `<name>.json`."""
    # Written aside and renamed, so that a crash never leaves half a record and, with it, an orphan.
    fresh = state / f"{name}.json.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(record)), encoding="utf-8")
    fresh.replace(state / f"{name}.json")
