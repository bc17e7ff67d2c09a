"""The SQLite file of a ledger: its permissions, its schema and its transactions."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ios_mdm.adapters.ledgers.private_file import create_private, is_private, make_private
from ios_mdm.adapters.ledgers.problems import problem
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["SCHEMA_VERSION", "Database"]

BUSY_TIMEOUT: Final = 30.0
"""Seconds that a writer waits for the others. Collector and `up` write at the same time, each for milliseconds."""

SCHEMA_VERSION: Final = 4

# Times are integers: microseconds since 1970, or NEVER. Each upsert keeps the greater value of a register.
# The journal mode is SQLite's default and not WAL. So the ledger is one file, which a process without write access can
# read. With one connection for each operation, it is as fast (1,000 writes per second).
_SCHEMA: Final = (
    """CREATE TABLE publication (
        server TEXT PRIMARY KEY, revision INTEGER NOT NULL, seed BLOB NOT NULL, at INTEGER NOT NULL,
        channel TEXT NOT NULL, is_for_all INTEGER NOT NULL, profile BLOB NOT NULL)""",
    """CREATE TABLE published (
        server TEXT NOT NULL, certificate BLOB NOT NULL, PRIMARY KEY (server, certificate)) WITHOUT ROWID""",
    """CREATE TABLE command (
        command_uuid TEXT PRIMARY KEY, server TEXT NOT NULL, revision INTEGER NOT NULL, queued INTEGER NOT NULL)
        WITHOUT ROWID""",
    """CREATE TABLE delivery (
        server TEXT NOT NULL, enrollment_id TEXT NOT NULL, revision INTEGER NOT NULL, queued INTEGER NOT NULL,
        epoch INTEGER NOT NULL, acknowledged INTEGER NOT NULL, answered_queued INTEGER NOT NULL,
        finality INTEGER NOT NULL, answered INTEGER NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (server, enrollment_id)) WITHOUT ROWID""",
    # answers to commands that are not recorded yet, or that other senders queued
    """CREATE TABLE stray (
        command_uuid TEXT NOT NULL, enrollment_id TEXT NOT NULL, at INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
        finality INTEGER NOT NULL, answered INTEGER NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (command_uuid, enrollment_id)) WITHOUT ROWID""",
    "CREATE INDEX stray_at ON stray (at)",
    """CREATE TABLE device (
        enrollment_id TEXT PRIMARY KEY, authenticated INTEGER NOT NULL, seen INTEGER NOT NULL, gone INTEGER NOT NULL,
        listed INTEGER NOT NULL, asked INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE certificate (
        enrollment_id TEXT NOT NULL, certificate BLOB NOT NULL, reported INTEGER NOT NULL,
        PRIMARY KEY (enrollment_id, certificate)) WITHOUT ROWID""",
    "CREATE TABLE claim (enrollment_id TEXT NOT NULL, at INTEGER NOT NULL)",
    "CREATE INDEX claim_of ON claim (enrollment_id, at)",
    # one row: the greatest time of delete_devices
    "CREATE TABLE deletion (number INTEGER PRIMARY KEY CHECK (number = 1), before INTEGER NOT NULL)",
    # the time comes first: new events are at the end of the table, and old ones are deleted from its start
    "CREATE TABLE event (at INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (at, identity)) WITHOUT ROWID",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


@dataclass(frozen=True, slots=True)
class Database:
    """A SQLite file with the schema of a ledger. Each method raises a ``DeliveryError`` if it cannot be used.

    Args:
        path: path of the file. The first write creates the file with mode 0600, and missing folders with mode 0700.
    """

    path: Path

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """One transaction that reads; None if the file does not exist or is empty. No file is created."""
        if not self._exists():
            yield None
            return
        with self._connected() as connection:
            connection.execute("BEGIN")  # all queries read the same state
            yield connection if self._version(connection) else None

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of *query*; empty if the file does not exist or is empty."""
        with self.reading() as connection:
            return [] if connection is None else connection.execute(query, parameters).fetchall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end of the block, and rolled back if the block raises an error."""
        self._prepare()
        with self._connected() as connection:
            # immediate: a transaction that reads first cannot be upgraded while another process writes
            connection.execute("BEGIN IMMEDIATE")
            try:
                version = self._version(connection)
                self._make_private()
                if version == 0:
                    for statement in _SCHEMA:
                        connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file, which must exist."""
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
            with contextlib.closing(connection):
                yield connection
        except sqlite3.Error as error:
            raise self._error(problem(self.path, error)) from None

    def _exists(self) -> bool:
        try:
            return is_private(self.path)
        except OSError as error:
            raise self._error(problem(self.path, error)) from None

    def _prepare(self) -> None:
        """Create the file if it does not exist."""
        try:
            if not self._exists():
                create_private(self.path)
        except OSError as error:
            raise self._error(problem(self.path, error)) from None

    def _make_private(self) -> None:
        """Remove the permissions of other users from the file.

        Call it only after the file is known to be a ledger, because the URL may name any file.
        """
        try:
            make_private(self.path)
        except OSError as error:
            raise self._error(problem(self.path, error)) from None

    def _version(self, connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise self._error("a newer ios-mdm wrote it, so update this one")
        if 0 < version < SCHEMA_VERSION:
            raise self._error("an older ios-mdm wrote it: delete it, and every device gets the profile again")
        if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise self._error("it is the database of another program, so choose another path")
        return int(version)

    def _error(self, what: str) -> DeliveryError:
        return DeliveryError(f"the ledger {self.path} cannot be used: {what}")
