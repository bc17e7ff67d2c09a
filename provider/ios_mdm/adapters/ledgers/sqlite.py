"""A ledger in a SQLite file: the profiles that were sent to devices, and the answers of the devices."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers.private_file import create_private, is_private, make_private
from ios_mdm.adapters.ledgers.problems import problem
from ios_mdm.core.times import parsed_time, rfc3339
from ios_mdm.errors import DefinitionError, DeliveryError
from ios_mdm.ports import Coverage, DeliveryStatus, DeviceStatus, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ios_mdm.ports import Answer, DeviceEvent

__all__ = ["SqliteLedger", "open_ledger"]

BUSY_TIMEOUT: Final = 30.0
"""Seconds that a writer waits for the others. Collector and `up` write at the same time, each for milliseconds."""

STRAY_ANSWERS: Final = timedelta(days=7)
"""How long an answer waits for its command to be recorded. The collector gets the answers to all commands."""

KEPT_EVENTS: Final = timedelta(days=7)
"""How long the identity of an event is kept, from the time of the event.

NanoMDM posts an event once, at once. A queue between it and the collector may deliver a copy later: AWS Lambda retries
for 6 hours, Amazon SQS keeps messages for 4 days by default. A copy that is older has no effect either, because records
change by the time of the event only. 100,000 devices with 5 events a day are about 100 MB.
"""

SCHEMA_VERSION: Final = 2

# The journal mode is SQLite's default and not WAL. So the ledger is one file, which a process without write access can
# read. With one connection for each operation, it is as fast (1,000 writes per second).
_SCHEMA: Final = (
    """CREATE TABLE delivery (
        number INTEGER PRIMARY KEY, command_uuid TEXT NOT NULL, enrollment_id TEXT NOT NULL, server TEXT NOT NULL,
        profile TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (command_uuid, enrollment_id))""",
    "CREATE INDEX delivery_profile ON delivery (server, profile)",
    """CREATE TABLE answer (
        command_uuid TEXT NOT NULL, enrollment_id TEXT NOT NULL, status TEXT NOT NULL, detail TEXT NOT NULL,
        at TEXT NOT NULL, finality INTEGER NOT NULL, known INTEGER NOT NULL,
        PRIMARY KEY (command_uuid, enrollment_id)) WITHOUT ROWID""",
    "CREATE INDEX answer_stray ON answer (at) WHERE NOT known",
    # microseconds: a device can check out and enroll again within a second
    """CREATE TABLE device (
        enrollment_id TEXT PRIMARY KEY, enrolled INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID""",
    # the time comes first: new events are at the end of the table, and old ones are deleted from its start
    "CREATE TABLE event (at INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (at, identity)) WITHOUT ROWID",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

# An answer replaces a less final answer, and an equally final answer with a later time. So the order of arrival has no
# effect, nor has a repeated answer.
_ANSWER: Final = """
    INSERT INTO answer VALUES (:uuid, :device, :status, :detail, :at, :finality,
        EXISTS (SELECT 1 FROM delivery WHERE command_uuid = :uuid))
    ON CONFLICT DO UPDATE SET status = excluded.status, detail = excluded.detail, at = excluded.at,
        finality = excluded.finality
    WHERE excluded.finality > finality
        OR (excluded.finality = finality AND (excluded.at, excluded.detail) < (at, detail))"""

# The later event counts, and of two events with the same time, the enrollment. So the order of arrival has no effect.
_DEVICE: Final = """
    INSERT INTO device VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET enrolled = excluded.enrolled, at = excluded.at
    WHERE (excluded.at, excluded.enrolled) > (at, enrolled)"""

_DELIVERY: Final = """
    INSERT INTO delivery (command_uuid, enrollment_id, server, profile, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING"""

# All profiles of the server are needed, because a profile that was queued later replaces an earlier one. Deliveries in
# the same second are in the order in which they were recorded.
_COVERAGE: Final = """
    SELECT delivery.enrollment_id, profile, ifnull(status, 'pending'), ifnull(detail, ''),
        ifnull(answer.at, delivery.at)
    FROM delivery LEFT JOIN answer USING (command_uuid, enrollment_id)
    WHERE server = ? ORDER BY delivery.at, number"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_FINALITY: Final = {DeliveryStatus.NOT_NOW: 0, DeliveryStatus.ERROR: 1, DeliveryStatus.ACKNOWLEDGED: 2}


@dataclass(frozen=True, slots=True)
class SqliteLedger:
    """A ledger in a SQLite file. The first write creates the file, and several processes can use it at the same time.

    Every method raises a ``DeliveryError`` if the file cannot be used.

    Args:
        path: path of the file. It gets mode 0600, and missing folders above it get mode 0700.
    """

    path: Path

    def record_enqueued(
        self, command_uuid: str, *, server: str, profile: str, enrollment_ids: Sequence[str], at: datetime
    ) -> None:
        """Record that *profile* (SHA-256, hex) was queued for these devices. A repeated call has no effect."""
        rows = [(command_uuid, one, server, profile, rfc3339(at)) for one in enrollment_ids]
        with self._writing() as connection:
            connection.executemany(_DELIVERY, rows)
            connection.execute("UPDATE answer SET known = 1 WHERE command_uuid = ?", (command_uuid,))

    def record_events(self, events: Sequence[DeviceEvent], *, now: datetime) -> None:
        """Record the events of an MDM server in one transaction. They are durable when this method returns.

        Args:
            events: any number of events in any order, also repeated, and answers to commands that are recorded later.
            now: current time, aware UTC; records that are too old at this time are deleted.

        Raises:
            ValueError: An answer has a status other than ``ACKNOWLEDGED``, ``ERROR`` or ``NOT_NOW``, or a time has no
                zone.
        """
        oldest = _microseconds(now - KEPT_EVENTS)
        with self._writing() as connection:
            for event in events:
                at = _microseconds(event.at)
                if at >= oldest:
                    row = (at, event.identity)
                    if not connection.execute("INSERT INTO event VALUES (?, ?) ON CONFLICT DO NOTHING", row).rowcount:
                        continue
                if event.answer is not None:
                    connection.execute(_ANSWER, _answer_row(event, event.answer))
                if event.enrolled is not None:
                    connection.execute(_DEVICE, (event.enrollment_id, event.enrolled, at))
            connection.execute("DELETE FROM event WHERE at < ?", (oldest,))
            connection.execute("DELETE FROM answer WHERE NOT known AND at < ?", (rfc3339(now - STRAY_ANSWERS),))

    def enrolled_ids(self) -> Sequence[str]:
        """Return the ids of the enrolled devices, sorted; empty if the file does not exist."""
        rows = self._rows("SELECT enrollment_id FROM device WHERE enrolled ORDER BY enrollment_id")
        return tuple(one for (one,) in rows)

    def commands(self, server: str) -> int:
        """Return the number of commands that were queued for the devices of *server*."""
        rows = self._rows("SELECT count(DISTINCT command_uuid) FROM delivery WHERE server = ?", server)
        return int(rows[0][0]) if rows else 0

    def coverage(self, *, server: str, profile: str, enrollment_ids: Sequence[str]) -> Coverage:
        """Return the recorded state of *profile* on each of these devices.

        On a device, each profile of a server replaces the former one. So if another profile was queued later, *profile*
        is ``not-sent`` until it is queued again. If *profile* was queued several times in a row, the first acknowledged
        delivery counts, or the last one if none is acknowledged.
        """
        known: dict[str, DeviceStatus] = {}
        for enrollment_id, delivered, status, detail, at in self._rows(_COVERAGE, server):
            before = known.get(enrollment_id)
            if delivered != profile:
                known.pop(enrollment_id, None)
            elif before is None or before.status is not DeliveryStatus.ACKNOWLEDGED:
                known[enrollment_id] = DeviceStatus(
                    enrollment_id=enrollment_id, status=DeliveryStatus(status), detail=detail, at=parsed_time(at)
                )
        missing = (
            DeviceStatus(enrollment_id=one, status=DeliveryStatus.NOT_SENT)
            for one in enrollment_ids
            if one not in known
        )
        statuses = known | {one.enrollment_id: one for one in missing}
        return Coverage(profile=profile, devices=tuple(statuses[one] for one in enrollment_ids))

    def _rows(self, query: str, *parameters: str) -> list[tuple[str, ...]]:
        """Return the rows of *query*; empty if the file does not exist or is empty. Create no file."""
        if not self._exists():
            return []
        with self._connected() as connection:
            return connection.execute(query, parameters).fetchall() if self._version(connection) else []

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
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


def _microseconds(time: datetime) -> int:
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    return (time - _EPOCH) // timedelta(microseconds=1)


def _answer_row(event: DeviceEvent, answer: Answer) -> dict[str, object]:
    if answer.status not in _FINALITY:
        raise ValueError(f"{str(answer.status)!r} is not an answer of a device")
    return {
        "uuid": answer.command_uuid,
        "device": event.enrollment_id,
        "status": answer.status,
        "detail": answer.detail,
        "at": rfc3339(event.at),
        "finality": _FINALITY[answer.status],
    }


def open_ledger(url: str, *, base: Path) -> Ledger:
    """Return the ledger that *url* names. No file is opened or created.

    Args:
        url: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.
        base: folder of the project, which relative paths start from.

    Raises:
        DefinitionError: *url* has another form.
    """
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or path in {"", ":memory:"} or path.endswith("/"):
        raise DefinitionError(
            f"ledger: {url!r} is not a ledger URL: use sqlite:///path (relative to the project) or sqlite:////absolute/path"
        )
    if not path.isprintable() or "?" in path or "#" in path:
        raise DefinitionError(f"ledger: the path of {url!r} takes no options and no control characters")
    return SqliteLedger(base / path)
