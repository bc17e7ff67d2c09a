"""A ledger in a SQLite file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers import counting, queries, records
from ios_mdm.adapters.ledgers.database import Database
from ios_mdm.core.ledger.registers import NEVER, Enrollment, LastAnswer, Progress, began, microseconds, time_of
from ios_mdm.core.ledger.values import (
    DeviceEvent,
    DeviceRecord,
    DeviceState,
    EnqueuedCommand,
    Publication,
    StatePolicy,
)
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
    INSERT INTO delivery SELECT :server, key, :revision, :queued, value, :never, :never, 0, :never, ''
    FROM json_each(:epochs) WHERE true
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
    _database: Database = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Connect to nothing yet: the first use opens the file."""
        object.__setattr__(self, "_database", Database(self.path))

    def publish(
        self,
        server: str,
        profile: bytes,
        *,
        certificates: Iterable[bytes],
        seed: UUID,
        at: datetime,
        channel: str = "",
        is_for_all: bool = False,
    ) -> Publication:
        """Record the profile that devices of *server* are sent from now on, and return the record."""
        found = self.publication(server)
        if found is not None and found.is_same(profile, channel) and found.is_for_all == is_for_all:
            return found
        with self._database.writing() as connection:
            found = records.publication(connection, server)
            if found is not None and found.is_same(profile, channel):
                made = replace(found, is_for_all=is_for_all)
            else:
                made = Publication(
                    server=server,
                    revision=1 + (0 if found is None else found.revision),
                    profile=profile,
                    certificates=frozenset(certificates),
                    seed=seed,
                    at=time_of(microseconds(at)),
                    channel=channel,
                    is_for_all=is_for_all,
                )
            records.set_publication(connection, made)
            return made

    def publication(self, server: str) -> Publication | None:
        """Return the profile of *server* that was published last; None if there is none."""
        with self._database.reading() as connection:
            return None if connection is None else records.publication(connection, server)

    def publications(self) -> Sequence[Publication]:
        """Return the profile of each server that was published last, sorted by server."""
        with self._database.reading() as connection:
            return () if connection is None else records.publications(connection)

    def record_commands(self, commands: Sequence[EnqueuedCommand], *, publication: Publication) -> None:
        """Record commands that install a published profile, in one transaction."""
        with self._database.writing() as connection:
            for one in commands:
                _record_command(connection, one, publication)

    def record_asked(self, enrollment_ids: Iterable[str], *, at: datetime) -> None:
        """Record that a CertificateList was queued for devices."""
        rows = [(one, NEVER, microseconds(at)) for one in enrollment_ids]
        with self._database.writing() as connection:
            connection.executemany(
                """INSERT INTO device VALUES (?1, ?2, ?2, ?2, ?2, ?3)
                    ON CONFLICT DO UPDATE SET asked = max(asked, excluded.asked)""",
                rows,
            )

    def record_events(self, events: Sequence[DeviceEvent], *, now: datetime) -> Sequence[str]:
        """Record the events of an MDM server in one transaction; return the devices whose enrollment began.

        The events are durable when this method returns.

        Raises:
            ValueError: A time has no zone.
        """
        oldest = microseconds(now - KEPT_EVENTS)
        changes: dict[str, tuple[Enrollment, Enrollment]] = {}
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
                before, after = records.record_event(connection, event, at)
                first, _ = changes.get(event.enrollment_id, (before, after))
                changes[event.enrollment_id] = (first, after)
            connection.execute("DELETE FROM event WHERE at < ?", (oldest,))
            connection.execute("DELETE FROM stray WHERE at < ?", (microseconds(now - STRAY_ANSWERS),))
        return tuple(one for one, (before, after) in changes.items() if began(before, after))

    def enrolled_ids(self) -> Sequence[str]:
        """Return the ids of the enrolled devices, sorted; empty if the file does not exist."""
        query = "SELECT enrollment_id FROM device WHERE seen > ? AND seen >= gone ORDER BY enrollment_id"
        with self._database.reading() as connection:
            return () if connection is None else tuple(one for (one,) in connection.execute(query, (NEVER,)))

    def devices(self, server: str, *, enrollment_ids: Sequence[str] | None = None) -> Iterator[DeviceRecord]:
        """Yield the records of devices for *server*, in parts of ``queries.PART`` devices."""
        if enrollment_ids is None:
            return queries.known_devices(self._database, server)
        return queries.listed_devices(self._database, server, enrollment_ids)

    def counts(
        self, server: str, policy: StatePolicy, *, enrollment_ids: Sequence[str] | None = None
    ) -> Mapping[DeviceState, int]:
        """Return the number of devices in each state. Each state is a key."""
        with self._database.reading() as connection:
            if connection is not None:
                return counting.counts(connection, server, policy, enrollment_ids)
        not_sent = 0 if enrollment_ids is None else len(enrollment_ids)
        return {**dict.fromkeys(DeviceState, 0), DeviceState.NOT_SENT: not_sent}

    def waiting(self, server: str, revision: int | None, *, enrollment_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the devices that were not sent a revision in their current enrollment, with the epoch of each."""
        with self._database.reading() as connection:
            if connection is None:
                return dict.fromkeys(enrollment_ids, NEVER)
            return counting.waiting(connection, server, revision, enrollment_ids)

    def claim_push(
        self, enrollment_id: str, *, at: datetime, limit: int = 3, window: timedelta = timedelta(days=1)
    ) -> bool:
        """Return whether a device may be sent a command without a request of the user, and count the command."""
        start = microseconds(at - window)
        with self._database.writing() as connection:
            connection.execute("DELETE FROM claim WHERE enrollment_id = ? AND at <= ?", (enrollment_id, start))
            (found,) = connection.execute(
                "SELECT count(*) FROM claim WHERE enrollment_id = ?", (enrollment_id,)
            ).fetchone()
            if found >= limit:
                return False
            connection.execute("INSERT INTO claim VALUES (?, ?)", (enrollment_id, microseconds(at)))
            return True

    def delete_devices(self, *, left_before: datetime, kept: Collection[str] = ()) -> int:
        """Delete all records of the devices that checked out before this time and were not seen again."""
        before, listed = microseconds(left_before), frozenset(kept)
        with self._database.writing() as connection:
            query = f"SELECT enrollment_id, {records.ENROLLMENT} FROM device WHERE gone < ? AND seen < gone"  # noqa: S608 - a constant
            rows = connection.execute(query, (before,)).fetchall()
            left = [
                (one,) for one, *times in rows if one not in listed and records.enrollment_of(times).has_left(before)
            ]
            for table in ("delivery", "stray", "report", "claim", "device"):
                connection.executemany(f"DELETE FROM {table} WHERE enrollment_id = ?", left)  # noqa: S608 - a constant
            connection.execute(
                "INSERT INTO deletion VALUES (1, ?) ON CONFLICT DO UPDATE SET before = max(before, excluded.before)",
                (before,),
            )
        return len(left)


def _record_command(connection: sqlite3.Connection, command: EnqueuedCommand, publication: Publication) -> None:
    command_uuid, queued = command.command_uuid, microseconds(command.at)
    server, revision = publication.server, publication.revision
    row = (command_uuid, server, revision, queued)
    if not connection.execute("INSERT INTO command VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount:
        server, revision, queued = records.command(connection, command_uuid) or (server, revision, queued)
    parameters = {"server": server, "revision": revision, "queued": queued, "never": NEVER}
    connection.execute(_QUEUED, {**parameters, "epochs": json.dumps(dict(command.epochs))})
    early = connection.execute(
        "DELETE FROM stray WHERE command_uuid = ? RETURNING enrollment_id, acknowledged, finality, answered, detail",
        (command_uuid,),
    ).fetchall()
    for enrollment_id, acknowledged, *answer in early:
        progress = Progress(revision=revision, acknowledged=acknowledged, answer=LastAnswer(queued, *answer))
        records.add_progress(connection, server, enrollment_id, progress)


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
            f"ledger: {url!r} is not a ledger URL: use sqlite:///path (relative to the project), "
            "sqlite:////absolute/path or dynamodb://table"
        )
    if not path.isprintable() or "?" in path or "#" in path:
        raise DefinitionError(f"ledger: the path of {url!r} takes no options and no control characters")
    return SqliteLedger(base / path)
