"""Sends a configuration profile to devices in batches, once to each device, and records that in the ledger."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4, uuid5

from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.profile import certificate_digests, install_profile_command
from ios_mdm.errors import BatchTooLargeError, DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from ios_mdm.core.ledger.values import Publication
    from ios_mdm.ports import Clock, Ledger, MdmChannel

__all__ = ["Delivery", "Distributor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One profile for the devices of one server.

    Args:
        server: name of the server.
        profile: the .mobileconfig.
        enrollment_ids: enrollment ids of the devices, without duplicates.
        listed: path of the file of devices in the definition; None if the definition names no such file.
    """

    server: str
    profile: bytes
    enrollment_ids: Sequence[str]
    listed: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the profile, 64 hex digits."""
        return hashlib.sha256(self.profile).hexdigest()


class Distributor:
    """Sends profiles.

    Args:
        channel: connection to the MDM server.
        ledger: the ledger; None if none is kept: device coverage is then unknown.
        clock: returns the time of each command.
        report: receives each line of progress.
        random_uuid: returns a unique UUID.
    """

    def __init__(
        self,
        channel: MdmChannel,
        ledger: Ledger | None,
        clock: Clock,
        *,
        report: Callable[[str], None],
        random_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self._random_uuid = random_uuid
        self._channel = channel
        self._ledger = ledger
        self._clock = clock
        self._report = report

    def distribute(self, delivery: Delivery) -> int:
        """Queue the profile for every device that it was not queued for; return the number of these devices.

        Raises:
            DeliveryError: The MDM server did not accept the profile for all devices. The message has the number of
                devices that it is queued for.
        """
        waiting = self.waiting(delivery)
        publication = self._publication(delivery) if waiting else None
        notices: dict[str, None] = {}
        sent = 0
        batches = deque(self._channel.batches(list(waiting)))
        largest = len(waiting)
        while batches:
            batch = batches.popleft()
            if len(batch) > largest:
                batches.extendleft(reversed(_halves(batch)))
                continue
            epochs = {one: waiting[one] for one in batch}
            command_uuid = self._command_uuid(publication, epochs)
            try:
                notices |= dict.fromkeys(
                    self._channel.enqueue(batch, install_profile_command(delivery.profile, command_uuid))
                )
            except DeliveryError as error:
                if isinstance(error, BatchTooLargeError) and len(batch) > 1:
                    # The later batches are halved as well, without a request that fails for each of them.
                    largest = len(batch) - len(batch) // 2
                    batches.appendleft(batch)
                    continue
                done = len(delivery.enrollment_ids) - len(waiting) + sent
                where = "" if delivery.listed is None else f" in {delivery.listed}"
                raise DeliveryError(
                    f"{error}. The pair is stored, and the profile is queued for {done} of "
                    f"{len(delivery.enrollment_ids)} devices{where}: run `pulumi up` again to continue with the others"
                ) from error
            if self._ledger is not None and publication is not None:
                self._ledger.record_enqueued(command_uuid, publication=publication, epochs=epochs, at=self._clock.now())
            sent += len(batch)
        for notice in notices:
            self._report(notice)
        count = len(delivery.enrollment_ids)
        self._report(
            f"profile queued for {sent} of {count} devices"
            if sent
            else f"the profile was already queued for all {count} devices"
        )
        return sent

    def waiting(self, delivery: Delivery) -> Mapping[str, int]:
        """Return the devices without a record that the profile was queued for them, with the epoch of each.

        Without a ledger, these are all devices.
        """
        if self._ledger is None:
            return dict.fromkeys(delivery.enrollment_ids, NEVER)
        publication = self._ledger.publication(delivery.server)
        is_published = publication is not None and publication.profile == delivery.profile
        revision = publication.revision if publication is not None and is_published else None
        return self._ledger.waiting(delivery.server, revision, enrollment_ids=delivery.enrollment_ids)

    def _publication(self, delivery: Delivery) -> Publication | None:
        """Record in the ledger that devices are sent this profile; None without a ledger."""
        if self._ledger is None:
            return None
        return self._ledger.publish(
            delivery.server,
            delivery.profile,
            certificates=certificate_digests(delivery.profile),
            seed=self._random_uuid(),
            at=self._clock.now(),
        )

    def _command_uuid(self, publication: Publication | None, epochs: Mapping[str, int]) -> str:
        """Return the CommandUUID of a batch.

        With a ledger, a run after an interrupted one uses the same CommandUUID, so that no command is queued twice. A
        device that enrolled again has another epoch, and so another CommandUUID: the MDM server drops a repeated one.
        A ledger that was lost has another seed.

        Without a ledger, the CommandUUID is random, because a device may have lost a profile that was sent to it.
        Installing a profile twice has no effect.

        Args:
            publication: the record of the profile in the ledger; None without a ledger.
            epochs: epoch of each device of the batch, by enrollment id.
        """
        if publication is None:
            return str(self._random_uuid()).upper()
        content = ",".join(f"{one}/{epoch}" for one, epoch in epochs.items())
        return str(uuid5(publication.seed, content)).upper()


def _halves(batch: Sequence[str]) -> Sequence[Sequence[str]]:
    middle = len(batch) - len(batch) // 2
    return batch[:middle], batch[middle:]
