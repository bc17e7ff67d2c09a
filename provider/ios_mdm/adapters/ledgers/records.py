"""Reads and writes single records of a ledger in SQLite, within a transaction of the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ios_mdm.core.ledger.registers import NEVER, Enrollment, Finality, LastAnswer, Progress, microseconds, time_of
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, Publication

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = [
    "ENROLLMENT",
    "PROGRESS",
    "add_progress",
    "certificate_numbers",
    "command",
    "enrollment_of",
    "is_known",
    "progress_of",
    "publication",
    "publications",
    "record_event",
    "set_publication",
]

ENROLLMENT: Final = "authenticated, seen, gone, listed, asked"
"""Columns of an ``Enrollment``."""

PROGRESS: Final = "revision, queued, epoch, acknowledged, answered_queued, finality, answered, detail"
"""Columns of a ``Progress``."""

_PUBLICATION: Final = "server, revision, seed, at, channel, is_for_all, profile"

_FINALITY: Final = {AnswerStatus.NOT_NOW: Finality.NOT_NOW, AnswerStatus.ERROR: Finality.ERROR}


def record_event(connection: sqlite3.Connection, event: DeviceEvent, at: int) -> tuple[Enrollment, Enrollment]:
    """Join the content of an event with the records of its device; return its enrollment before and after the event."""
    device = event.enrollment_id
    if event.answer is not None:
        _record_answer(connection, device, event.answer, at)
    before = _enrollment(connection, device) or Enrollment()
    after = before.union(
        Enrollment(
            authenticated=at if event.authenticated else NEVER,
            seen=at if event.enrolled is True else NEVER,
            gone=at if event.enrolled is False else NEVER,
            listed=NEVER if event.certificates is None else at,
        )
    )
    if after != before:
        row = (device, after.authenticated, after.seen, after.gone, after.listed, after.asked)
        connection.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?)", row)
    for certificate in event.certificates or ():
        connection.execute(
            """INSERT INTO report SELECT ?, number, ? FROM certificate WHERE sha256 = ?
                ON CONFLICT DO UPDATE SET reported = max(reported, excluded.reported)""",
            (device, at, certificate),
        )
    return before, after


def is_known(connection: sqlite3.Connection, event: DeviceEvent) -> bool:
    """Return whether the device of an event is recorded, or was sent the command that it answers."""
    if _enrollment(connection, event.enrollment_id) is not None:
        return True
    uuid = None if event.answer is None else event.answer.command_uuid
    query = "SELECT 1 FROM command JOIN delivery USING (server) WHERE command_uuid = ? AND enrollment_id = ?"
    return connection.execute(query, (uuid, event.enrollment_id)).fetchone() is not None


def _record_answer(connection: sqlite3.Connection, device: str, answer: Answer, at: int) -> None:
    is_acknowledged = answer.status is AnswerStatus.ACKNOWLEDGED
    acknowledged = at if is_acknowledged else NEVER
    last = LastAnswer() if is_acknowledged else LastAnswer(NEVER, _FINALITY[answer.status], at, answer.detail)
    sent = command(connection, answer.command_uuid)
    if sent is not None:
        server, revision, queued = sent
        last = last if is_acknowledged else last._replace(queued=queued)
        add_progress(connection, server, device, Progress(revision=revision, acknowledged=acknowledged, answer=last))
        return
    key = (answer.command_uuid, device)
    query = (
        "SELECT at, acknowledged, finality, answered, detail FROM stray WHERE command_uuid = ? AND enrollment_id = ?"
    )
    found = connection.execute(query, key).fetchone()
    if found is not None:
        at, acknowledged, last = (
            max(at, found[0]),
            max(acknowledged, found[1]),
            max(last, LastAnswer(NEVER, *found[2:])),
        )
    row = (*key, at, acknowledged, *last[1:])
    connection.execute("INSERT OR REPLACE INTO stray VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def add_progress(connection: sqlite3.Connection, server: str, device: str, progress: Progress) -> None:
    """Join *progress* with the record of a server's profile on a device."""
    query = f"SELECT {PROGRESS} FROM delivery WHERE server = ? AND enrollment_id = ?"  # noqa: S608 - a constant
    row = connection.execute(query, (server, device)).fetchone()
    before = None if row is None else progress_of(row)
    after = progress if before is None else before.union(progress)
    if after != before:
        values = (after.revision, after.queued, after.epoch, after.acknowledged, *after.answer)
        connection.execute(
            "INSERT OR REPLACE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (server, device, *values)
        )


def progress_of(row: Sequence[Any]) -> Progress:
    """Return the record in a row with the columns ``PROGRESS``."""
    revision, queued, epoch, acknowledged, *answer = row
    return Progress(
        revision=revision, queued=queued, epoch=epoch, acknowledged=acknowledged, answer=LastAnswer(*answer)
    )


def _enrollment(connection: sqlite3.Connection, device: str) -> Enrollment | None:
    query = f"SELECT {ENROLLMENT} FROM device WHERE enrollment_id = ?"  # noqa: S608 - a constant
    row = connection.execute(query, (device,)).fetchone()
    return None if row is None else enrollment_of(row)


def enrollment_of(row: Sequence[int]) -> Enrollment:
    """Return the record in a row with the columns ``ENROLLMENT``."""
    authenticated, seen, gone, listed, asked = row
    return Enrollment(authenticated=authenticated, seen=seen, gone=gone, listed=listed, asked=asked)


def command(connection: sqlite3.Connection, command_uuid: str) -> tuple[str, int, int] | None:
    """Return server, revision and time of a command; None if it is not recorded."""
    query = "SELECT server, revision, queued FROM command WHERE command_uuid = ?"
    row: tuple[str, int, int] | None = connection.execute(query, (command_uuid,)).fetchone()
    return row


def publication(connection: sqlite3.Connection, server: str) -> Publication | None:
    """Return the profile of a server that was published last; None if there is none."""
    query = f"SELECT {_PUBLICATION} FROM publication WHERE server = ?"  # noqa: S608 - a constant
    row = connection.execute(query, (server,)).fetchone()
    return None if row is None else _publication(connection, row)


def publications(connection: sqlite3.Connection) -> tuple[Publication, ...]:
    """Return the profile of each server that was published last, sorted by server."""
    query = f"SELECT {_PUBLICATION} FROM publication ORDER BY server"  # noqa: S608 - a constant
    return tuple(_publication(connection, row) for row in connection.execute(query).fetchall())


def set_publication(connection: sqlite3.Connection, made: Publication) -> None:
    """Replace the publication of a server, and delete what no profile needs any more."""
    at = microseconds(made.at)
    row = (made.server, made.revision, made.seed.bytes, at, made.channel, made.is_for_all, made.profile)
    connection.execute("INSERT OR REPLACE INTO publication VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("DELETE FROM published WHERE server = ?", (made.server,))
    connection.executemany(
        "INSERT OR IGNORE INTO certificate (sha256) VALUES (?)", [(one,) for one in made.certificates]
    )
    rows = [(made.server, one) for one in made.certificates]
    connection.executemany("INSERT INTO published SELECT ?, number FROM certificate WHERE sha256 = ?", rows)
    # An answer to a command of a former revision changes nothing.
    connection.execute("DELETE FROM command WHERE server = ? AND revision < ?", (made.server, made.revision))
    connection.execute("DELETE FROM report WHERE number NOT IN (SELECT number FROM published)")
    connection.execute("DELETE FROM certificate WHERE number NOT IN (SELECT number FROM published)")


def certificate_numbers(connection: sqlite3.Connection, server: str) -> dict[bytes, int]:
    """Return the number of each certificate (SHA-256) in the profile of a server."""
    query = "SELECT sha256, number FROM published JOIN certificate USING (number) WHERE server = ?"
    return dict(connection.execute(query, (server,)).fetchall())


def _publication(connection: sqlite3.Connection, row: Sequence[Any]) -> Publication:
    server, revision, seed, at, channel, is_for_all, profile = row
    return Publication(
        server=server,
        revision=revision,
        profile=profile,
        certificates=frozenset(certificate_numbers(connection, server)),
        seed=UUID(bytes=seed),
        at=time_of(at),
        channel=channel,
        is_for_all=bool(is_for_all),
    )
