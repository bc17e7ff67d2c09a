"""Data that use cases exchange with a ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.ledger.registers import NEVER, Enrollment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from ios_mdm.core.ledger.registers import Progress

__all__ = [
    "Answer",
    "AnswerStatus",
    "DeviceEvent",
    "DeviceRecord",
    "DeviceState",
    "DeviceStatus",
    "EnqueuedCommand",
    "Publication",
    "StatePolicy",
]


class DeviceState(StrEnum):
    """State of a server's profile on a device. ``status --json`` shows these words."""

    NOT_SENT = "not-sent"
    QUEUED = "queued"
    """The command is queued, and the device has not answered."""
    ACKNOWLEDGED = "acknowledged"
    PROVED = "proved"
    """The last list of certificates of the device has each certificate."""
    NOT_NOW = "not-now"
    """The device will request the command again later."""
    FAILED = "failed"
    """The device answered with an error."""
    SILENT = "silent"
    """The command is queued, and the device was neither seen nor sent the command for a number of days."""
    ERASED = "erased"
    """The device enrolled again, and was not sent the profile afterwards."""
    GONE = "gone"
    """The device checked out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePolicy:
    """Settings from which the state of a device is computed.

    Args:
        revision: revision of the profile; None if no profile, or another one, is published.
        certificates: SHA-256 of the DER of each certificate that a device must have, 32 bytes each. If there is none,
            no device is ``PROVED``.
        is_proof_configured: whether devices are asked for lists of certificates. If not, an acknowledged profile counts
            as installed.
        silent_before: a device without an answer is silent if it was last seen, and last sent the command, before this
            time. In microseconds since 1970; ``NEVER``: no device is silent.
    """

    revision: int | None
    certificates: frozenset[bytes] = frozenset()
    is_proof_configured: bool = False
    silent_before: int = NEVER

    def has_profile(self, state: DeviceState) -> bool:
        """Return whether a device in this state counts as one that has the profile."""
        return state is DeviceState.PROVED or (state is DeviceState.ACKNOWLEDGED and not self.is_proof_configured)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """All records of a device for one server.

    Args:
        enrollment_id: enrollment id of the device.
        enrollment: record of its events; an empty one if there is no event.
        progress: record of the server's profile on the device; None if there is none.
        reported: time of the last list that has a certificate, in microseconds since 1970, by SHA-256 of the
            certificate. It has only certificates of the server's published profile that a list has.
    """

    enrollment_id: str
    enrollment: Enrollment = field(default_factory=Enrollment)
    progress: Progress | None = None
    reported: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """State of a profile on one device.

    Args:
        enrollment_id: enrollment id of the device.
        state: state in the current enrollment of the device.
        has_profile: whether the device counts as one that has the profile.
        detail: explanation of an error by the device; empty if the state is not ``FAILED``.
        at: time of the event or the command that the state results from, aware UTC; None for ``NOT_SENT``.
        since: time at which a ``SILENT`` device was last seen, or was sent the command if it was never seen, aware UTC;
            None for any other state.
        epoch: epoch of the current enrollment, in microseconds since 1970; ``NEVER`` if no event opened one.
    """

    enrollment_id: str
    state: DeviceState
    has_profile: bool = False
    detail: str = ""
    at: datetime | None = None
    since: datetime | None = None
    epoch: int = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The profile of a server that was last published.

    Args:
        server: name of the server.
        revision: number of the profile, from 1. A former profile that is published again gets a new number, and so does
            a profile that another MDM server sends.
        profile: the .mobileconfig that devices are sent.
        certificates: SHA-256 of the DER of each certificate in the profile, 32 bytes each.
        seed: random UUID of this revision. CommandUUIDs derive from it.
        at: time of the publication, aware UTC, in microseconds.
        channel: URL of the MDM server that sends the profile; empty if unknown.
        is_for_all: whether the profile is for each device in the ledger. If not, the definition lists the devices.
    """

    server: str
    revision: int
    profile: bytes = field(repr=False)
    certificates: frozenset[bytes]
    seed: UUID
    at: datetime
    channel: str = ""
    is_for_all: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the profile, 64 hex digits."""
        return hashlib.sha256(self.profile).hexdigest()

    def is_same(self, profile: bytes, channel: str) -> bool:
        """Return whether this revision is of *profile*, sent by the MDM server with the URL *channel*."""
        return (self.profile, self.channel) == (profile, channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueuedCommand:
    """A command that was queued for devices.

    Args:
        command_uuid: CommandUUID of the command. A command that is sent again needs another one.
        epochs: for each enrollment id, the epoch that the ledger returned before the command was queued. If the device
            enrolls again later, the command does not count.
        at: time at which the command was queued, aware UTC.
    """

    command_uuid: str
    epochs: Mapping[str, int]
    at: datetime


class AnswerStatus(StrEnum):
    """Answer of a device to a command."""

    ACKNOWLEDGED = "acknowledged"
    ERROR = "error"
    NOT_NOW = "not-now"
    """The device will request the command again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a device to a command.

    Args:
        command_uuid: CommandUUID of any command, also of one that this provider did not send.
        status: status in the answer.
        detail: explanation of an error by the device in one line, at most 1,000 characters; else empty.
    """

    command_uuid: str
    status: AnswerStatus
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
