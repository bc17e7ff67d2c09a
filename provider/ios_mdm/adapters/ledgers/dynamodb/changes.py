"""Writes changes of devices together with the counters, on the condition that the devices are as they were read."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers.dynamodb.items import (
    SHARDS,
    Device,
    StoredDevice,
    content,
    counter_partition,
    device_key,
)
from ios_mdm.adapters.ledgers.dynamodb.table import MAX_ACTIONS, Action, Attempts, Key, Outcome, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ios_mdm.adapters.ledgers.dynamodb.client import Item

__all__ = ["Change", "apply_changes", "put", "stored_devices"]

_PART: Final = 2_000
"""Devices that are read before their changes are written. This bounds the memory."""


def put(key: Key, attributes: Item, *, is_new: bool = False, version: str = "") -> Action:
    """Return the action that writes an item.

    Args:
        key: key of the item.
        attributes: attributes of the item without its key.
        is_new: whether the item must not exist.
        version: version that the item must have; empty for no condition.
    """
    parameters: Item = {"Item": {**key.attributes, **attributes}}
    return Action(key, "Put", parameters | _condition(is_new=is_new, version=version))


def _condition(*, is_new: bool, version: str) -> Item:
    if version:
        return {"ConditionExpression": "v = :v", "ExpressionAttributeValues": {":v": {"S": version}}}
    return {"ConditionExpression": "attribute_not_exists(pk)"} if is_new else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a device.

    Args:
        enrollment_id: enrollment id of the device.
        before: the device as it was read.
        after: records of the device after the change; None to delete them.
        others: actions on other items in the same transaction.
        version: random version of the device after the change. It shows whether an attempt was written whose answer
            was lost.
    """

    enrollment_id: str
    before: StoredDevice
    after: Device | None
    others: Sequence[Action] = ()
    version: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def _cells(self) -> dict[str, str]:
        return {} if self.after is None else {server: one.text for server, one in self.after.cells.items()}

    @property
    def actions(self) -> Sequence[Action]:
        """The actions on the device and the other items."""
        key = device_key(self.enrollment_id)
        if self.after is None:
            condition = _condition(is_new=False, version=self.before.version)
            return [Action(key, "Delete", {"Key": key.attributes} | condition), *self.others]
        attributes = {"v": {"S": self.version}, "d": {"S": content(self.after, self._cells)}}
        is_new = not self.before.version
        return [put(key, attributes, is_new=is_new, version=self.before.version), *self.others]

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """The difference of the number of devices in each cell, by server and text of the cell."""
        found: Counter[tuple[str, str]] = Counter(self._cells.items())
        found.subtract(self.before.cells.items())
        return found


def stored_devices(table: Table, enrollment_ids: Iterable[str]) -> dict[str, StoredDevice]:
    """Return the devices with these ids; a device without records has an empty version."""
    keys = {one: device_key(one) for one in enrollment_ids}
    found = table.items(keys.values())
    return {one: StoredDevice.from_item(found.get(key)) for one, key in keys.items()}


def apply_changes(
    table: Table,
    enrollment_ids: Iterable[str],
    plan: Callable[[Mapping[str, StoredDevice], Mapping[str, Change]], Iterable[Change]],
    done: Callable[[Change], None] = lambda _change: None,
) -> None:
    """Read devices, plan a change of each, and write it. A change that collides with another one is planned again.

    Args:
        table: the table.
        enrollment_ids: enrollment ids of the devices.
        plan: returns at most one change for each of the devices that it gets. It also gets the changes of the last
            attempt, which were not written, or whose answer was lost.
        done: called with each change that was written.
    """
    ids = list(dict.fromkeys(enrollment_ids))
    for start in range(0, len(ids), _PART):
        _apply_part(table, ids[start : start + _PART], plan, done)


def _apply_part(
    table: Table,
    enrollment_ids: Sequence[str],
    plan: Callable[[Mapping[str, StoredDevice], Mapping[str, Change]], Iterable[Change]],
    done: Callable[[Change], None],
) -> None:
    attempts, failed = Attempts(table.url), dict[str, Change]()
    pending: Iterable[str] = enrollment_ids
    while pending:
        stored = stored_devices(table, pending)
        for one, change in failed.items():
            if stored[one].version == change.version:
                del stored[one]
                done(change)
        changes = plan(stored, {one: failed[one] for one in stored if one in failed})
        failed, is_busy = {}, False
        # Fewer devices in a transaction after each collision: one device that changes often delays no others.
        parts = list(_parts(changes, MAX_ACTIONS >> attempts.count))
        for part, outcome in zip(parts, table.each(parts, lambda one: _write_changes(table, one)), strict=True):
            is_busy |= outcome is Outcome.BUSY
            for change in part:
                if outcome is Outcome.DONE:
                    done(change)
                else:
                    failed[change.enrollment_id] = change
        pending = list(failed)
        if pending:
            attempts.wait(is_busy=is_busy)


def _parts(changes: Iterable[Change], limit: int) -> Iterator[list[Change]]:
    """Split changes into transactions of at most *limit* actions, or of one change."""
    part, size, cells = list[Change](), 0, set[tuple[str, str]]()
    for change in changes:
        actions, counted = len(change.actions), {cell for cell, count in change.counts.items() if count}
        if part and size + actions + len(cells | counted) > limit:
            yield part
            part, size, cells = [], 0, set()
        part.append(change)
        size, cells = size + actions, cells | counted
    if part:
        yield part


def _write_changes(table: Table, changes: Sequence[Change]) -> Outcome:
    counts: Counter[tuple[str, str]] = Counter()
    for change in changes:
        counts.update(change.counts)
    shard = random.randrange(SHARDS)  # noqa: S311 - spreads the writers
    actions = [action for change in changes for action in change.actions]
    actions += [_count_action(server, text, shard, count) for (server, text), count in sorted(counts.items()) if count]
    return table.write(actions)


def _count_action(server: str, text: str, shard: int, count: int) -> Action:
    key = Key(counter_partition(server), f"{text}#{shard:02d}")
    added = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": str(count)}}}
    return Action(key, "Update", {"Key": key.attributes} | added)
