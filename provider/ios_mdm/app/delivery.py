"""Delivers a configuration profile to devices in batches, once to each device, and records that in the ledger."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4, uuid5

from ios_mdm.app.devices import devices_digest
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.pair.guard import uncovered_versions, unoffered_versions
from ios_mdm.core.pair.layout import (
    OWNER_TAG,
    RESOURCE_ID_TAG,
    SENT_TAG,
    is_profile_sent,
    is_sent_to,
    observed_pair,
    profile_tag,
    sent_value,
    value_without_profile,
)
from ios_mdm.core.pair.secret import trusted_label
from ios_mdm.core.profile import certificate_digests, install_profile_command, trust_profile
from ios_mdm.errors import BatchTooLargeError, DeliveryError, IdentityError, StoreError, TakenOverError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from ios_mdm.core.ledger.values import Publication
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.ports import Clock, Ledger, MdmChannel, SecretStore

__all__ = [
    "Delivery",
    "DeliveryRequest",
    "DeliveryService",
    "Distributor",
    "ProfileContent",
    "check_owner",
    "next_revision",
    "unsent_count",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileContent:
    """The inputs that determine the bytes of a server's profile.

    Args:
        server: name of the server.
        host: connection address without its port.
        identifier: PayloadIdentifier of the profile.
        organization: PayloadOrganization of the profile; None for none.
        trusted: ordinals of the certificates that devices should trust, ascending; None if unknown, as in a preview
            that leaves the pair out.
        chains: PEM chain of each of these certificates, by ordinal; None if unknown, as in a preview of a pair that
            will change.
        sha256: digest of the profile if the chains are unknown; None if it is unknown, or if the chains are known.
    """

    server: str
    host: str
    identifier: str
    organization: str | None
    trusted: tuple[int, ...] | None
    chains: Mapping[int, str] | None
    sha256: str | None = None

    @property
    def digest(self) -> str | None:
        """SHA-256 of the profile, 64 hex digits; None if unknown. Raises the errors of :meth:`profile`."""
        return self.sha256 if self.chains is None else hashlib.sha256(self.profile()).hexdigest()

    def profile(self) -> bytes:
        """Return the .mobileconfig.

        Raises:
            CertificateError: A chain has other contents than certificates, or lacks its root.
            DefinitionError: There is no chain, or a text has characters that a profile cannot contain.
        """
        return trust_profile(
            list((self.chains or {}).values()),
            identifier=self.identifier,
            server=self.server,
            host=self.host,
            organization=self.organization,
        )

    def is_same(self, other: ProfileContent) -> bool:
        """Return whether both contents result in the same profile.

        If chains are unknown, other certificates count as another profile. This can be wrong: certificates under the
        same root need no new profile (R16).
        """
        known, others = self.digest, other.digest
        if known is not None and others is not None:
            return known == others
        is_known, is_other_known = ((one.host, one.identifier, one.organization, one.trusted) for one in (self, other))
        return is_known == is_other_known


def next_revision(before: ProfileContent | None, revision: int, after: ProfileContent) -> int:
    """Return the revision of a server's next profile in the state. It changes with the content.

    Args:
        before: content of the profile that was sent last; None if none was sent.
        revision: revision of that profile.
        after: content of the next profile.
    """
    if before is None:
        return 1
    return revision + (0 if before.is_same(after) else 1)


def unsent_count(ledger: Ledger, server: str, digest: str | None, enrollment_ids: Sequence[str]) -> int:
    """Return the number of devices that were not sent a profile in their current enrollment.

    The result is 0 if the ledger has no record of the profile, for example because the ledger was lost. Then the
    profile is sent again when another one is due.

    Args:
        ledger: the ledger.
        server: name of the server.
        digest: SHA-256 of the profile, 64 hex digits; None if it is unknown.
        enrollment_ids: enrollment ids of the devices.

    Raises:
        DeliveryError: The ledger cannot be used.
    """
    publication = ledger.publication(server)
    if publication is None or publication.digest != digest:
        return 0
    return len(ledger.waiting(server, publication.revision, enrollment_ids=enrollment_ids))


def is_recorded(secret: str, found: SecretDescription, trusted: Sequence[int] | None, now: datetime) -> bool:
    """Return whether the pair's secret records that devices were offered and sent these certificates.

    Args:
        secret: name of the pair's secret.
        found: description of the secret.
        trusted: ordinals of the certificates in the profile; None if unknown: the result is then True.
        now: current time, aware UTC, whole seconds.
    """
    if trusted is None:
        return True
    observed = observed_pair(secret, found)
    return observed.sent == set(trusted) and not unoffered_versions(observed, trusted, now)


def check_owner(secret: str, arn: str, resource_id: str | None, found: SecretDescription | None) -> None:
    """Refuse to send a profile if another resource owns the pair: the profile may lack certificates that are in use.

    Args:
        secret: name of the pair's secret.
        arn: ARN of the pair's secret.
        resource_id: id of the resource that owned the pair in the last run; None if unknown.
        found: the secret of this name; None if there is none.

    Raises:
        IdentityError: The secret does not exist, or has another ARN.
        TakenOverError: Another resource has taken over the pair.
    """
    if found is None or found.arn != arn:
        other = f"there is no secret {secret}" if found is None else f"the secret of this name is {found.arn}"
        raise IdentityError(
            f"the profile is for the pair in secret {arn}, but with the credentials in use, {other}: correct "
            "AWS_PROFILE, AWS_REGION or ios-mdm:aws: {region: …}"
        )
    owner = found.tags.get(RESOURCE_ID_TAG)
    if owner is not None and resource_id is not None and owner != resource_id:
        raise TakenOverError(
            f"the pair in secret {secret} was taken over by the stack {found.tags.get(OWNER_TAG)}, which now sends its "
            "profile: this stack sends no profile"
        )


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


class DeliveryService:
    """Sends the profile of a pair, and records in the pair's secret which certificates were sent to which devices.

    Args:
        channel: returns the connection to the MDM server, with its API key; called once for each delivery.
        store: stores the pairs.
        ledger: the ledger; None if none is kept: device coverage is then unknown.
        clock: returns the time of each command.
        report: receives each line of progress.
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
        random_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self._channel = channel
        self._store = store
        self._random_uuid = random_uuid
        self._ledger = ledger
        self._clock = clock
        self._report = report

    def deliver(self, request: DeliveryRequest, disarm: Callable[[], None] = lambda: None) -> Delivery:
        """Queue the profile for every device that it was not queued for, then record that it was sent (R15).

        Before the MDM server is contacted, each certificate of the profile gets its label ``TRUSTED-<number>`` (R35).
        If there is no device, the MDM server is not contacted, and nothing is recorded.

        If the last profile was not sent to all of these devices, the record of the sent certificates is removed until
        this profile is sent to them. A schedule must not promote a reserve that these devices do not have (R36).

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
        )
        if not request.enrollment_ids:
            check_owner(request.secret, request.secret_arn, request.resource_id, self._store.describe(request.secret))
            self._report("the profile is not sent, because there is no device")
            return delivery
        found = self._mark_offered(request)
        devices = devices_digest(request.enrollment_ids)
        is_known = self._ledger is None and request.is_channel_same and is_sent_to(found.tags, devices)
        if is_known and is_profile_sent(found.tags, _recorded_digest(request, delivery)):
            self._report("the profile has not changed, so no device is sent it again")
        else:
            self._send(request, delivery, found, disarm)
        self._record_sent(request, delivery, found)
        return delivery

    def _send(
        self, request: DeliveryRequest, delivery: Delivery, found: SecretDescription, disarm: Callable[[], None]
    ) -> None:
        """Queue the profile for every device that it was not queued for.

        The record of another profile or of other devices is removed before the first command, because this run can be
        interrupted after some commands.
        """
        distributor = Distributor(
            self._channel(), self._ledger, self._clock, report=self._report, random_uuid=self._random_uuid
        )
        without_profile = value_without_profile(found.tags)
        if not is_sent_to(found.tags, devices_digest(request.enrollment_ids)) and distributor.waiting(delivery):
            self._store.untag(request.secret, [SENT_TAG])
            disarm()
        elif without_profile is not None and not is_profile_sent(found.tags, _recorded_digest(request, delivery)):
            self._store.tag(request.secret, {SENT_TAG: without_profile})
        distributor.distribute(delivery)

    def _mark_offered(self, request: DeliveryRequest) -> SecretDescription:
        """Label each certificate of the profile as offered, and record the identifier of the profile.

        The profile is refused if it lacks a certificate that another run has concurrently offered or put into a slot.

        Returns:
            The description of the secret before these changes.
        """
        found = self._store.describe(request.secret)
        check_owner(request.secret, request.secret_arn, request.resource_id, found)
        assert found is not None  # noqa: S101 - checked
        observed, now = observed_pair(request.secret, found), self._clock.now()
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
            self._store.move_label(request.secret, label, to=version.version_id, current=current)
        identifiers = {request.content.identifier, *([request.former_identifier] if request.former_identifier else [])}
        records = {profile_tag(identifier): identifier for identifier in identifiers}
        lost = {key: value for key, value in records.items() if found.tags.get(key) != value}
        if lost:
            self._store.tag(request.secret, lost)
        return found

    def _record_sent(self, request: DeliveryRequest, delivery: Delivery, found: SecretDescription) -> None:
        """Record the sent certificates and the devices in the pair's secret.

        Before main expires, only a reserve with this record is promoted, or one under a root that the record covers.
        Without a ledger, the record also has the profile, so that it is not sent twice.
        """
        value = sent_value(
            request.content.trusted or (),
            devices=devices_digest(request.enrollment_ids),
            profile="" if self._ledger is not None else _recorded_digest(request, delivery),
        )
        if found.tags.get(SENT_TAG) != value:
            self._store.tag(request.secret, {SENT_TAG: value})


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


def _recorded_digest(request: DeliveryRequest, delivery: Delivery) -> str:
    """Return the digest in the record of a sent profile, 64 hex digits.

    It depends on the MDM server. After a take-over, or with a restored state, the last run of this state can have used
    another MDM server than the run that wrote the record.
    """
    return hashlib.sha256(f"{request.channel} {delivery.digest}".encode()).hexdigest()


def _halves(batch: Sequence[str]) -> Sequence[Sequence[str]]:
    middle = len(batch) - len(batch) // 2
    return batch[:middle], batch[middle:]
