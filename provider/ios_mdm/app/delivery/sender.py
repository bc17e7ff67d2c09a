"""Queues commands for devices in batches, and records each batch in the ledger."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

from ios_mdm.core.certificate_list import certificate_list_command
from ios_mdm.core.ledger.command_uuid import command_uuid
from ios_mdm.core.ledger.overdue import CommandKind
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.ledger.values import EnqueuedCommand
from ios_mdm.core.profile import install_profile_command
from ios_mdm.errors import BatchTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from ios_mdm.app.delivery.recorder import Recorder
    from ios_mdm.core.ledger.values import DeviceRecord, Publication
    from ios_mdm.ports import Clock, MdmChannel

__all__ = ["LedgerSender", "Sender", "Target"]


class Target(NamedTuple):
    """Times of a device, from which its CommandUUIDs derive, in microseconds since 1970; ``NEVER`` if unknown.

    Args:
        epoch: start of its current enrollment.
        queued: time at which the profile was last queued.
        asked: time at which a CertificateList was last queued.
    """

    epoch: int = NEVER
    queued: int = NEVER
    asked: int = NEVER

    @classmethod
    def of(cls, record: DeviceRecord) -> Self:
        """Return the times of a device in the ledger."""
        queued = NEVER if record.progress is None else record.progress.queued
        return cls(record.enrollment.epoch, queued, record.enrollment.asked)


class Sender:
    """Queues commands in batches, and halves batches that the MDM server refuses as too large.

    Args:
        channel: connection to the MDM server.
        advance: called after each batch with the number of devices so far.

    Attributes:
        sent: number of devices in all accepted batches.
        notices: notices of the MDM server, in their order.
    """

    def __init__(self, channel: MdmChannel, advance: Callable[[int], None]) -> None:
        self._channel = channel
        self._advance = advance
        self._largest: int | None = None
        self.sent = 0
        self.notices: dict[str, None] = {}

    def send(self, enrollment_ids: Sequence[str], command: Callable[[Sequence[str]], None]) -> None:
        """Call *command* for each batch of these devices.

        Raises:
            DeliveryError: The MDM server did not accept a command.
        """
        batches = deque(self._channel.batches(enrollment_ids))
        while batches:
            batch = batches.popleft()
            if self._largest is not None and len(batch) > self._largest:
                batches.extendleft(reversed(_halves(batch)))
                continue
            try:
                command(batch)
            except BatchTooLargeError:
                if len(batch) == 1:
                    raise
                # The later batches are halved as well, without a request that fails for each of them.
                self._largest = len(batch) - len(batch) // 2
                batches.appendleft(batch)
                continue
            self.sent += len(batch)
            self._advance(self.sent)

    def enqueue(self, batch: Sequence[str], command: bytes) -> None:
        """Queue one command for one batch."""
        self.notices |= dict.fromkeys(self._channel.enqueue(batch, command))

    def install(self, profile: bytes, enrollment_ids: Sequence[str], random_uuid: Callable[[], UUID]) -> None:
        """Queue a profile without a ledger.

        The CommandUUID is random, because a device may have lost a profile that was sent to it. Installing a profile
        twice has no effect.
        """

        def install(batch: Sequence[str]) -> None:
            self.enqueue(batch, install_profile_command(profile, str(random_uuid()).upper()))

        self.send(enrollment_ids, install)


class LedgerSender:
    """Queues the commands of a published profile, and records them.

    A run after an interrupted one uses the same CommandUUIDs, so that no command is queued twice.

    Args:
        sender: queues the commands.
        publication: the published profile.
        clock: returns the time of each command.
        recorder: writes into the ledger while the next command is sent.
    """

    def __init__(self, sender: Sender, publication: Publication, clock: Clock, recorder: Recorder) -> None:
        self._sender = sender
        self._publication = publication
        self._clock = clock
        self._recorder = recorder

    def install(self, targets: Mapping[str, Target], *, is_proof_configured: bool) -> None:
        """Queue the profile, and if proof is configured, also ask for the certificates.

        Raises:
            DeliveryError: The MDM server did not accept a command, or the ledger cannot be used.
        """

        def install(batch: Sequence[str]) -> None:
            devices = {one: (targets[one].epoch, targets[one].queued) for one in batch}
            uuid = command_uuid(self._publication.seed, CommandKind.PROFILE, devices)
            self._sender.enqueue(batch, install_profile_command(self._publication.profile, uuid))
            epochs = {one: targets[one].epoch for one in batch}
            self._recorder.record(EnqueuedCommand(command_uuid=uuid, epochs=epochs, at=self._clock.now()))
            if is_proof_configured:
                self._ask(batch, targets)

        self._sender.send(list(targets), install)

    def send(self, kind: CommandKind, targets: Mapping[str, Target], *, is_proof_configured: bool) -> None:
        """Queue the command of a kind. Raises the errors of :meth:`install`."""
        if kind is CommandKind.LIST:
            self.ask(targets)
        else:
            self.install(targets, is_proof_configured=is_proof_configured)

    def ask(self, targets: Mapping[str, Target]) -> None:
        """Ask devices for their certificates.

        Raises:
            DeliveryError: The MDM server did not accept a command, or the ledger cannot be used.
        """
        self._sender.send(list(targets), partial(self._ask, targets=targets))

    def _ask(self, batch: Sequence[str], targets: Mapping[str, Target]) -> None:
        devices = {one: (targets[one].epoch, targets[one].asked) for one in batch}
        uuid = command_uuid(self._publication.seed, CommandKind.LIST, devices)
        self._sender.enqueue(batch, certificate_list_command(uuid))
        self._recorder.record_asked(batch, at=self._clock.now())


def _halves(batch: Sequence[str]) -> Sequence[Sequence[str]]:
    middle = len(batch) - len(batch) // 2
    return batch[:middle], batch[middle:]
