"""Counts and selects the devices of a ledger in SQLite by their state: the rules of ``core.ledger`` in SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers.records import certificate_numbers
from ios_mdm.core.ledger.registers import NEVER, Finality
from ios_mdm.core.ledger.values import DeviceState, StatePolicy

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

__all__ = ["counts", "waiting"]

PART: Final = 20_000
"""Number of listed devices in one query."""

# Without a record of a device or of a delivery, each register is NEVER, and the revision is NULL.
_REGISTERS: Final = """coalesce(authenticated, :never) AS authenticated, coalesce(seen, :never) AS seen,
    coalesce(gone, :never) AS gone, coalesce(listed, :never) AS listed, revision, coalesce(queued, :never) AS queued,
    coalesce(delivery.epoch, :never) AS known, coalesce(acknowledged, :never) AS acknowledged,
    coalesce(answered_queued, :never) AS answered_queued, finality, coalesce(answered, :never) AS answered"""
_KNOWN: Final = f"""SELECT device.enrollment_id AS id, {_REGISTERS} FROM device
    LEFT JOIN delivery ON delivery.server = :server AND delivery.enrollment_id = device.enrollment_id
    WHERE max(authenticated, seen, gone) > :never"""  # noqa: S608 - constants
_LISTED: Final = f"""SELECT ids.value AS id, {_REGISTERS} FROM json_each(:ids) AS ids
    LEFT JOIN device ON device.enrollment_id = ids.value
    LEFT JOIN delivery ON delivery.server = :server AND delivery.enrollment_id = ids.value"""  # noqa: S608 - constants

_EPOCH: Final = "max(authenticated, gone)"
_IS_QUEUED: Final = f"(queued != :never AND known >= {_EPOCH})"
_IS_ACKNOWLEDGED: Final = f"(acknowledged != :never AND acknowledged >= {_EPOCH})"
_IS_ANSWERED: Final = f"""(answered != :never AND answered >= {_EPOCH}
    AND (answered_queued >= queued OR NOT {_IS_QUEUED}))"""
_WAS_SENT: Final = f"(revision IS :revision AND ({_IS_QUEUED} OR {_IS_ACKNOWLEDGED} OR {_IS_ANSWERED}))"
_IS_OLDER: Final = f"""((queued != :never AND known < {_EPOCH}) OR (acknowledged != :never AND acknowledged < {_EPOCH})
    OR (answered != :never AND answered < {_EPOCH}))"""
_IS_PROVED: Final = f"""(listed != :never AND :needed = (SELECT count(*) FROM report WHERE enrollment_id = id
    AND number IN (SELECT value FROM json_each(:numbers))
    AND reported >= listed AND reported >= {_EPOCH}))"""  # noqa: S608 - constants
_STATE: Final = f"""CASE
    WHEN gone > max(authenticated, seen) THEN '{DeviceState.GONE}'
    WHEN :needed AND {_IS_PROVED} THEN '{DeviceState.PROVED}'
    WHEN {_WAS_SENT} THEN CASE
        WHEN {_IS_ACKNOWLEDGED} THEN '{DeviceState.ACKNOWLEDGED}'
        WHEN {_IS_ANSWERED} AND finality = {int(Finality.ERROR)} THEN '{DeviceState.FAILED}'
        WHEN max(seen, queued, CASE WHEN {_IS_ANSWERED} THEN answered ELSE :never END) < :silent_before
            THEN '{DeviceState.SILENT}'
        WHEN {_IS_ANSWERED} THEN '{DeviceState.NOT_NOW}'
        ELSE '{DeviceState.QUEUED}' END
    WHEN authenticated != :never AND authenticated >= gone AND (seen < authenticated OR {_IS_OLDER})
        THEN '{DeviceState.ERASED}'
    ELSE '{DeviceState.NOT_SENT}' END"""
_COUNT_KNOWN: Final = f"SELECT {_STATE}, count(*) FROM ({_KNOWN}) GROUP BY 1"  # noqa: S608 - constants
_COUNT_LISTED: Final = f"SELECT {_STATE}, count(*) FROM ({_LISTED}) GROUP BY 1"  # noqa: S608 - constants
_WAITING: Final = f"SELECT id, {_EPOCH} FROM ({_LISTED}) WHERE NOT {_WAS_SENT}"  # noqa: S608 - constants


def counts(
    connection: sqlite3.Connection, server: str, policy: StatePolicy, enrollment_ids: Sequence[str] | None
) -> dict[DeviceState, int]:
    """Return the number of devices in each state. Each state is a key.

    Args:
        connection: a transaction.
        server: name of the server.
        policy: the profile, and the settings from which states are computed.
        enrollment_ids: enrollment ids of devices; None for each device that enrolled or left.
    """
    numbers = certificate_numbers(connection, server)
    is_provable = policy.certificates <= numbers.keys()
    parameters = {
        "server": server,
        "never": NEVER,
        "revision": policy.revision,
        "silent_before": policy.silent_before,
        "needed": len(policy.certificates) if is_provable else 0,
        "numbers": json.dumps([numbers.get(one) for one in policy.certificates]),
    }
    found = dict.fromkeys(DeviceState, 0)
    parts = [None] if enrollment_ids is None else _parts(enrollment_ids)
    for ids in parts:
        query = _COUNT_KNOWN if ids is None else _COUNT_LISTED
        for state, number in connection.execute(query, {**parameters, "ids": ids}):
            found[DeviceState(state)] += number
    return found


def waiting(
    connection: sqlite3.Connection, server: str, revision: int | None, enrollment_ids: Sequence[str]
) -> dict[str, int]:
    """Return the devices that were not sent a revision in their current enrollment, with the epoch of each.

    Args:
        connection: a transaction.
        server: name of the server.
        revision: revision of the profile; None if it is not published.
        enrollment_ids: enrollment ids of devices.
    """
    parameters = {"server": server, "never": NEVER, "revision": revision}
    found: dict[str, int] = {}
    for ids in _parts(enrollment_ids):
        found.update(connection.execute(_WAITING, {**parameters, "ids": ids}))
    return found


def _parts(enrollment_ids: Sequence[str]) -> Iterator[str]:
    """Yield the ids in parts, as JSON. SQLite has a limit for parameters, and memory stays flat."""
    for start in range(0, len(enrollment_ids), PART):
        yield json.dumps(list(enrollment_ids[start : start + PART]))
