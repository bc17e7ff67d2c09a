"""Writes the profile of a pair to files, and records that devices have it when the administrator confirms that (R36).

Another tool distributes the files, so this program cannot know which devices have the profile. Writing a file is not
sending: without a confirmation, no reserve in the profile is armed or promoted before main expires.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from ios_mdm.app.delivery.distributor import Delivery
from ios_mdm.app.delivery.service import mark_offered
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.guard import unoffered_versions
from ios_mdm.core.pair.layout import SENT_TAG, is_profile_sent, is_sent_to, observed_pair, sent_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ios_mdm.app.delivery.service import DeliveryRequest
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.ports import Clock, ProfileDirectory, SecretStore
    from ios_mdm.settings.channels.channel import FileChannelSettings

__all__ = ["FileDeliveryService", "confirmation_notice", "is_record_correct"]

_DEVICES: Final = hashlib.sha256(b"the devices of another tool").hexdigest()
"""Stands for the unknown device list, so that a record of a confirmation differs from that of any sent profile."""
_KEY: Final = "distribution.channel.directory.distributed"


def is_record_correct(
    secret: str,
    found: SecretDescription,
    trusted: Sequence[int] | None,
    now: datetime,
    *,
    digest: str | None,
    confirmed: str | None,
) -> bool:
    """Return whether the pair's secret records what the definition confirms, and that devices were offered the profile.

    Args:
        secret: name of the pair's secret.
        found: description of the secret.
        trusted: ordinals of the certificates in the profile; None if unknown: the result is then True.
        now: current time, aware UTC, whole seconds.
        digest: SHA-256 of the profile, 64 hex digits; None if unknown.
        confirmed: SHA-256 of the profile that the devices have, as the definition confirms; None for none.
    """
    if trusted is None or digest is None:
        return True
    if unoffered_versions(observed_pair(secret, found), trusted, now):
        return False
    if confirmed == digest:
        return found.tags.get(SENT_TAG) == _record(trusted, digest)
    return not _is_stale(found.tags, confirmed)


def confirmation_notice(settings: FileChannelSettings, digest: str | None) -> Notice | None:
    """Return the notice about a profile that is not confirmed yet, with what to do; None if it is or may be confirmed.

    Args:
        settings: settings of the channel.
        digest: SHA-256 of the current profile, 64 hex digits; None if it is unknown, as in a preview of a change.
    """
    if settings.confirmed_digest is not None and digest in {None, settings.confirmed_digest}:
        return None
    named = "its SHA-256, which `up` writes to manifest.json" if digest is None else digest
    other = "" if settings.confirmed_digest is None else f" It is now {settings.confirmed_digest}, another profile."
    return Notice(
        reason="unconfirmed-profile",
        severity=Severity.WARNING,
        message=f"the profile in {settings.destination} is not confirmed as distributed: distribute it to every device "
        f"with your MDM server, then set {_KEY} to {named}.{other} Until then, no certificate that is new in this "
        "profile becomes main before main expires",
    )


class FileDeliveryService:
    """Writes the profile of a pair to files.

    Args:
        directory: returns the place of the files; called once for each delivery.
        settings: settings of the channel.
        store: stores the pairs.
        clock: returns the current time.
        report: receives each line of progress.
    """

    def __init__(
        self,
        directory: Callable[[], ProfileDirectory],
        settings: FileChannelSettings,
        store: SecretStore,
        clock: Clock,
        *,
        report: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._store = store
        self._clock = clock
        self._report = report

    def deliver(self, request: DeliveryRequest, disarm: Callable[[], None] = lambda: None) -> Delivery:
        """Write the profile, then record that devices have it if the definition confirms this profile.

        Before a file is written, each certificate of the profile gets its label ``TRUSTED-<number>`` (R35). A record
        that the definition does not confirm, for example of devices of a former MDM server, is removed.

        Args:
            request: the profile; it has no devices.
            disarm: called after a record was removed; deletes a schedule that needs the record.

        Raises:
            IdentityError: The pair's secret does not exist, or has another ARN.
            TakenOverError: Another resource has taken over the pair.
            StoreError: The pair was changed concurrently: the profile lacks a certificate that devices must trust.
            DeliveryError: A file cannot be written, or was not written by this program.
            DefinitionError: The profile cannot be created.
        """
        delivery = Delivery(server=request.content.server, profile=request.content.profile(), enrollment_ids=())
        confirmed = self._settings.confirmed_digest
        found = mark_offered(self._store, request, self._clock.now())
        if confirmed != delivery.digest and _is_stale(found.tags, confirmed):
            self._store.untag(request.secret, [SENT_TAG])
            disarm()
        directory = self._directory()
        notices = directory.publish(delivery.profile, server=delivery.server, host=request.content.host)
        for notice in notices or (f"the files in {self._settings.destination} have not changed",):
            self._report(notice)
        if confirmed != delivery.digest:
            unconfirmed = confirmation_notice(self._settings, delivery.digest)
            assert unconfirmed is not None  # noqa: S101 - the definition confirms another profile
            self._report(unconfirmed.message)
            return delivery
        record = _record(request.content.trusted or (), delivery.digest)
        if found.tags.get(SENT_TAG) != record:
            self._store.tag(request.secret, {SENT_TAG: record})
        return delivery


def _record(trusted: Sequence[int], digest: str) -> str:
    return sent_value(trusted, devices=_DEVICES, profile=digest)


def _is_stale(tags: Mapping[str, str], confirmed: str | None) -> bool:
    """Return whether the secret has a record of a profile that the definition does not confirm.

    A record of an earlier profile stays while the definition confirms that profile: devices trust its certificates.
    """
    if SENT_TAG not in tags:
        return False
    return confirmed is None or not (is_sent_to(tags, _DEVICES) and is_profile_sent(tags, confirmed))
