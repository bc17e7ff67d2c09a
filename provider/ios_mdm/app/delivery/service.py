"""Delivers the profile of a pair, and records in the pair's secret which certificates devices were sent."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from ios_mdm.app.delivery.distributor import Delivery, Distributor
from ios_mdm.app.delivery.secret_record import check_owner
from ios_mdm.app.delivery.shared_ledger import other_pair_warning
from ios_mdm.app.devices import devices_digest
from ios_mdm.core.ledger.overdue import LedgerRules
from ios_mdm.core.pair.guard import uncovered_versions, unoffered_versions
from ios_mdm.core.pair.layout import (
    ARMED_TAG,
    SENT_TAG,
    is_profile_sent,
    is_sent_to,
    observed_pair,
    profile_tag,
    sent_value,
    value_without_profile,
)
from ios_mdm.core.pair.secret import trusted_label
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from ios_mdm.app.delivery.content import ProfileContent
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.ports import Clock, Ledger, MdmChannel, SecretStore

__all__ = ["DeliveryRequest", "DeliveryService", "mark_offered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRequest:
    """One server's profile, and the devices that get it.

    Args:
        content: content of the profile.
        secret: name of the pair's secret, which records the certificates that were sent.
        secret_arn: ARN of that secret.
        resource_id: id of the resource that owns the pair, 32 hex digits; None if unknown.
        former_identifier: PayloadIdentifier of the profile that was sent last; None if none was sent.
        enrollment_ids: enrollment ids of the devices, without duplicates.
        listed: path of the file of devices in the definition; None if the definition names no such file.
        is_channel_same: whether the last run used the same MDM server. Without a ledger, a profile that the secret
            records as sent to these devices is then not sent again.
        channel: URL of the MDM server.
        is_for_all: whether the definition takes its devices from the ledger.
    """

    content: ProfileContent
    secret: str
    secret_arn: str
    resource_id: str | None
    enrollment_ids: Sequence[str]
    former_identifier: str | None = None
    listed: str | None = None
    is_channel_same: bool = False
    channel: str = ""
    is_for_all: bool = False


class DeliveryService:
    """Sends the profile of a pair, and records in the pair's secret which certificates were sent to which devices.

    Args:
        channel: returns the connection to the MDM server, with its API key; called once for each delivery.
        store: stores the pairs.
        ledger: the ledger; None if none is kept: device coverage is then unknown.
        clock: returns the time of each command.
        report: receives each line of progress.
        warn: receives each warning; None for *report*.
        rules: settings of the ledger.
        random_uuid: returns a unique UUID.
    """

    def __init__(
        self,
        channel: Callable[[], MdmChannel],
        store: SecretStore,
        ledger: Ledger | None,
        clock: Clock,
        *,
        report: Callable[[str], None],
        warn: Callable[[str], None] | None = None,
        rules: LedgerRules | None = None,
        random_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self._channel = channel
        self._store = store
        self._random_uuid = random_uuid
        self._ledger = ledger
        self._clock = clock
        self._report = report
        self._warn = warn or report
        self._rules = rules or LedgerRules()

    def deliver(self, request: DeliveryRequest, disarm: Callable[[], None] = lambda: None) -> Delivery:
        """Queue the profile for every device that it was not queued for, then record that it was sent (R15).

        Before the MDM server is contacted, each certificate of the profile gets its label ``TRUSTED-<number>`` (R35).
        If there is no device, the MDM server is not contacted, and nothing is recorded.

        If the last profile was not sent to all of these devices by the same MDM server, the record of the sent
        certificates is removed until this profile is sent to them. A schedule must not promote a reserve that these
        devices do not have (R36).

        A renewal under the same root and issuers does not change the profile. Then no device is sent it again (R49).

        Args:
            request: the profile, and the devices that get it.
            disarm: called after the record was removed; deletes a schedule that needs the record.

        Raises:
            IdentityError: The pair's secret does not exist, or has another ARN.
            TakenOverError: Another resource has taken over the pair.
            StoreError: The pair was changed concurrently: the profile lacks a certificate that devices must trust.
            DeliveryError: The MDM server did not accept the profile for all devices. The message has the number of
                devices that it is queued for.
            DefinitionError: The profile cannot be created, or the API key is missing.
        """
        delivery = Delivery(
            server=request.content.server,
            profile=request.content.profile(),
            enrollment_ids=request.enrollment_ids,
            listed=request.listed,
            channel=request.channel,
            is_for_all=request.is_for_all,
        )
        self._delete_devices(kept=request.enrollment_ids)
        if not request.enrollment_ids:
            check_owner(request.secret, request.secret_arn, request.resource_id, self._store.describe(request.secret))
            self._report("the profile is not sent, because there is no device")
            return delivery
        found = mark_offered(self._store, request, self._clock.now())
        devices = _recorded_devices(request)
        is_known = self._ledger is None and request.is_channel_same and is_sent_to(found.tags, devices)
        if is_known and is_profile_sent(found.tags, _recorded_digest(request, delivery)):
            self._report("the profile has not changed, so no device is sent it again")
        else:
            self._warn_of_another_pair(request)
            self._send(request, delivery, found, disarm)
        self._record_sent(request, delivery, found)
        return delivery

    def _warn_of_another_pair(self, request: DeliveryRequest) -> None:
        if self._ledger is None:
            return
        identifiers = {request.content.identifier, *filter(None, [request.former_identifier])}
        warning = other_pair_warning(self._ledger.publication(request.content.server), identifiers)
        if warning is not None:
            self._warn(warning)

    def _delete_devices(self, *, kept: Sequence[str]) -> None:
        """Delete the records of the devices that checked out some days ago, apart from those of the definition."""
        if self._ledger is None:
            return
        days = self._rules.retention_days
        count = self._ledger.delete_devices(left_before=self._clock.now() - timedelta(days=days), kept=kept)
        if count:
            self._report(f"the records of {count} devices that checked out over {days} days ago were deleted")

    def _send(
        self, request: DeliveryRequest, delivery: Delivery, found: SecretDescription, disarm: Callable[[], None]
    ) -> None:
        """Queue the profile for every device that it was not queued for.

        The record of another profile or of other devices is removed before the first command, because this run can be
        interrupted after some commands.
        """
        without_profile = value_without_profile(found.tags)
        with contextlib.closing(self._channel()) as channel:
            distributor = Distributor(
                channel,
                self._ledger,
                self._clock,
                report=self._report,
                warn=self._warn,
                rules=self._rules,
                random_uuid=self._random_uuid,
            )
            # A run that was interrupted after it had removed the record might not have disarmed the switch.
            is_removed = SENT_TAG not in found.tags and ARMED_TAG in found.tags
            is_other = not is_sent_to(found.tags, _recorded_devices(request))
            if (is_other or is_removed) and distributor.has_waiting(delivery):
                self._store.untag(request.secret, [SENT_TAG])
                disarm()
            elif without_profile is not None and not is_profile_sent(found.tags, _recorded_digest(request, delivery)):
                self._store.tag(request.secret, {SENT_TAG: without_profile})
            distributor.distribute(delivery)

    def _record_sent(self, request: DeliveryRequest, delivery: Delivery, found: SecretDescription) -> None:
        """Record the sent certificates and the devices in the pair's secret.

        Before main expires, only a reserve with this record is promoted, or one under a root that the record covers.
        Without a ledger, the record also has the profile, so that it is not sent twice.
        """
        value = sent_value(
            request.content.trusted or (),
            devices=_recorded_devices(request),
            profile="" if self._ledger is not None else _recorded_digest(request, delivery),
        )
        if found.tags.get(SENT_TAG) != value:
            self._store.tag(request.secret, {SENT_TAG: value})


def mark_offered(store: SecretStore, request: DeliveryRequest, now: datetime) -> SecretDescription:
    """Label each certificate of the profile as offered, and record the identifier of the profile.

    The profile is refused if it lacks a certificate that another run has concurrently offered or put into a slot.

    Args:
        store: stores the pairs.
        request: the profile.
        now: current time, aware UTC.

    Returns:
        The description of the secret before these changes.

    Raises:
        IdentityError: The pair's secret does not exist, or has another ARN.
        TakenOverError: Another resource has taken over the pair.
        StoreError: The pair was changed concurrently: the profile lacks a certificate that devices must trust.
    """
    found = store.describe(request.secret)
    check_owner(request.secret, request.secret_arn, request.resource_id, found)
    assert found is not None  # noqa: S101 - checked
    observed = observed_pair(request.secret, found)
    trusted = request.content.trusted or ()
    missing = uncovered_versions(observed, trusted, now)
    if missing:
        names = ", ".join(f"certificate {version.ordinal}" for version in missing)
        raise StoreError(
            f"secret {request.secret}: the pair was changed concurrently, so the profile for "
            f"{request.content.server} does not cover {names}, which devices must trust. Nothing was sent: run "
            "again"
        )
    for version in unoffered_versions(observed, trusted, now):
        label = trusted_label(version.ordinal or 0)
        holder = observed.holder(label)
        current = None if holder is None else holder.version_id
        store.move_label(request.secret, label, to=version.version_id, current=current)
    identifiers = {request.content.identifier, *([request.former_identifier] if request.former_identifier else [])}
    records = {profile_tag(identifier): identifier for identifier in identifiers}
    lost = {key: value for key, value in records.items() if found.tags.get(key) != value}
    if lost:
        store.tag(request.secret, lost)
    return found


def _recorded_devices(request: DeliveryRequest) -> str:
    """Return the digest in the record of the devices that were sent a profile, 64 hex digits.

    It depends on the MDM server: a device of another one was not sent the profile, although it may have the same id.
    """
    return hashlib.sha256(f"{request.channel} {devices_digest(request.enrollment_ids)}".encode()).hexdigest()


def _recorded_digest(request: DeliveryRequest, delivery: Delivery) -> str:
    """Return the digest in the record of a sent profile, 64 hex digits.

    It depends on the MDM server. After a take-over, or with a restored state, the last run of this state can have used
    another MDM server than the run that wrote the record.
    """
    return hashlib.sha256(f"{request.channel} {delivery.digest}".encode()).hexdigest()
