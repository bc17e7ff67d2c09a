"""Sends a configuration profile to devices, and sends it again to devices that do not answer."""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from ios_mdm.app.delivery.due import overdue_targets, parts, waiting_targets
from ios_mdm.app.delivery.progress import Progress
from ios_mdm.app.delivery.recorder import Recorder
from ios_mdm.app.delivery.sender import LedgerSender, Sender
from ios_mdm.core.ledger.overdue import CommandKind, LedgerRules
from ios_mdm.core.profile import certificate_digests
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
        channel: URL of the MDM server.
        is_for_all: whether the definition takes its devices from the ledger.
    """

    server: str
    profile: bytes
    enrollment_ids: Sequence[str]
    listed: str | None = None
    channel: str = ""
    is_for_all: bool = False

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
        warn: receives each warning; None for *report*.
        rules: settings of the ledger.
        random_uuid: returns a unique UUID.
        monotonic: returns seconds, for the times at which progress is reported.
    """

    def __init__(
        self,
        channel: MdmChannel,
        ledger: Ledger | None,
        clock: Clock,
        *,
        report: Callable[[str], None],
        warn: Callable[[str], None] | None = None,
        rules: LedgerRules | None = None,
        random_uuid: Callable[[], UUID] = uuid4,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._random_uuid = random_uuid
        self._channel = channel
        self._ledger = ledger
        self._clock = clock
        self._report = report
        self._warn = warn or report
        self._rules = rules or LedgerRules()
        self._monotonic = monotonic

    def distribute(self, delivery: Delivery) -> int:
        """Queue the profile for every device that it was not queued for; return the number of these devices.

        Afterwards, devices that failed or did not answer for some days are sent a command again. If this fails, there
        is only a warning, because the switch must not wait for these devices.

        Raises:
            DeliveryError: The MDM server did not accept the profile for all devices. The message has the number of
                devices that it is queued for.
        """
        count = len(delivery.enrollment_ids)
        progress = Progress(self._report, self._monotonic)
        sender = Sender(
            self._channel, lambda sent: progress.show(lambda: f"queued for {sent} of {count} devices so far")
        )
        publication = None if self._ledger is None else self._publish(delivery, self._ledger)
        try:
            self._send(delivery, publication, sender)
        except DeliveryError as error:
            raise self._failure(error, delivery, sender.sent) from error
        sent = sender.sent
        again = dict.fromkeys(CommandKind, 0)
        if publication is not None and self._ledger is not None:
            try:
                self._send_again(delivery, publication, self._ledger, sender, again)
            except DeliveryError as error:
                self._warn(
                    f"{error}. The profile is queued for all {count} devices, but not again for each device that "
                    "failed or did not answer: run `pulumi up` again to continue"
                )
        for notice in sender.notices:
            self._report(notice)
        self._report(
            f"profile queued for {sent} of {count} devices"
            if sent
            else f"the profile was already queued for all {count} devices"
        )
        if again[CommandKind.PROFILE]:
            self._report(f"profile queued again for {again[CommandKind.PROFILE]} devices that failed or did not answer")
        if again[CommandKind.LIST]:
            self._report(f"{again[CommandKind.LIST]} devices are asked again for their certificates")
        return sent

    def has_waiting(self, delivery: Delivery) -> bool:
        """Return whether there is a device that the profile was not queued for. Without a ledger, all count."""
        revision = self._published_revision(delivery)
        return any(
            waiting_targets(self._ledger, delivery.server, revision, part) for part in parts(delivery.enrollment_ids)
        )

    def _published_revision(self, delivery: Delivery) -> int | None:
        """Return the revision of the profile in the ledger; None if it is not published, or without a ledger."""
        found = None if self._ledger is None else self._ledger.publication(delivery.server)
        return found.revision if found is not None and found.is_same(delivery.profile, delivery.channel) else None

    def _publish(self, delivery: Delivery, ledger: Ledger) -> Publication:
        """Record in the ledger that devices are sent this profile."""
        return ledger.publish(
            delivery.server,
            delivery.profile,
            certificates=certificate_digests(delivery.profile),
            seed=self._random_uuid(),
            at=self._clock.now(),
            channel=delivery.channel,
            is_for_all=delivery.is_for_all,
        )

    def _send(self, delivery: Delivery, publication: Publication | None, sender: Sender) -> None:
        """Queue the profile for the devices that it was not queued for."""
        if self._ledger is None or publication is None:
            for part in parts(delivery.enrollment_ids):
                sender.install(delivery.profile, part, self._random_uuid)
            return
        with Recorder(self._ledger, publication) as recorder:
            commands = LedgerSender(sender, publication, self._clock, recorder)
            for part in parts(delivery.enrollment_ids):
                targets = waiting_targets(self._ledger, delivery.server, publication.revision, part)
                commands.install(targets, is_proof_configured=self._rules.is_proof_configured)

    def _send_again(
        self,
        delivery: Delivery,
        publication: Publication,
        ledger: Ledger,
        sender: Sender,
        again: dict[CommandKind, int],
    ) -> None:
        """Send commands again to the devices that failed or did not answer; count them in *again*."""
        with Recorder(ledger, publication) as recorder:
            commands = LedgerSender(sender, publication, self._clock, recorder)
            for kind, targets in overdue_targets(
                ledger, publication, delivery.enrollment_ids, rules=self._rules, now=self._clock.now()
            ):
                commands.send(kind, targets, is_proof_configured=self._rules.is_proof_configured)
                again[kind] += len(targets)

    def _failure(self, error: DeliveryError, delivery: Delivery, sent: int) -> DeliveryError:
        """Return the error with the number of devices that the profile is queued for."""
        count = len(delivery.enrollment_ids)
        if self._ledger is not None:
            with contextlib.suppress(DeliveryError):  # the ledger itself may have failed
                revision = self._published_revision(delivery)
                waiting = (
                    waiting_targets(self._ledger, delivery.server, revision, part)
                    for part in parts(delivery.enrollment_ids)
                )
                sent = count - sum(map(len, waiting))
        where = "" if delivery.listed is None else f" in {delivery.listed}"
        return DeliveryError(
            f"{error}. The pair is stored, and the profile is queued for {sent} of {count} devices{where}: run "
            "`pulumi up` again to continue with the others"
        )
