"""Brings a configuration profile to devices: in batches, each device once, noted in the ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from ios_mdm.errors import DefinitionError, DeliveryError, IosMdmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ios_mdm.ports import Clock, Ledger, MdmChannel
    from ios_mdm.settings import DistributionSettings

__all__ = ["Delivery", "Distributor", "devices_digest", "known_devices", "listed_devices", "read_devices"]

_NAMESPACE = UUID("0f3f4f0e-2f63-5b7e-8d53-9a6a6f0a6d0b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One profile on its way to the devices of one server.

    Args:
        server: its name.
        profile: the .mobileconfig.
        revision: counts the profiles of this server from 1. A profile that comes back after another one is sent
            again: its content is the same, its revision is not.
        enrollment_ids: of the devices, without duplicates.
    """

    server: str
    profile: bytes
    revision: int
    enrollment_ids: Sequence[str]

    @property
    def digest(self) -> str:
        """SHA-256 of the profile, 64 hex digits."""
        return hashlib.sha256(self.profile).hexdigest()


class Distributor:
    """Sends profiles.

    Args:
        channel: to the MDM server.
        ledger: None where none is kept; then nobody can tell who has the profile.
        clock: tells when something was sent.
        report: takes a line of progress.
    """

    def __init__(
        self, channel: MdmChannel, ledger: Ledger | None, clock: Clock, *, report: Callable[[str], None]
    ) -> None:
        self._channel = channel
        self._ledger = ledger
        self._clock = clock
        self._report = report

    def distribute(self, delivery: Delivery) -> int:
        """Queue the profile for every device that it was not queued for, and return for how many.

        Raises:
            DeliveryError: The MDM server did not take it; the message tells for how many devices it had.
        """
        from ios_mdm.core.profile import install_profile_command  # noqa: PLC0415 - cryptography only where needed

        waiting = self._not_sent(delivery)
        notices: dict[str, None] = {}
        sent = 0
        for start in range(0, len(waiting), self._channel.batch_size):
            batch = waiting[start : start + self._channel.batch_size]
            command_uuid = _command_uuid(delivery, batch)
            try:
                notices |= dict.fromkeys(
                    self._channel.enqueue(batch, install_profile_command(delivery.profile, command_uuid))
                )
            except DeliveryError as error:
                done = len(delivery.enrollment_ids) - len(waiting) + sent
                raise DeliveryError(
                    f"{error}. The pair itself is stored; the profile is queued for {done} of "
                    f"{len(delivery.enrollment_ids)} devices, and the next `pulumi up` continues there"
                ) from error
            if self._ledger is not None:
                self._ledger.record_enqueued(
                    command_uuid,
                    server=delivery.server,
                    profile=delivery.digest,
                    enrollment_ids=batch,
                    at=self._clock.now(),
                )
            sent += len(batch)
        for notice in notices:
            self._report(notice)
        count = len(delivery.enrollment_ids)
        self._report(
            f"profile queued for {sent} of {count} devices"
            if sent
            else f"all {count} devices were sent the profile before"
        )
        return sent

    def _not_sent(self, delivery: Delivery) -> list[str]:
        if self._ledger is None:
            return list(delivery.enrollment_ids)
        coverage = self._ledger.coverage(
            server=delivery.server, profile=delivery.digest, enrollment_ids=delivery.enrollment_ids
        )
        return [device.enrollment_id for device in coverage.devices if device.status == "not-sent"]


def _command_uuid(delivery: Delivery, batch: Sequence[str]) -> str:
    """Return the CommandUUID of a batch: equal when a crashed run is repeated, so that nothing is queued twice."""
    what = f"{delivery.server}/{delivery.revision}/{delivery.digest}/{','.join(batch)}"
    return str(uuid5(_NAMESPACE, what)).upper()


def listed_devices(path: Path) -> tuple[str, ...]:
    """Read a list of enrolment ids, one a line; empty lines and lines that start with # do not count.

    Args:
        path: of a UTF-8 file, with or without a byte order mark.

    Raises:
        DefinitionError: The file cannot be read, names no device, or names one twice.
    """
    reason: str | None = "it is not UTF-8 text: save it as UTF-8"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        text, reason = "\0", error.strerror
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16 without a byte order mark is valid UTF-8, with a zero in each character
        raise DefinitionError(f"distribution.devices.file: {path.name} cannot be read: {reason}")
    lines = text.splitlines()
    devices = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not devices:
        raise DefinitionError(f"distribution.devices.file: {path.name} names no device: an enrolment id a line")
    seen: dict[str, None] = {}
    for device in devices:
        if device in seen:
            raise DefinitionError(f"distribution.devices.file: {path.name} has {device} more than once")
        seen[device] = None
    return tuple(seen)


def read_devices(settings: DistributionSettings, ledger: Ledger | None, *, base: Path) -> tuple[str, ...]:
    """Return the enrolment ids that the definition means, sorted.

    Args:
        settings: of the server's distribution.
        ledger: the one that *settings* names.
        base: the folder that relative paths start from: the project's root.

    Raises:
        DefinitionError: The list is empty, has duplicates, or cannot be read.
    """
    from ios_mdm.adapters.nanomdm import checked_enrollment_ids  # noqa: PLC0415 - not in the program's process

    if isinstance(settings.devices, list):
        devices: Sequence[str] = settings.devices
    elif settings.devices.file is not None:
        devices = listed_devices(base / settings.devices.file)
    else:
        devices = () if ledger is None else ledger.enrolled()
        if not devices:
            raise DefinitionError(
                "distribution.devices: the ledger knows no enrolled device yet: start `ios-mdm receive` as "
                "the MDM server's webhook before devices enrol, or list the devices in a file"
            )
    return tuple(sorted(checked_enrollment_ids(devices)))


def known_devices(settings: DistributionSettings, *, base: Path) -> int | None:
    """Return how many devices there are, for a message; None where nobody knows, whatever the reason is.

    Args:
        settings: of the server's distribution.
        base: the folder that relative paths start from: the project's root.
    """
    from ios_mdm.adapters.ledgers.sqlite import open_ledger  # noqa: PLC0415 - only where a ledger is asked

    try:
        if isinstance(settings.devices, list):
            return len(settings.devices)
        if settings.devices.file is not None:
            return len(listed_devices(base / settings.devices.file))
        # Of a ledger without any, nobody knows whether the webhook was there when devices enrolled.
        return len(open_ledger(settings.ledger or "", base=base).enrolled()) or None
    except IosMdmError:
        return None  # the distribution itself says what is wrong with it


def devices_digest(enrollment_ids: Sequence[str]) -> str:
    """Return the SHA-256 over the sorted ids, 64 hex digits: in state it stands for the list."""
    return hashlib.sha256("\n".join(sorted(enrollment_ids)).encode()).hexdigest()
