"""Forms of the items in the table of a ledger.

The partition key has the kind of an item, and its name or a shard:

- ``D#<shard>``: devices, by enrollment id. A device has one item, with a random version.
- ``N#<server>``: numbers of devices, by cell and shard. ``N#`` is for the cells without a server.
- ``C#<CommandUUID>``: a command.
- ``S#<enrollment id>``: answers to commands that are not recorded, by CommandUUID.
- ``E#<identity>``: an event that was recorded, by its time.
- ``P``: publications, by server, and the head with the next number of a certificate.
- ``B#<server>``: the bytes of the published profile, by revision.
- ``G``: the greatest time of ``delete_devices``.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ios_mdm.adapters.ledgers.dynamodb.table import Key
from ios_mdm.core.ledger.cells import Cell, cells
from ios_mdm.core.ledger.registers import NEVER, Enrollment, LastAnswer, Progress
from ios_mdm.core.ledger.values import DeviceRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.adapters.ledgers.dynamodb.client import Item

__all__ = [
    "COMMAND_SECONDS",
    "DELETION",
    "SHARDS",
    "Command",
    "Device",
    "StoredDevice",
    "command_key",
    "counter_partition",
    "device_key",
    "device_partition",
    "event_key",
    "stray_key",
    "stray_partition",
]

SHARDS: Final = 32
"""Partitions of the devices, and items of each counter. A single counter item takes 500 transactions a second."""

COMMAND_SECONDS: Final = 400 * 86_400
"""Time for which a command is kept. No certificate is valid for longer, so another profile is published earlier."""

DELETION: Final = Key("G", "before")


def device_partition(shard: int) -> str:
    """Return the partition key of the devices of a shard."""
    return f"D#{shard:02d}"


def device_key(enrollment_id: str) -> Key:
    """Return the key of a device."""
    return Key(device_partition(zlib.crc32(enrollment_id.encode()) % SHARDS), enrollment_id)


def counter_partition(server: str) -> str:
    """Return the partition key of the numbers of devices of a server; of those without a server for an empty name."""
    return f"N#{server}"


def command_key(command_uuid: str) -> Key:
    """Return the key of a command."""
    return Key(f"C#{command_uuid}", "command")


def stray_partition(enrollment_id: str) -> str:
    """Return the partition key of a device's answers to commands that are not recorded."""
    return f"S#{enrollment_id}"


def stray_key(enrollment_id: str, command_uuid: str) -> Key:
    """Return the key of an answer to a command that is not recorded."""
    return Key(stray_partition(enrollment_id), command_uuid)


def event_key(identity: bytes, at: int) -> Key:
    """Return the key of an event with this identity and time."""
    return Key(f"E#{identity.hex()}", str(at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command: server and revision of its profile, and the time at which it was queued."""

    server: str
    revision: int
    queued: int

    @classmethod
    def from_item(cls, item: Item | None) -> Command | None:
        """Return the command of an item; None if there is none."""
        if item is None:
            return None
        server, revision, queued = json.loads(item["d"]["S"])
        return cls(server=server, revision=revision, queued=queued)

    @property
    def text(self) -> str:
        """The content of the item."""
        return json.dumps([self.server, self.revision, self.queued])


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """All records of a device.

    Args:
        enrollment: record of its events.
        progress: record of each server's profile, by server.
        reported: for each reported certificate, by its SHA-256 in hex: time of the last list that has it, and the
            number that the certificate had when it was published.
        pushes: times of the last commands that were sent without a request of the user.
        strayed: time of the last answer to a command that was not recorded.
    """

    enrollment: Enrollment = field(default_factory=Enrollment)
    progress: Mapping[str, Progress] = field(default_factory=dict)
    reported: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    pushes: tuple[int, ...] = ()
    strayed: int = NEVER

    @property
    def cells(self) -> dict[str, Cell]:
        """The cells in which the device is counted, by server."""
        return cells(self.enrollment, self.progress, {number: at for at, number in self.reported.values()})

    def with_progress(self, server: str, one: Progress) -> Mapping[str, Progress]:
        """Return the records of all servers, joined with a record for *server*."""
        before = self.progress.get(server)
        return {**self.progress, server: one if before is None else before.union(one)}

    def record(self, enrollment_id: str, server: str, numbers: Mapping[str, int]) -> DeviceRecord:
        """Return the records for a server.

        Args:
            enrollment_id: enrollment id of the device.
            server: name of the server.
            numbers: number of each certificate in the published profile of the server, by its SHA-256 in hex.
        """
        reported = {bytes.fromhex(one): at for one, (at, number) in self.reported.items() if numbers.get(one) == number}
        return DeviceRecord(
            enrollment_id=enrollment_id,
            enrollment=self.enrollment,
            progress=self.progress.get(server),
            reported=reported,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDevice:
    """A device as it was read.

    Args:
        device: records of the device.
        version: random version; empty if there is no item.
        cells: text of each cell in which the device is counted, by server.
    """

    device: Device = field(default_factory=Device)
    version: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_item(cls, item: Item | None) -> StoredDevice:
        """Return the device of an item; one without records if there is no item."""
        return cls() if item is None else cls.from_texts(item["v"]["S"], item["d"]["S"])

    @classmethod
    def from_texts(cls, version: str, text: str) -> StoredDevice:
        """Return the device of an item with this version and content."""
        content: dict[str, Any] = json.loads(text)
        device = Device(
            enrollment=Enrollment(**dict(zip(_TIMES, map(_time, content["e"]), strict=True))),
            progress={server: _progress(row) for server, row in content.get("p", {}).items()},
            reported={one: (at, number) for one, (at, number) in content.get("r", {}).items()},
            pushes=tuple(content.get("u", ())),
            strayed=content.get("w", NEVER),
        )
        return cls(device=device, version=version, cells=content.get("c", {}))


def content(device: Device, cells: Mapping[str, str]) -> str:
    """Return the content of the item of a device."""
    enrollment = device.enrollment
    parts: dict[str, object] = {
        "e": [_null(getattr(enrollment, name)) for name in _TIMES],
        "p": {server: _row(one) for server, one in device.progress.items()},
        "r": device.reported,
        "u": device.pushes,
        "w": _null(device.strayed),
        "c": cells,
    }
    return json.dumps({key: part for key, part in parts.items() if part}, separators=(",", ":"), ensure_ascii=False)


_TIMES: Final = ("authenticated", "seen", "gone", "listed", "asked")


def _null(at: int) -> int | None:
    return None if at == NEVER else at


def _time(value: int | None) -> int:
    return NEVER if value is None else value


def _row(one: Progress) -> Sequence[object]:
    queued, finality, at, detail = one.answer
    times = (one.queued, one.epoch, one.acknowledged, queued)
    return [one.revision, *map(_null, times), int(finality), _null(at), detail]


def _progress(row: Sequence[Any]) -> Progress:
    revision, queued, epoch, acknowledged, answered_queued, finality, at, detail = row
    return Progress(
        revision=revision,
        queued=_time(queued),
        epoch=_time(epoch),
        acknowledged=_time(acknowledged),
        answer=LastAnswer(_time(answered_queued), finality, _time(at), detail),
    )
