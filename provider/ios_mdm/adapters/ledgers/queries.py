"""Reads the records of many devices from a ledger in SQLite, in parts.

Each part is one transaction. A reader that stays open would make each writer wait.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ios_mdm.adapters.ledgers.records import ENROLLMENT, PROGRESS, enrollment_of, progress_of
from ios_mdm.core.ledger.registers import NEVER, Enrollment
from ios_mdm.core.ledger.values import DeviceRecord

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from ios_mdm.adapters.ledgers.database import Database

__all__ = ["PART", "known_devices", "listed_devices"]

PART: Final = 5_000
"""Number of devices that are read in one transaction."""

_TIMES: Final = len(ENROLLMENT.split(","))

_LISTED: Final = f"""SELECT ids.value, {ENROLLMENT}, {PROGRESS} FROM json_each(:ids) AS ids
    LEFT JOIN device ON device.enrollment_id = ids.value
    LEFT JOIN delivery ON delivery.server = :server AND delivery.enrollment_id = ids.value
    ORDER BY ids.key"""  # noqa: S608 - constants
_LISTED_REPORTS: Final = """SELECT enrollment_id, sha256, reported
    FROM json_each(:ids) AS ids JOIN report ON enrollment_id = ids.value JOIN published USING (number)
    JOIN certificate USING (number) WHERE server = :server"""
_KNOWN: Final = f"""SELECT device.enrollment_id, {ENROLLMENT}, {PROGRESS} FROM device
    LEFT JOIN delivery ON delivery.server = :server AND delivery.enrollment_id = device.enrollment_id
    WHERE device.enrollment_id > :after AND max(authenticated, seen, gone) > :never
    ORDER BY device.enrollment_id LIMIT :part"""  # noqa: S608 - constants
_KNOWN_REPORTS: Final = """SELECT enrollment_id, sha256, reported
    FROM report JOIN published USING (number) JOIN certificate USING (number)
    WHERE enrollment_id > :after AND enrollment_id <= :last AND server = :server"""


def listed_devices(database: Database, server: str, enrollment_ids: Sequence[str]) -> Iterator[DeviceRecord]:
    """Yield the record of each of these devices, in their order."""
    for start in range(0, len(enrollment_ids), PART):
        ids = enrollment_ids[start : start + PART]
        with database.reading() as connection:
            if connection is None:
                found = [DeviceRecord(enrollment_id=one) for one in ids]
            else:
                parameters = {"ids": json.dumps(list(ids)), "server": server}
                rows = connection.execute(_LISTED, parameters).fetchall()
                reports = connection.execute(_LISTED_REPORTS, parameters)
                found = _records(rows, reports)
        yield from found


def known_devices(database: Database, server: str) -> Iterator[DeviceRecord]:
    """Yield the record of each device that enrolled or left, sorted by enrollment id."""
    parameters = {"server": server, "after": "", "never": NEVER, "part": PART}
    while True:
        with database.reading() as connection:
            rows = [] if connection is None else connection.execute(_KNOWN, parameters).fetchall()
            if connection is None or not rows:
                return
            last = rows[-1][0]
            found = _records(rows, connection.execute(_KNOWN_REPORTS, {**parameters, "last": last}))
        yield from found
        parameters["after"] = last


def _records(rows: Sequence[tuple[Any, ...]], reports: sqlite3.Cursor) -> list[DeviceRecord]:
    reported: dict[str, dict[bytes, int]] = {}
    for enrollment_id, certificate, at in reports:
        reported.setdefault(enrollment_id, {})[certificate] = at
    nothing: Mapping[bytes, int] = {}
    return [
        DeviceRecord(
            enrollment_id=one,
            enrollment=Enrollment() if row[0] is None else enrollment_of(row[:_TIMES]),
            progress=None if row[_TIMES] is None else progress_of(row[_TIMES:]),
            reported=reported.get(one, nothing),
        )
        for one, *row in rows
    ]
