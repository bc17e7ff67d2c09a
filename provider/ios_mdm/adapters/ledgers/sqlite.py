"""A ledger in a SQLite file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers import records
from ios_mdm.adapters.ledgers.database import Database
from ios_mdm.core.ledger.registers import NEVER, LastAnswer, Progress, microseconds, time_of
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import Coverage, DeviceEvent, Publication
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from ios_mdm.ports import Ledger

__all__ = ["SqliteLedger", "open_ledger"]

STRAY_ANSWERS: Final = timedelta(days=7)
"""How long an answer waits for its command to be recorded. The collector gets the answers to all commands."""

KEPT_EVENTS: Final = timedelta(days=7)
"""How long the identity of an event is kept, from the time of the event.

NanoMDM posts an event once, at once. A queue between it and the collector may deliver a copy later: AWS Lambda retries
for 6 hours, Amazon SQS keeps messages for 4 days by default. A copy that is older has no effect either, because each
register keeps the greatest time. 100,000 devices with 5 events a day are about 100 MB.
"""

# A join of Progress in SQL, because a profile is queued for many devices at once. All values on the right side of an
# assignment are those before the statement.
_QUEUED: Final = """
    INSERT INTO delivery VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, ?6, '')
    ON CONFLICT DO UPDATE SET revision = excluded.revision,
        queued = CASE WHEN excluded.revision > revision THEN excluded.queued ELSE max(queued, excluded.queued) END,
        epoch = CASE WHEN excluded.revision > revision THEN excluded.epoch ELSE max(epoch, excluded.epoch) END,
        acknowledged = CASE WHEN excluded.revision > revision THEN excluded.acknowledged ELSE acknowledged END,
        answered_queued = CASE WHEN excluded.revision > revision THEN excluded.answered_queued ELSE answered_queued END,
        finality = CASE WHEN excluded.revision > revision THEN excluded.finality ELSE finality END,
        answered = CASE WHEN excluded.revision > revision THEN excluded.answered ELSE answered END,
        detail = CASE WHEN excluded.revision > revision THEN excluded.detail ELSE detail END
    WHERE excluded.revision >= revision"""


@dataclass(frozen=True, slots=True)
class SqliteLedger:
    """A ledger in a SQLite file. The first write creates the file, and several processes can use it at the same time.

    Args:
        path: path of the file. It gets mode 0600, and missing folders above it get mode 0700.
    """

    path: Path

    @property
    def _database(self) -> Database:
        return Database(self.path)

    def publish(
        self, server: str, profile: bytes, *, certificates: Iterable[bytes], seed: UUID, at: datetime
    ) -> Publication:
        """Record the profile that devices of *server* are sent from now on, and return the record."""
        found = self.publication(server)
        if found is not None and found.profile == profile:
            return found
        with self._database.writing() as connection:
            found = records.publication(connection, server)
            if found is not None and found.profile == profile:
                return found
            made = Publication(
                server=server,
                revision=1 + (0 if found is None else found.revision),
                profile=profile,
                certificates=frozenset(certificates),
                seed=seed,
                at=time_of(microseconds(at)),
            )
            row = (server, made.revision, made.digest, seed.bytes, microseconds(at), profile)
            connection.execute("INSERT OR REPLACE INTO publication VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute("DELETE FROM published WHERE server = ?", (server,))
            rows = [(server, one) for one in made.certificates]
            connection.executemany("INSERT INTO published VALUES (?, ?)", rows)
            # An answer to a command of a former revision changes nothing.
            connection.execute("DELETE FROM command WHERE server = ? AND revision < ?", (server, made.revision))
            connection.execute("DELETE FROM certificate WHERE certificate NOT IN (SELECT certificate FROM published)")
            return made

    def publication(self, server: str) -> Publication | None:
        """Return the profile of *server* that was published last; None if there is none."""
        with self._database.reading() as connection:
            return None if connection is None else records.publication(connection, server)

    def record_enqueued(
        self, command_uuid: str, *, publication: Publication, epochs: Mapping[str, int], at: datetime
    ) -> None:
        """Record that a published profile was queued for devices. A repetition has no effect."""
        server, revision, queued = publication.server, publication.revision, microseconds(at)
        with self._database.writing() as connection:
            row = (command_uuid, server, revision, queued)
            if not connection.execute("INSERT INTO command VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount:
                server, revision, queued = records.command(connection, command_uuid) or (server, revision, queued)
            rows = [(server, one, revision, queued, epoch, NEVER) for one, epoch in epochs.items()]
            connection.executemany(_QUEUED, rows)
            early = connection.execute(
                "DELETE FROM stray WHERE command_uuid = ? "
                "RETURNING enrollment_id, acknowledged, finality, answered, detail",
                (command_uuid,),
            ).fetchall()
            for enrollment_id, acknowledged, *answer in early:
                progress = Progress(revision=revision, acknowledged=acknowledged, answer=LastAnswer(queued, *answer))
                records.add_progress(connection, server, enrollment_id, progress)

    def record_events(self, events: Sequence[DeviceEvent], *, now: datetime) -> None:
        """Record the events of an MDM server in one transaction. They are durable when this method returns.

        Raises:
            ValueError: An answer has a status other than ``ACKNOWLEDGED``, ``ERROR`` or ``NOT_NOW``, or a time has no
                zone.
        """
        oldest = microseconds(now - KEPT_EVENTS)
        with self._database.writing() as connection:
            (deleted,) = connection.execute("SELECT before FROM deletion").fetchone() or (NEVER,)
            for event in events:
                at = microseconds(event.at)
                if at >= oldest:
                    row = (at, event.identity)
                    if not connection.execute("INSERT INTO event VALUES (?, ?) ON CONFLICT DO NOTHING", row).rowcount:
                        continue
                if at < deleted and not records.is_known(connection, event):
                    continue
                records.record_event(connection, event, at)
            connection.execute("DELETE FROM event WHERE at < ?", (oldest,))
            connection.execute("DELETE FROM stray WHERE at < ?", (microseconds(now - STRAY_ANSWERS),))

    def enrolled_ids(self) -> Sequence[str]:
        """Return the ids of the enrolled devices, sorted; empty if the file does not exist."""
        query = "SELECT enrollment_id FROM device WHERE seen > ? AND seen >= gone ORDER BY enrollment_id"
        return tuple(one for (one,) in self._database.rows(query, NEVER))

    def coverage(self, *, server: str, profile: str, enrollment_ids: Sequence[str]) -> Coverage:
        """Return the state of *profile* on each of these devices, in its current enrollment."""
        with self._database.reading() as connection:
            if connection is None:
                revision, epochs, found = None, {}, {}
            else:
                query = "SELECT revision FROM publication WHERE server = ? AND digest = ?"
                (revision,) = connection.execute(query, (server, profile)).fetchone() or (None,)
                epochs = records.epochs(connection)
                query = f"SELECT enrollment_id, {records.PROGRESS} FROM delivery WHERE server = ? AND revision = ?"  # noqa: S608 - a constant
                found = {one: records.progress_of(row) for one, *row in connection.execute(query, (server, revision))}
        devices = (
            device_status(one, found.get(one), revision=revision, epoch=epochs.get(one, NEVER))
            for one in enrollment_ids
        )
        return Coverage(profile=profile, devices=tuple(devices))

    def proofs(self, certificate: bytes, *, enrollment_ids: Sequence[str]) -> Mapping[str, datetime]:
        """Return the devices whose last list of certificates has *certificate*, with the time of the list."""
        query = """SELECT enrollment_id, reported, authenticated, seen, gone, listed
            FROM certificate JOIN device USING (enrollment_id) WHERE certificate = ?"""
        proved = {
            one: reported
            for one, reported, *times in self._database.rows(query, certificate)
            if records.enrollment_of(times).is_proved(reported)
        }
        return {one: time_of(proved[one]) for one in enrollment_ids if one in proved}

    def delete_devices(self, *, left_before: datetime) -> int:
        """Delete all records of the devices that checked out before this time and were not seen again."""
        before = microseconds(left_before)
        with self._database.writing() as connection:
            query = "SELECT enrollment_id, authenticated, seen, gone, listed FROM device WHERE gone < ? AND seen < gone"
            rows = connection.execute(query, (before,)).fetchall()
            left = [(one,) for one, *times in rows if records.enrollment_of(times).has_left(before)]
            for table in ("delivery", "stray", "certificate", "device"):
                connection.executemany(f"DELETE FROM {table} WHERE enrollment_id = ?", left)  # noqa: S608 - a constant
            connection.execute(
                "INSERT INTO deletion VALUES (1, ?) ON CONFLICT DO UPDATE SET before = max(before, excluded.before)",
                (before,),
            )
        return len(left)


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
