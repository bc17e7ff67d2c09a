"""Tests of the connection that a SQLite ledger keeps open."""

from __future__ import annotations

import gc
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.adapters.ledgers.database import Database
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.errors import DeliveryError
from tests.support.events import record_device

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A ledger with the device a."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    record_device(ledger, "a", enrolled=True, at=START)
    return ledger


@pytest.fixture
def other(tmp_path: Path) -> SqliteLedger:
    """Another ledger, with the device b."""
    other = SqliteLedger(tmp_path / "other.db")
    record_device(other, "b", enrolled=True, at=START)
    return other


def open_files(path: Path) -> int:
    """Return the number of descriptors of this process for a file."""

    def targets() -> Iterator[str]:
        for one in Path("/proc/self/fd").iterdir():
            if one.is_symlink():
                yield str(one.readlink())

    return sum(one == str(path) for one in targets())


def test_one_connection_serves_all_operations(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """To open a connection takes longer than to record an event."""

    def refuse(*_arguments: object, **_options: Any) -> None:
        raise AssertionError("a second connection")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    for device in "abc":
        record_device(ledger, device, enrolled=True, at=START)
        assert device in ledger.enrolled_ids()
    assert open_files(ledger.path) == 1


def test_deleted_records_are_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has no bytes of a device whose records were deleted. Not every SQLite does this by default."""  # R44
    connect = sqlite3.connect

    def connect_without_overwriting(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_without_overwriting)
    ledger = SqliteLedger(tmp_path / "ledger.db")
    for device in ("a-device-that-stays", "a-device-that-left"):
        record_device(ledger, device, enrolled=True, at=START)
    record_device(ledger, "a-device-that-left", enrolled=False, at=START + timedelta(hours=1))
    assert b"a-device-that-left" in ledger.path.read_bytes()
    assert ledger.delete_devices(left_before=START + timedelta(days=30)) == 1
    content = ledger.path.read_bytes()
    assert b"a-device-that-left" not in content
    assert b"a-device-that-stays" in content


def test_the_connection_ends_with_the_ledger(other: SqliteLedger, tmp_path: Path) -> None:
    """No file stays open."""
    one = SqliteLedger(other.path)
    before = open_files(other.path)
    assert one.enrolled_ids() == ("b",)
    assert open_files(other.path) == before + 1
    del one
    gc.collect()
    assert open_files(other.path) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other.db"]


def test_a_replaced_file_is_used(ledger: SqliteLedger, other: SqliteLedger, tmp_path: Path) -> None:
    """A backup can be restored while the collector runs."""
    backup = tmp_path / "backup.db"
    shutil.copy(ledger.path, backup)
    other.path.replace(ledger.path)
    assert ledger.enrolled_ids() == ("b",)
    backup.replace(ledger.path)
    record_device(ledger, "c", enrolled=True, at=START)
    assert ledger.enrolled_ids() == SqliteLedger(ledger.path).enrolled_ids() == ("a", "c")


def test_a_file_that_is_replaced_during_a_write_gets_the_event(
    ledger: SqliteLedger, other: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer can wait for a lock of the former file. NanoMDM posts an event once, so no event may be lost."""  # R42
    connect = Database._current_connection

    def connect_and_replace(database: Database) -> sqlite3.Connection:
        connection = connect(database)
        if other.path.exists():
            other.path.replace(ledger.path)
        return connection

    monkeypatch.setattr(Database, "_current_connection", connect_and_replace)
    record_device(ledger, "c", enrolled=True, at=START)
    assert ledger.enrolled_ids() == ("b", "c")


def test_a_deleted_file_is_an_empty_ledger(ledger: SqliteLedger) -> None:
    """The next write creates another file."""
    ledger.path.unlink()
    assert ledger.enrolled_ids() == ()
    assert not ledger.path.exists()
    record_device(ledger, "b", enrolled=True, at=START)
    assert ledger.enrolled_ids() == SqliteLedger(ledger.path).enrolled_ids() == ("b",)


def test_an_error_leaves_no_lock(ledger: SqliteLedger) -> None:
    """After an error in a transaction, this ledger and others can be written."""
    with pytest.raises(DeliveryError):
        ledger.record_asked(["a", None], at=START)  # type: ignore[list-item]
    with closing(sqlite3.connect(ledger.path, isolation_level=None, timeout=0)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
    record_device(ledger, "b", enrolled=True, at=START)
    assert ledger.enrolled_ids() == ("a", "b")


def test_threads_share_a_ledger(ledger: SqliteLedger) -> None:
    """The threads of the collector write and read at the same time."""

    def record(number: int) -> None:
        record_device(ledger, f"device-{number:02}", enrolled=True, at=START)
        assert f"device-{number:02}" in ledger.enrolled_ids()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(40)))
    assert len(ledger.enrolled_ids()) == 41
