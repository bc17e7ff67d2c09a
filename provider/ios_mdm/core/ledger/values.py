"""Data that use cases exchange with a ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.ledger.registers import NEVER

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

__all__ = ["Answer", "Coverage", "DeliveryStatus", "DeviceEvent", "DeviceStatus", "Publication"]


class DeliveryStatus(StrEnum):
    """State of the delivery of a profile to a device. ``status --json`` shows these words."""

    NOT_SENT = "not-sent"
    PENDING = "pending"
    """The command is queued, and the device has not answered."""
    NOT_NOW = "not-now"
    """The device will request the command again later."""
    ERROR = "error"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """Recorded state of a profile on one device.

    Args:
        enrollment_id: enrollment id of the device.
        status: state of the delivery in the current enrollment of the device.
        detail: explanation of an error by the device, else empty.
        at: time of the record, aware UTC; None for ``NOT_SENT``.
        epoch: epoch of the current enrollment, in microseconds since 1970; ``NEVER`` if no event opened one.
    """

    enrollment_id: str
    status: DeliveryStatus
    detail: str = ""
    at: datetime | None = None
    epoch: int = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Recorded state of one profile on several devices.

    Args:
        profile: SHA-256 of the profile, 64 hex digits.
        devices: one entry for each device, in the requested order.
    """

    profile: str
    devices: tuple[DeviceStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The profile of a server that was last published.

    Args:
        server: name of the server.
        revision: number of the profile, from 1. A former profile that is published again gets a new number.
        profile: the .mobileconfig that devices are sent.
        certificates: SHA-256 of the DER of each certificate in the profile, 32 bytes each.
        seed: random UUID of this revision. CommandUUIDs derive from it.
        at: time of the publication, aware UTC, in microseconds.
    """

    server: str
    revision: int
    profile: bytes = field(repr=False)
    certificates: frozenset[bytes]
    seed: UUID
    at: datetime

    @property
    def digest(self) -> str:
        """SHA-256 of the profile, 64 hex digits."""
        return hashlib.sha256(self.profile).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a device to a command.

    Args:
        command_uuid: CommandUUID of any command, also of one that this provider did not send.
        status: ``ACKNOWLEDGED`` (final), ``ERROR`` or ``NOT_NOW`` (the device will request the command again).
        detail: explanation of an error by the device in one line, at most 1,000 characters; else empty.
    """

    command_uuid: str
    status: DeliveryStatus
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """An event of a device, as reported by an MDM server.

    Args:
        identity: 16 bytes, equal for copies of the event and different for any other event.
        at: time stated in the event, aware UTC, with microseconds.
        topic: topic of the event, such as ``mdm.Connect``.
        enrollment_id: enrollment id of the device, for which commands are queued.
        enrolled: True if the event shows that the device is enrolled, False if it shows that the device was unenrolled,
            else None. An Authenticate is only a request, and the user channel is enrolled independently of the device.
        authenticated: whether the device requests a new enrollment (Authenticate).
        answer: answer to a command, or None if the event contains no answer.
        certificates: SHA-256 of each certificate in the answer to a CertificateList, 32 bytes each; None for any other
            event.
    """

    identity: bytes
    at: datetime
    topic: str
    enrollment_id: str
    enrolled: bool | None = None
    authenticated: bool = False
    answer: Answer | None = None
    certificates: frozenset[bytes] | None = None
