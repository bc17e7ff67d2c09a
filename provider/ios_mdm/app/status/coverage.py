"""Reports the states of a pair's profile on its devices, and the devices that can lose their connection (R15, R45)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ios_mdm.app.delivery.files import confirmation_notice
from ios_mdm.app.device_ids import enrollment_id_notices
from ios_mdm.app.devices import devices_file, no_devices_advice
from ios_mdm.app.status.fleet import fleet, fleet_ids
from ios_mdm.app.status.lost import lost_devices, lost_notices
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.profile import certificate_digests, profile_digest, trust_profile
from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.app.status.fleet import Fleet, FleetDevice
    from ios_mdm.app.status.lost import Lost, PlannedSwitch
    from ios_mdm.core.ledger.values import DeviceState, Publication
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.ports import Ledger
    from ios_mdm.settings import DistributionSettings, ServerSettings

__all__ = ["Distribution", "distribution", "other_profile_notice"]

MAX_MISSING: Final = 10
"""Number of devices without the profile that the table of ``status`` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A profile, and its devices.

    Args:
        identifier: PayloadIdentifier of the profile.
        profile: SHA-256 of the profile, 64 hex digits; None if one of its certificates cannot be read.
        is_proof_configured: whether devices are asked for their certificates.
        fleet: the devices with their states; None if unknown.
        first_missing: the first devices without a record that they have the profile.
        lost: the devices that lose their connection at the next switch; None if no switch is within 30 days, or if they
            are unknown.
    """

    identifier: str
    profile: str | None
    is_proof_configured: bool
    fleet: Fleet | None
    first_missing: tuple[FleetDevice, ...] = ()
    lost: Lost | None = None

    def count(self, *states: DeviceState) -> int | None:
        """Return the number of devices in one of these states; None if unknown."""
        return None if self.fleet is None else self.fleet.count(*states)

    @property
    def missing_count(self) -> int:
        """Number of the devices without a record that they have the profile."""
        return 0 if self.fleet is None else self.fleet.count(*self.fleet.lacking_states)

    @property
    def coverage_text(self) -> str:
        """The number of devices that proved, or acknowledged, the profile, as a text."""
        return "device coverage is unknown" if self.fleet is None else self.fleet.coverage_text


def distribution(
    server: ServerSettings,
    pair: ObservedPair,
    chains: Sequence[str],
    open_ledger: Callable[[str], Ledger],
    *,
    base: Path,
    now: datetime,
    switch: PlannedSwitch | None = None,
) -> tuple[Distribution, Sequence[Notice]]:
    """Return the coverage of the profile with these certificates, and the notices about it.

    Args:
        server: settings of the server, with a distribution.
        pair: observed state of the pair.
        chains: PEM chains of the certificates that devices should trust; empty if some could not be read.
        open_ledger: returns the ledger for a URL.
        base: folder of the project.
        now: current time, aware UTC.
        switch: next promotion; None if there is none, or if the reserve could not be read.
    """
    settings = server.distribution
    assert settings is not None  # noqa: S101 - the caller checks it
    pair_id = None if pair.identity is None else pair.identity.pair_id
    identifier = profile_identifier(settings.profile.identifier, pair_id)
    is_proof_configured = settings.ledger_rules.is_proof_configured
    found = Distribution(identifier=identifier, profile=None, is_proof_configured=is_proof_configured, fleet=None)
    former = [
        Notice(
            reason="former-profile",
            severity=Severity.NOTICE,
            message=f"devices that were sent the former profile {one} keep it in addition to {identifier}",
        )
        for one in pair.profiles
        if one != identifier
    ]
    if pair_id is None:
        return found, [
            *former,
            _notice(f"{found.coverage_text}: the secret has no record of the pair's id: run `pulumi up`"),
        ]
    if not chains:
        return found, [*former, _notice(f"{found.coverage_text}: not every certificate of the profile can be read")]
    try:
        found = replace(found, profile=profile_digest(_profile(server, identifier, chains)))
        if settings.ledger is None:
            return found, [*former, *_unknown_coverage(found, settings)]
        found, notices = _with_devices(found, server, settings, open_ledger(settings.ledger), base=base, now=now)
        if switch is not None and found.fleet is not None:
            needed = certificate_digests(_profile(server, identifier, [switch.chain]))
            lost = lost_devices(found.fleet, settings.ledger_rules, switch, needed, now=now)
            found = replace(found, lost=lost)
            notices = [*notices, *(() if lost is None else lost_notices(lost))]
    except IosMdmError as error:
        # Only the coverage is unknown, so the error is a warning and does not change the severity of the pair.
        unknown = replace(found, profile=None, fleet=None, first_missing=(), lost=None)
        return unknown, [*former, _notice(f"{unknown.coverage_text}: {error}")]
    return found, [*former, *notices]


def _with_devices(
    found: Distribution,
    server: ServerSettings,
    settings: DistributionSettings,
    ledger: Ledger,
    *,
    base: Path,
    now: datetime,
) -> tuple[Distribution, Sequence[Notice]]:
    """Add the devices, and return the notices about them."""
    ids = fleet_ids(settings, ledger, base=base)
    publication = ledger.publication(server.name)
    is_current = publication is not None and publication.digest == found.profile
    policy = settings.ledger_rules.policy(publication if is_current else None, now)
    devices = fleet(server.name, ledger, policy, enrollment_ids=ids)
    notices = []
    if not devices.size:
        notices.append(_notice(f"no device gets the profile: {no_devices_advice(settings)}"))
    elif devices.count(*devices.lacking_states):
        notices.append(
            _notice(
                f"only {devices.coverage_text}: a device without it loses its connection when the server presents a "
                "certificate that the device does not trust"
            )
        )
    if not is_current:
        notices.append(other_profile_notice(publication))
    if ids is not None:
        notices += enrollment_id_notices(server.name, ids, ledger, listed=devices_file(settings))
    missing = devices.first_devices(devices.lacking_states, MAX_MISSING)
    return replace(found, fleet=devices, first_missing=missing), notices


def other_profile_notice(publication: Publication | None) -> Notice:
    """Return the notice that the published profile is not the one that the pair needs now.

    Args:
        publication: the published profile; None if none is published.
    """
    fact = (
        "the ledger has no published profile of this server"
        if publication is None
        else f"the published profile (revision {publication.revision}) is not the one that the pair needs now"
    )
    message = f"{fact}, so devices count as not sent: run `pulumi up`"
    return Notice(reason="other-profile", severity=Severity.NOTICE, message=message)


def _profile(server: ServerSettings, identifier: str, chains: Sequence[str]) -> bytes:
    assert server.distribution is not None  # noqa: S101 - the caller checks it
    return trust_profile(
        chains,
        identifier=identifier,
        server=server.name,
        host=server.host,
        organization=server.distribution.profile.organization,
    )


def _unknown_coverage(found: Distribution, settings: DistributionSettings) -> Sequence[Notice]:
    """Return the notices about a distribution without a ledger."""
    if settings.channel.files is not None:
        unconfirmed = confirmation_notice(settings.channel.files, found.profile)
        return () if unconfirmed is None else (unconfirmed,)
    message = f"{found.coverage_text}: name a ledger under distribution.ledger"
    return (Notice(reason="no-ledger", severity=Severity.NOTICE, message=message),)


def _notice(message: str) -> Notice:
    return Notice(reason="coverage", severity=Severity.WARNING, message=message)
