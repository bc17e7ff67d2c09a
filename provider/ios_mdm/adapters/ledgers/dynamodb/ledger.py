"""A ledger in a DynamoDB table. Several processes on several computers can use it at the same time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers.dynamodb import publications
from ios_mdm.adapters.ledgers.dynamodb.changes import Change, apply_changes, put, stored_devices
from ios_mdm.adapters.ledgers.dynamodb.counters import counters, delete_empty_cells
from ios_mdm.adapters.ledgers.dynamodb.events import KEPT_SECONDS, EventWriter, Stray, expiry
from ios_mdm.adapters.ledgers.dynamodb.items import (
    COMMAND_SECONDS,
    DELETION,
    SHARDS,
    Command,
    StoredDevice,
    command_key,
    device_partition,
    stray_key,
    stray_partition,
)
from ios_mdm.adapters.ledgers.dynamodb.table import Action, Attempts, Outcome, Table
from ios_mdm.core.ledger.cells import states
from ios_mdm.core.ledger.registers import NEVER, Enrollment, Progress, microseconds, time_of
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, Publication
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from ios_mdm.adapters.aws import Aws
    from ios_mdm.core.ledger.values import DeviceEvent, EnqueuedCommand, StatePolicy

__all__ = ["DynamoDbLedger"]

_PAGE: Final = 2_000
"""Devices of one shard that one call reads. Those of all shards need about 40 MB."""
_PART: Final = 5_000
"""Devices of a list that are read together."""


@dataclass(frozen=True, slots=True)
class DynamoDbLedger:
    """A ledger in a DynamoDB table, which must exist.

    Args:
        table: the table.
    """

    table: Table

    @classmethod
    def of_table(cls, name: str, *, aws: Aws) -> DynamoDbLedger:
        """Return the ledger in the table of this name."""
        return cls(Table(aws, name))

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
        wanted = Publication(
            server=server,
            revision=1,
            profile=profile,
            certificates=frozenset(certificates),
            seed=seed,
            at=time_of(microseconds(at)),
            channel=channel,
            is_for_all=is_for_all,
        )
        return publications.publish(self.table, wanted)

    def publication(self, server: str) -> Publication | None:
        """Return the profile of *server* that was published last; None if there is none."""
        return publications.read_publication(self.table, server)

    def publications(self) -> Sequence[Publication]:
        """Return the profile of each server that was published last, sorted by server."""
        return publications.read_publications(self.table)

    def record_commands(self, commands: Sequence[EnqueuedCommand], *, publication: Publication) -> None:
        """Record commands that install a published profile. Each device is written once for each command."""
        for one in commands:
            self._record_command(one, publication)

    def _record_command(self, enqueued: EnqueuedCommand, publication: Publication) -> None:
        """Record a command, and that it was queued for its devices."""
        command_uuid, epochs = enqueued.command_uuid, enqueued.epochs
        command = self._recorded_command(
            command_uuid,
            Command(server=publication.server, revision=publication.revision, queued=microseconds(enqueued.at)),
        )

        def plan(stored: Mapping[str, StoredDevice], _failed: Mapping[str, Change]) -> Iterator[Change]:
            keys = {one: stray_key(one, command_uuid) for one in stored if stored[one].device.strayed != NEVER}
            strays = self.table.items(keys.values())
            for one, found in stored.items():
                queued = Progress(revision=command.revision, queued=command.queued, epoch=epochs[one])
                key = keys.get(one)
                item = None if key is None else strays.get(key)
                answered = Stray.from_item(item).progress(command)
                progress = found.device.with_progress(command.server, queued.union(answered))
                after = replace(found.device, progress=progress)
                others = [] if item is None or key is None else [Action(key, "Delete", {"Key": key.attributes})]
                if others or after != found.device:
                    yield Change(enrollment_id=one, before=found, after=after, others=others)

        apply_changes(self.table, epochs, plan)

    def _recorded_command(self, command_uuid: str, command: Command) -> Command:
        """Record a command before its devices; return the first record of it."""
        key, attempts = command_key(command_uuid), Attempts(self.table.url)
        item = {"d": {"S": command.text}, "expires": expiry(command.queued, COMMAND_SECONDS)}
        while (outcome := self.table.write([put(key, item, is_new=True)])) is not Outcome.DONE:
            found = Command.from_item(self.table.items([key]).get(key))
            if found is not None:
                return found
            attempts.wait(is_busy=outcome is Outcome.BUSY)
        return command

    def record_asked(self, enrollment_ids: Iterable[str], *, at: datetime) -> None:
        """Record that a CertificateList was queued for devices."""
        asked = Enrollment(asked=microseconds(at))

        def plan(stored: Mapping[str, StoredDevice], _failed: Mapping[str, Change]) -> Iterator[Change]:
            for one, found in stored.items():
                after = replace(found.device, enrollment=found.device.enrollment.union(asked))
                if after != found.device:
                    yield Change(enrollment_id=one, before=found, after=after)

        apply_changes(self.table, enrollment_ids, plan)

    def record_events(self, events: Sequence[DeviceEvent], *, now: datetime) -> Sequence[str]:
        """Record the events of an MDM server; return the devices whose enrollment began.

        The events are durable when this method returns. If it raises an error, each event is recorded with all its
        effects or not at all, and a repetition records the others.

        Raises:
            ValueError: A time has no zone.
            DeliveryError: An event has no enrollment id, or the table cannot be used.
        """
        if not all(one.enrollment_id for one in events):
            raise DeliveryError(f"the ledger {self.table.url} cannot record an event without an enrollment id")
        writer = EventWriter(
            table=self.table,
            numbers=lambda: publications.registered_publications(self.table).numbers,
            oldest=microseconds(now - timedelta(seconds=KEPT_SECONDS)),
        )
        if events:
            writer.write(events)
        else:
            self.table.items([DELETION])  # the caller checks that the table can be used
        return tuple(writer.begun)

    def enrolled_ids(self) -> Sequence[str]:
        """Return the enrollment ids of all enrolled devices, sorted."""
        return tuple(one for one, found in self.stored_devices() if found.device.enrollment.is_enrolled)

    def devices(self, server: str, *, enrollment_ids: Sequence[str] | None = None) -> Iterator[DeviceRecord]:
        """Yield the records of devices for *server*."""
        numbers = publications.registered_publications(self.table).numbers_of(server)
        if enrollment_ids is None:
            for one, found in self.stored_devices():
                if found.device.enrollment.is_known:
                    yield found.device.record(one, server, numbers)
            return
        for start in range(0, len(enrollment_ids), _PART):
            part = enrollment_ids[start : start + _PART]
            stored = stored_devices(self.table, part)
            for one in part:
                yield stored[one].device.record(one, server, numbers)

    def counts(
        self, server: str, policy: StatePolicy, *, enrollment_ids: Sequence[str] | None = None
    ) -> Mapping[DeviceState, int]:
        """Return the number of devices in each state. Each state is a key.

        Counters give the result, unless there is a list of devices, or some devices become silent on the day of
        ``policy.silent_before``.
        """
        found: Counter[DeviceState] | None = None
        if enrollment_ids is None:
            numbers = publications.registered_publications(self.table).numbers_of(server)
            counted = states(
                counters(self.table, ""),
                counters(self.table, server),
                policy,
                {bytes.fromhex(one): number for one, number in numbers.items()},
            )
            if not any(one.is_open for one in counted):
                found = Counter({one.state: count for one, count in counted.items()})
        if found is None:
            records = self.devices(server, enrollment_ids=enrollment_ids)
            found = Counter(device_status(one, policy).state for one in records)
        return {state: found[state] for state in DeviceState}

    def waiting(self, server: str, revision: int | None, *, enrollment_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the devices that were not sent a revision in their current enrollment, with the epoch of each."""
        return {
            one.enrollment_id: one.enrollment.epoch
            for one in self.devices(server, enrollment_ids=enrollment_ids)
            if one.progress is None
            or one.progress.revision != revision
            or not one.progress.was_sent(one.enrollment.epoch)
        }

    def claim_push(
        self, enrollment_id: str, *, at: datetime, limit: int = 3, window: timedelta = timedelta(days=1)
    ) -> bool:
        """Return whether a device may be sent a command without a request of the user, and count the command."""
        start, claimed = microseconds(at - window), list[Change]()

        def plan(stored: Mapping[str, StoredDevice], _failed: Mapping[str, Change]) -> Iterator[Change]:
            for one, found in stored.items():
                pushes = tuple(time for time in found.device.pushes if time > start)
                if len(pushes) < limit:
                    after = replace(found.device, pushes=(*pushes, microseconds(at)))
                    yield Change(enrollment_id=one, before=found, after=after)

        apply_changes(self.table, [enrollment_id], plan, claimed.append)
        return bool(claimed)

    def delete_devices(self, *, left_before: datetime, kept: Collection[str] = ()) -> int:
        """Delete all records of the devices that checked out before this time and were not seen again."""
        before, listed = microseconds(left_before), frozenset(kept)
        self._raise_deletion(before)
        left = [
            one
            for one, found in self.stored_devices()
            if one not in listed and found.device.enrollment.has_left(before)
        ]
        deleted: list[Change] = []

        def plan(stored: Mapping[str, StoredDevice], _failed: Mapping[str, Change]) -> Iterator[Change]:
            for one, found in stored.items():
                if found.version and found.device.enrollment.has_left(before):
                    yield Change(enrollment_id=one, before=found, after=None)

        for one in left:
            self._delete_strays(one)
        apply_changes(self.table, left, plan, deleted.append)
        for server in ("", *publications.registered_publications(self.table).servers):
            delete_empty_cells(self.table, server)
        return len(deleted)

    def _raise_deletion(self, before: int) -> None:
        """Record the time of a deletion, unless a later one is recorded."""
        attempts = Attempts(self.table.url)
        update = {
            "Key": DELETION.attributes,
            "UpdateExpression": "SET n = :n",
            "ConditionExpression": "attribute_not_exists(n) OR n < :n",
            "ExpressionAttributeValues": {":n": {"N": str(before)}},
        }
        while self.table.write([Action(DELETION, "Update", update)]) is Outcome.BUSY:
            attempts.wait()

    def _delete_strays(self, enrollment_id: str) -> None:
        """Delete the answers of a device to commands that are not recorded."""
        for item in self.table.query(stray_partition(enrollment_id)):
            key, attempts = stray_key(enrollment_id, item["sk"]["S"]), Attempts(self.table.url)
            while self.table.write([Action(key, "Delete", {"Key": key.attributes})]) is not Outcome.DONE:
                attempts.wait()

    def stored_devices(self) -> Iterator[tuple[str, StoredDevice]]:
        """Yield all devices with their enrollment ids, sorted by these. The shards are read in parallel, in parts."""
        after: dict[int, str] = dict.fromkeys(range(SHARDS), "")
        read = {shard: list[tuple[str, str, str]]() for shard in range(SHARDS)}
        while after:
            shards = [one for one in after if len(read[one]) < _PAGE // 2]
            pages = self.table.each(shards, lambda one: self._page(one, after[one]))
            for shard, (devices, last) in zip(shards, pages, strict=True):
                read[shard] += devices
                if last is None:
                    del after[shard]
                else:
                    after[shard] = last
            # A shard with further items has none below its last key.
            end = min(after.values(), default=None)
            part = sorted(one for found in read.values() for one in found if end is None or one[0] <= end)
            read = {shard: [one for one in found if end is not None and one[0] > end] for shard, found in read.items()}
            for one, version, content in part:
                yield one, StoredDevice.from_texts(version, content)

    def _page(self, shard: int, after: str) -> tuple[list[tuple[str, str, str]], str | None]:
        """Return enrollment id, version and content of devices, which need less memory than the items."""
        items, last = self.table.page(device_partition(shard), after, _PAGE)
        return [(one["sk"]["S"], one["v"]["S"], one["d"]["S"]) for one in items], last
