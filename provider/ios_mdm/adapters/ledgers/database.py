"""The SQLite file of a ledger: its connection, its permissions and its transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import weakref
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers.private_file import create_private, is_private, make_private
from ios_mdm.adapters.ledgers.problems import problem
from ios_mdm.adapters.ledgers.schema import SCHEMA, SCHEMA_VERSION
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Database"]

BUSY_TIMEOUT: Final = 30.0
"""Seconds that a writer waits for the others. Collector and `up` write at the same time, each for milliseconds."""


class Database:
    """A SQLite file with the schema of a ledger. Each method raises a ``DeliveryError`` if it cannot be used.

    The first use opens a connection, and later ones use it again, as long as the path names the same file. The threads
    of a process take turns. Between transactions, the connection has no lock, so other processes can use the file, and
    it can be replaced or deleted.

    Args:
        path: path of the file. The first write creates the file with mode 0600, and missing folders with mode 0700.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._close: weakref.finalize[..., Database] | None = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """One transaction that reads; None if the file does not exist or is empty. No file is created."""
        if not self._exists():
            yield None
            return
        with self._open_connection() as connection:
            connection.execute("BEGIN")  # all queries read the same state
            try:
                yield connection if self._version(connection) else None
            finally:
                _roll_back(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end of the block, and rolled back if the block raises an error."""
        self._prepare()
        with self._open_connection() as opened:
            connection = self._begin(opened)
            try:
                version = self._version(connection)
                self._make_private()
                if version == 0:
                    for statement in SCHEMA:
                        connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
            finally:
                _roll_back(connection)

    def _begin(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Begin to write, and return the connection, which is another one if the file was replaced meanwhile."""
        # immediate: a transaction that reads first cannot be upgraded while another process writes
        connection.execute("BEGIN IMMEDIATE")
        current = self._current_connection()
        if current is not connection:
            current.execute("BEGIN IMMEDIATE")
        return current

    @contextlib.contextmanager
    def _open_connection(self) -> Iterator[sqlite3.Connection]:
        """The connection to the file, which must exist. The other threads wait until the block ends."""
        with self._turn:
            try:
                yield self._current_connection()
            except sqlite3.Error as error:
                self._disconnect()
                raise self._error(problem(self.path, error)) from None

    def _current_connection(self) -> sqlite3.Connection:
        """Return the open connection if the path still names its file, else a new one."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise self._error(problem(self.path, error)) from None
        file = (found.st_dev, found.st_ino)
        if self._connection is None or self._file != file:
            self._disconnect()
            uri = f"{self.path.absolute().as_uri()}?mode=rw"
            connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            self._close = weakref.finalize(self, connection.close)
            self._close.atexit = False  # another thread may use the connection then
            # Without it, the bytes of deleted devices stay in the file. Only some builds of SQLite have it by default.
            connection.execute("PRAGMA secure_delete = ON")
            self._connection, self._file = connection, file
        return self._connection

    def _disconnect(self) -> None:
        self._connection = None
        if self._close is not None:
            self._close()

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


def _roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction that was not committed. An error that is being raised is kept."""
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
