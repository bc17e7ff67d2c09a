"""Delivers a configuration profile to devices: in batches, to each device once, recorded in the ledger."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4, uuid5

from ios_mdm.app.confirm import confirmed
from ios_mdm.app.devices import devices_digest
from ios_mdm.core.pair.guard import uncovered, unoffered
from ios_mdm.core.pair.layout import (
    OWNER_TAG,
    RESOURCE_ID_TAG,
    SENT_TAG,
    is_sent_to,
    observed_pair,
    profile_tag,
    sent_value,
)
from ios_mdm.core.pair.secret import trusted_label
from ios_mdm.core.profile import install_profile_command, trust_profile
from ios_mdm.errors import BatchTooLargeError, DeliveryError, IdentityError, StoreError, TakenOverError
from ios_mdm.ports import DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

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
]

_NAMESPACE = UUID("0f3f4f0e-2f63-5b7e-8d53-9a6a6f0a6d0b")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileContent:
    """What decides the bytes of a server's profile.

    Args:
        server: its name.
        host: the connection address without its port.
        identifier: PayloadIdentifier of the profile.
        organization: that provides the profile; None for none.
        trusted: ordinals of the certificates that devices should trust, ascending; None while they are unknown, as in a
            preview that leaves the pair out.
        chains: the PEM chain of each of them, by ordinal; None while they are unknown, as in a preview of a pair that
            is yet to be changed.
        sha256: digest of the profile if the chains are unknown; None if it is unknown, or follows from the chains.
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
        """SHA-256 of the profile, 64 hex digits; None while it is unknown. Raises as :meth:`profile`."""
        return self.sha256 if self.chains is None else hashlib.sha256(self.profile()).hexdigest()

    def profile(self) -> bytes:
        """Return the .mobileconfig.

        Raises:
            CertificateError: A chain holds anything besides certificates, or lacks its root.
            DefinitionError: There is no chain, or a text cannot be in a profile.
        """
        return trust_profile(
            list((self.chains or {}).values()),
            identifier=self.identifier,
            server=self.server,
            host=self.host,
            organization=self.organization,
        )

    def is_same(self, other: ProfileContent) -> bool:
        """Return whether both give the same profile.

        While the chains are unknown, other certificates count as another profile. They need not be one: certificates
        under one root need no new profile (R16).
        """
        mine, others = self.digest, other.digest
        if mine is not None and others is not None:
            return mine == others
        mine_is, other_is = ((one.host, one.identifier, one.organization, one.trusted) for one in (self, other))
        return mine_is == other_is


def next_revision(before: ProfileContent | None, revision: int, after: ProfileContent, ledger: Ledger | None) -> int:
    """Return the number of a server's profile: another content has another number.

    The first one is above what a stack that was destroyed since has sent. A number that came back would be a
    CommandUUID that comes back, and the MDM server would take the new command for a repetition.

    Args:
        before: the profile that was sent last; None if none was.
        revision: its number.
        after: the profile that is sent next.
        ledger: None if none is kept.
    """
    if before is None:
        return 1 + (0 if ledger is None else ledger.commands(after.server))
    return revision + (0 if before.is_same(after) else 1)


def is_recorded(secret: str, found: SecretDescription, trusted: Sequence[int] | None, now: datetime) -> bool:
    """Return whether the pair's secret records that devices were offered and sent these certificates.

    True if they are unknown.

    Args:
        secret: name of the pair's secret.
        found: the secret.
        trusted: ordinals of the certificates in the profile; None while they are unknown.
        now: aware UTC, whole seconds.
    """
    if trusted is None:
        return True
    observed = observed_pair(secret, found)
    return observed.sent == set(trusted) and not unoffered(observed, trusted, now)


def check_owner(secret: str, arn: str, resource_id: str | None, found: SecretDescription | None) -> None:
    """Refuse to send a profile if another resource owns the pair: it may lack certificates that are in use.

    Args:
        secret: name of the pair's secret.
        arn: its ARN.
        resource_id: of the resource that owns the pair; None if it is not known.
        found: the secret of this name; None if there is none.

    Raises:
        IdentityError: The secret does not exist, or is another one.
        TakenOverError: The pair belongs to another resource now.
    """
    if found is None or found.arn != arn:
        other = f"there is no secret {secret}" if found is None else f"this name is the secret {found.arn}"
        raise IdentityError(
            f"the profile is for the pair in secret {arn}, but for the credentials in use {other}: correct "
            "AWS_PROFILE, AWS_REGION or ios-mdm:aws: {region: …}"
        )
    owner = found.tags.get(RESOURCE_ID_TAG)
    if owner is not None and resource_id is not None and owner != resource_id:
        raise TakenOverError(
            f"the pair in secret {secret} was taken over by the stack {found.tags.get(OWNER_TAG)}, which sends its "
            "profile: this stack sends none"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRequest:
    """One server's profile, and who gets it.

    Args:
        content: of the profile.
        revision: the number of the profile, from :func:`next_revision`.
        secret: name of the pair's secret, which records what was sent.
        secret_arn: its ARN.
        resource_id: of the resource that owns the pair, 32 hex digits.
        former_identifier: PayloadIdentifier of the profile that was sent last; None if none was.
        enrollment_ids: of the devices, without duplicates.
        listed: the file that the definition takes the devices from; None if it takes them from elsewhere.
    """

    content: ProfileContent
    revision: int
    secret: str
    secret_arn: str
    resource_id: str | None
    enrollment_ids: Sequence[str]
    former_identifier: str | None = None
    listed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One profile on its way to the devices of one server.

    Args:
        server: its name.
        profile: the .mobileconfig.
        revision: counts the profiles of this server from 1. A profile that comes back after another one is sent
            again: its content is the same, its revision is not.
        enrollment_ids: of the devices, without duplicates.
        resource_id: of the resource that owns the pair, 32 hex digits; None if it is not known.
        listed: the file that the definition takes the devices from; None if it takes them from elsewhere.
    """

    server: str
    profile: bytes
    revision: int
    enrollment_ids: Sequence[str]
    resource_id: str | None = None
    listed: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the profile, 64 hex digits."""
        return hashlib.sha256(self.profile).hexdigest()


class DeliveryService:
    """Sends the profile of a pair, and records in the pair's secret what was sent.

    Args:
        channel: returns the connection to the MDM server, with its API key; called once for each delivery.
        store: where pairs are kept.
        ledger: None if none is kept; device coverage is then unknown.
        clock: read when something is sent.
        report: receives each line of progress.
        random_uuid: returns a UUID that no command has had.
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
        Without a device, the MDM server is not contacted, and nothing is recorded.

        If devices are on the list that the last profile was not sent to, the record of what was sent is removed until
        they were sent this one: a reserve that they do not have must not become main by a schedule (R36).

        Args:
            request: the profile, and who gets it.
            disarm: called after the record was removed; deletes a schedule that needs the record.

        Raises:
            IdentityError: The pair's secret does not exist, or is another one.
            TakenOverError: The pair belongs to another resource now.
            StoreError: The pair was changed concurrently: the profile does not cover what devices must trust.
            DeliveryError: The MDM server did not take it; the message says for how many devices it did.
            DefinitionError: The profile cannot be made, or the API key is missing.
        """
        delivery = Delivery(
            server=request.content.server,
            profile=request.content.profile(),
            revision=request.revision,
            enrollment_ids=request.enrollment_ids,
            resource_id=request.resource_id,
            listed=request.listed,
        )
        if not request.enrollment_ids:
            check_owner(request.secret, request.secret_arn, request.resource_id, self._store.describe(request.secret))
            self._report("there is no device to send the profile to")
            return delivery
        found = self._offered(request)
        distributor = Distributor(
            self._channel(), self._ledger, self._clock, report=self._report, random_uuid=self._random_uuid
        )
        if not is_sent_to(found.tags, devices_digest(request.enrollment_ids)) and distributor.waiting(delivery):
            self._store.untag(request.secret, [SENT_TAG])
            self._confirm_sent(request.secret, None)
            disarm()
        distributor.distribute(delivery)
        self._record_sent(request, found)
        return delivery

    def _offered(self, request: DeliveryRequest) -> SecretDescription:
        """Label each certificate of the profile as offered, and record the identifier of the profile.

        The profile is refused if it lacks a certificate that another run has offered or put into a slot meanwhile.

        Returns:
            The secret as it was before.
        """
        found = self._store.describe(request.secret)
        check_owner(request.secret, request.secret_arn, request.resource_id, found)
        assert found is not None  # noqa: S101 - checked
        observed, now = observed_pair(request.secret, found), self._clock.now()
        trusted = request.content.trusted or ()
        missing = uncovered(observed, trusted, now)
        if missing:
            names = ", ".join(f"certificate {version.ordinal}" for version in missing)
            raise StoreError(
                f"secret {request.secret}: the pair was changed concurrently: the profile for {request.content.server} "
                f"does not cover {names}, which devices must trust. Nothing was sent: run again"
            )
        for version in unoffered(observed, trusted, now):
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

    def _record_sent(self, request: DeliveryRequest, found: SecretDescription) -> None:
        """Tag the pair's secret: before main expires, only a reserve that devices were sent is promoted."""
        value = sent_value(request.content.trusted or (), devices=devices_digest(request.enrollment_ids))
        if found.tags.get(SENT_TAG) != value:
            self._store.tag(request.secret, {SENT_TAG: value})
            self._confirm_sent(request.secret, value)

    def _confirm_sent(self, secret: str, value: str | None) -> None:
        """Wait until reads show the record: the switch is decided from it next."""

        def is_shown(found: SecretDescription | None) -> bool:
            return found is None or found.tags.get(SENT_TAG) == value

        confirmed(lambda: self._store.describe(secret), is_shown)


class Distributor:
    """Sends profiles.

    Args:
        channel: to the MDM server.
        ledger: None where none is kept; then nobody can tell who has the profile.
        clock: gives the time at which something was sent.
        report: takes a line of progress.
        random_uuid: returns a UUID that no command has had.
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
        """Queue the profile for every device that it was not queued for, and return for how many.

        Raises:
            DeliveryError: The MDM server did not take it; the message says for how many devices it had.
        """
        waiting = self.waiting(delivery)
        # Once for all batches: each of them is recorded.
        is_recorded = bool(waiting) and self._ledger is not None and self._ledger.commands(delivery.server) > 0
        notices: dict[str, None] = {}
        sent = 0
        batches = deque(self._channel.batches(waiting))
        largest = len(waiting)
        while batches:
            batch = batches.popleft()
            if len(batch) > largest:
                batches.extendleft(reversed(_halves(batch)))
                continue
            command_uuid = self._command_uuid(delivery, batch, is_recorded=is_recorded)
            try:
                notices |= dict.fromkeys(
                    self._channel.enqueue(batch, install_profile_command(delivery.profile, command_uuid))
                )
            except DeliveryError as error:
                if isinstance(error, BatchTooLargeError) and len(batch) > 1:
                    # The later batches are halved, too, without a request that fails for each of them.
                    largest = len(batch) - len(batch) // 2
                    batches.appendleft(batch)
                    continue
                done = len(delivery.enrollment_ids) - len(waiting) + sent
                where = "" if delivery.listed is None else f" in {delivery.listed}"
                raise DeliveryError(
                    f"{error}. The pair itself is stored; the profile is queued for {done} of "
                    f"{len(delivery.enrollment_ids)} devices{where}, and the next `pulumi up` continues there"
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

    def waiting(self, delivery: Delivery) -> list[str]:
        """Return the devices that the profile is not recorded to be queued for: all of them without a ledger."""
        if self._ledger is None:
            return list(delivery.enrollment_ids)
        coverage = self._ledger.coverage(
            server=delivery.server, profile=delivery.digest, enrollment_ids=delivery.enrollment_ids
        )
        return [device.enrollment_id for device in coverage.devices if device.status is DeliveryStatus.NOT_SENT]

    def _command_uuid(self, delivery: Delivery, batch: Sequence[str], *, is_recorded: bool) -> str:
        """Return the CommandUUID of a batch.

        With a ledger it is equal when a crashed run is repeated, so that nothing is queued twice. After a take-over it
        differs: the ledger of the new owner does not know which revisions were sent before. Without a ledger it is
        random: it is unknown which devices were sent the profile, a device may have lost it since, and the MDM server
        drops a repeated CommandUUID. A profile that is installed twice does no harm. A ledger without a command for
        this server counts as none: its file may be lost after each run, as in a pipeline.

        Args:
            delivery: the profile.
            batch: the devices.
            is_recorded: whether the ledger knew commands for this server before this run.
        """
        if not is_recorded:
            return str(self._random_uuid()).upper()
        what = f"{delivery.resource_id}/{delivery.server}/{delivery.revision}/{delivery.digest}/{','.join(batch)}"
        return str(uuid5(_NAMESPACE, what)).upper()


def _halves(batch: Sequence[str]) -> Sequence[Sequence[str]]:
    middle = len(batch) - len(batch) // 2
    return batch[:middle], batch[middle:]
