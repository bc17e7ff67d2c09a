"""A ledger that cannot be used is one line: the file, its owner where that is the reason, and what to do (row 22)."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.ledgers import database
from ios_mdm.adapters.ledgers.problems import problem
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.core.ledger.values import DeviceEvent
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def error_message(call: Callable[[], object]) -> str:
    """Return the message of the error: one line, without the error of SQLite above it."""
    with pytest.raises(DeliveryError) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(ledger: SqliteLedger) -> None:
    """Write something."""
    at = datetime(2040, 1, 1, tzinfo=UTC)
    event = DeviceEvent(identity=bytes(16), at=at, topic="mdm.TokenUpdate", enrollment_id="a", enrolled=True)
    ledger.record_events([event], now=at)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A ledger with a device."""
    found = SqliteLedger(tmp_path / "ledger.db")
    write(found)
    return found


def test_a_locked_ledger_is_reported(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds the process that keeps it."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.0)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        message = error_message(lambda: write(SqliteLedger(ledger.path)))
    assert f"the ledger {ledger.path} cannot be used: another process keeps it locked. Find it (fuser" in message


def test_a_damaged_ledger_is_reported(ledger: SqliteLedger) -> None:
    """To move it away costs one more profile for each device, and no device."""
    ledger.path.write_bytes(ledger.path.read_bytes()[:4096] + b"\xff" * 8192)
    message = error_message(lambda: write(ledger))
    assert "it is damaged, or no SQLite file. Restore it from a backup, or move it away" in message


def _error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("text of SQLite")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_SOMETHING"
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_error(sqlite3.SQLITE_FULL), "its disk is full. Free some space in"),
        (OSError(errno.ENOSPC, "No space left on device"), "its disk is full. Free some space in"),
        (_error(sqlite3.SQLITE_IOERR), "its disk reports an error"),
        (_error(sqlite3.SQLITE_IOERR | (3 << 8)), "its disk reports an error"),
        (_error(sqlite3.SQLITE_LOCKED), "another process keeps it locked"),
        (_error(sqlite3.SQLITE_CORRUPT), "it is damaged"),
        (_error(sqlite3.SQLITE_READONLY), "cannot be read and written by the user"),
        (_error(sqlite3.SQLITE_MISMATCH), "SQLite reports SQLITE_SOMETHING. Check the file"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "File name too long. Correct the path"),
    ],
)
def test_each_kind_of_error_says_what_to_do(ledger: SqliteLedger, error: sqlite3.Error | OSError, said: str) -> None:
    """The words of SQLite are for programmers, and are not shown."""
    message = problem(ledger.path, error)
    assert said in message
    assert "text of SQLite" not in message


@pytest.mark.parametrize("error", [_error(sqlite3.SQLITE_CANTOPEN), PermissionError(errno.EACCES, "Permission denied")])
def test_a_ledger_of_another_user_names_both(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch, error: sqlite3.Error | OSError
) -> None:
    """As after a first run with sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    message = problem(ledger.path, error)
    assert f"{ledger.path} belongs to the user " in message
    assert "and this process runs as 54321. Run it as that user, or change the owner" in message
    missing = problem(ledger.path.parent / "none" / "ledger.db", error)
    assert f"{ledger.path.parent} belongs to the user " in missing
