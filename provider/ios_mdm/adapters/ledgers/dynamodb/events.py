"""Joins the events of an MDM server with the records of devices."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers.dynamodb.changes import Change, apply_changes, put
from ios_mdm.adapters.ledgers.dynamodb.items import (
    DELETION,
    Command,
    Device,
    command_key,
    event_key,
    stray_key,
)
from ios_mdm.adapters.ledgers.dynamodb.table import Key
from ios_mdm.core.ledger.registers import (
    NEVER,
    NO_ANSWER,
    Enrollment,
    Finality,
    LastAnswer,
    Progress,
    began,
    microseconds,
)
from ios_mdm.core.ledger.values import AnswerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ios_mdm.adapters.ledgers.dynamodb.client import Item
    from ios_mdm.adapters.ledgers.dynamodb.items import StoredDevice
    from ios_mdm.adapters.ledgers.dynamodb.table import Action, Table
    from ios_mdm.core.ledger.values import Answer, DeviceEvent

__all__ = ["KEPT_SECONDS", "EventWriter", "Stray"]

KEPT_SECONDS: Final = 7 * 86_400
"""Time for which the identity of an event, and an answer to a command that is not recorded, are kept."""

_SECOND: Final = 1_000_000
_MAX_EVENTS: Final = 20
"""Events of one device in one transaction. Each event needs up to two items."""
_FINALITY: Final = {AnswerStatus.NOT_NOW: Finality.NOT_NOW, AnswerStatus.ERROR: Finality.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """Answers of a device to one command that is not recorded. They have no time at which the command was queued.

    Args:
        acknowledged: time of the latest acknowledgement.
        answer: last other answer.
    """

    acknowledged: int = NEVER
    answer: LastAnswer = NO_ANSWER

    @classmethod
    def from_item(cls, item: Item | None) -> Stray:
        """Return the answers of an item."""
        if item is None:
            return cls()
        acknowledged, *answer = json.loads(item["d"]["S"])
        return cls(acknowledged=acknowledged, answer=LastAnswer(*answer))

    @classmethod
    def from_answer(cls, answer: Answer, at: int) -> Stray:
        """Return one answer."""
        if answer.status is AnswerStatus.ACKNOWLEDGED:
            return cls(acknowledged=at)
        return cls(answer=LastAnswer(NEVER, _FINALITY[answer.status], at, answer.detail))

    def union(self, other: Stray) -> Stray:
        """Return all answers of both records."""
        return Stray(acknowledged=max(self.acknowledged, other.acknowledged), answer=max(self.answer, other.answer))

    def progress(self, command: Command) -> Progress:
        """Return the answers as a record of the command's profile."""
        is_answered = self.answer.at != NEVER
        answer = self.answer._replace(queued=command.queued) if is_answered else self.answer
        return Progress(revision=command.revision, acknowledged=self.acknowledged, answer=answer)

    def action(self, key: Key) -> Action:
        """Return the action that writes the answers."""
        at = max(self.acknowledged, self.answer.at)
        content = {"S": json.dumps([self.acknowledged, *self.answer], ensure_ascii=False)}
        return put(key, {"d": content, "expires": expiry(at, KEPT_SECONDS)})


def expiry(at: int, seconds: int) -> Item:
    """Return the value of the time to live of an item that is kept for a time after *at*."""
    return {"N": str(at // _SECOND + seconds)}


@dataclass(slots=True, kw_only=True)
class EventWriter:
    """Writes events. Each one is written once, together with its effect on its device.

    Args:
        table: the table.
        numbers: returns the number of each published certificate, by its SHA-256 in hex.
        oldest: an event before this time is not recorded as such, because its record would already be deleted.
        begun: enrollment ids of the devices whose enrollment began.
    """

    table: Table
    numbers: Callable[[], Mapping[str, int]]
    oldest: int
    begun: dict[str, None] = field(default_factory=dict)
    _pending: dict[str, list[DeviceEvent]] = field(default_factory=dict)

    def write(self, events: Sequence[DeviceEvent]) -> None:
        """Write events. All are durable when this method returns."""
        first = {(one.identity, microseconds(one.at)): one for one in reversed(events)}
        for one in reversed(first.values()):
            self._pending.setdefault(one.enrollment_id, []).append(one)
        while self._pending:
            apply_changes(self.table, self._pending, self._plan, self._add_begun)
            self._pending = {one: rest for one, all_ in self._pending.items() if (rest := all_[_MAX_EVENTS:])}

    def _add_begun(self, change: Change) -> None:
        before, after = change.before.device.enrollment, (change.after or Device()).enrollment
        if began(before, after):
            self.begun[change.enrollment_id] = None
        elif not after.has_begun:
            self.begun.pop(change.enrollment_id, None)

    def _plan(self, stored: Mapping[str, StoredDevice], failed: Mapping[str, Change]) -> Iterator[Change]:
        """Plan the changes of devices.

        The devices were read before the items that this method reads, and each writer of an answer or a command also
        changes its device. So a change of these items in between makes the transaction fail.
        """
        parts: dict[str, Sequence[DeviceEvent]] = {one: self._pending[one][:_MAX_EVENTS] for one in stored}
        if failed:
            parts = self._remaining(parts, failed)
        answers = {
            (one, event.answer.command_uuid)
            for one, events in parts.items()
            for event in events
            if event.answer is not None
        }
        strays = {stray_key(*one) for one in answers if stored[one[0]].device.strayed != NEVER}
        found = self.table.items([DELETION, *(command_key(uuid) for _, uuid in answers), *strays])
        is_listed = any(event.certificates is not None for events in parts.values() for event in events)
        numbers = self.numbers() if is_listed else {}
        for one, events in parts.items():
            change = self._change(one, stored[one], events, found, numbers)
            if change is not None:
                yield change

    def _remaining(
        self, parts: Mapping[str, Sequence[DeviceEvent]], failed: Mapping[str, Change]
    ) -> dict[str, Sequence[DeviceEvent]]:
        """Return the events that are not recorded. A copy of one, or a lost answer, can be why a change failed."""
        keys = {one: [_event_key(event) for event in events] for one, events in parts.items() if one in failed}
        found = self.table.items(key for all_ in keys.values() for key in all_)
        for one, change in failed.items():
            if any(key in found and found[key]["v"]["S"] == change.version for key in keys[one]):
                self._add_begun(change)
        return {one: [event for event in events if _event_key(event) not in found] for one, events in parts.items()}

    def _change(
        self,
        enrollment_id: str,
        stored: StoredDevice,
        events: Sequence[DeviceEvent],
        found: Mapping[Key, Item],
        numbers: Mapping[str, int],
    ) -> Change | None:
        device, strays, recorded = stored.device, dict[Key, Stray](), list[Key]()
        deleted = int(found[DELETION]["n"]["N"]) if DELETION in found else NEVER
        for event in events:
            at = microseconds(event.at)
            if at >= self.oldest:
                recorded.append(event_key(event.identity, at))
            command, key = None, None
            if event.answer is not None:
                command = Command.from_item(found.get(command_key(event.answer.command_uuid)))
                key = stray_key(enrollment_id, event.answer.command_uuid)
            is_known = device.enrollment != Enrollment() or (command is not None and command.server in device.progress)
            if at < deleted and not is_known:
                continue
            if event.answer is not None and key is not None:
                answer = Stray.from_answer(event.answer, at)
                if command is not None:
                    progress = device.with_progress(command.server, answer.progress(command))
                    device = replace(device, progress=progress)
                elif at >= self.oldest:
                    strays[key] = strays.get(key, Stray.from_item(found.get(key))).union(answer)
                    device = replace(device, strayed=max(device.strayed, at))
            device = _with_event(device, event, at, numbers)
        if device == stored.device and not recorded and not strays:
            return None
        change = Change(enrollment_id=enrollment_id, before=stored, after=device)
        others = [stray.action(key) for key, stray in strays.items()]
        for key in recorded:
            expires = expiry(int(key.sk), KEPT_SECONDS)
            others.append(put(key, {"v": {"S": change.version}, "expires": expires}, is_new=True))
        return replace(change, others=others)


def _event_key(event: DeviceEvent) -> Key:
    return event_key(event.identity, microseconds(event.at))


def _with_event(device: Device, event: DeviceEvent, at: int, numbers: Mapping[str, int]) -> Device:
    """Return the records of a device after an event, apart from an answer in it."""
    enrollment = device.enrollment.union(
        Enrollment(
            authenticated=at if event.authenticated else NEVER,
            seen=at if event.enrolled is True else NEVER,
            gone=at if event.enrolled is False else NEVER,
            listed=NEVER if event.certificates is None else at,
        )
    )
    if event.certificates is None:
        return replace(device, enrollment=enrollment)
    # Reports of certificates that are not published any more are removed.
    reported = {one: entry for one, entry in device.reported.items() if numbers.get(one) == entry[1]}
    for one in sorted(one.hex() for one in event.certificates):
        if one in numbers:
            reported[one] = (max(at, reported.get(one, (NEVER, 0))[0]), numbers[one])
    return replace(device, enrollment=enrollment, reported=reported)
