"""Reports which devices have the profile of a pair: the ledger's records of the profile that ``up`` sends now (R15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.app.devices import no_devices_advice, read_devices
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.profile import profile_digest, trust_profile
from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.core.ledger.values import DeviceState, DeviceStatus
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.ports import Ledger
    from ios_mdm.settings import DistributionSettings, ServerSettings

__all__ = ["Distribution", "distribution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A profile, and the status of its devices.

    Args:
        identifier: PayloadIdentifier of the profile.
        profile: SHA-256 of the profile, 64 hex digits; None if one of its certificates cannot be read.
        devices: status of each device; None if unknown.
        is_proof_configured: whether devices must report their certificates to count as devices that have the profile.
    """

    identifier: str
    profile: str | None
    devices: tuple[DeviceStatus, ...] | None
    is_proof_configured: bool = False

    def count(self, *states: DeviceState) -> int | None:
        """Return the number of devices in one of these states; None if unknown."""
        return None if self.devices is None else sum(device.state in states for device in self.devices)

    @property
    def missing(self) -> tuple[DeviceStatus, ...]:
        """The devices without a record that they have the profile."""
        return tuple(device for device in self.devices or () if not device.has_profile)

    @property
    def coverage_text(self) -> str:
        """The number of devices that have the profile, as a text."""
        if self.devices is None:
            return "device coverage is unknown"
        how = "proved" if self.is_proof_configured else "acknowledged"
        return f"{len(self.devices) - len(self.missing)} of {len(self.devices)} devices have the profile ({how})"


def distribution(
    server: ServerSettings,
    pair: ObservedPair,
    chains: Sequence[str],
    open_ledger: Callable[[str], Ledger],
    *,
    base: Path,
    now: datetime,
) -> tuple[Distribution, Sequence[Notice]]:
    """Return the coverage of the profile with these certificates, and the notices about it.

    Args:
        server: settings of the server, with a distribution.
        pair: observed state of the pair.
        chains: PEM chains of the certificates that devices should trust; empty if some could not be read.
        open_ledger: returns the ledger for a URL.
        base: folder of the project.
        now: current time, aware UTC, whole seconds.
    """
    settings = server.distribution
    assert settings is not None  # noqa: S101 - the caller checks it
    pair_id = None if pair.identity is None else pair.identity.pair_id
    identifier = profile_identifier(settings.profile.identifier, pair_id)
    unknown = Distribution(identifier=identifier, profile=None, devices=None)
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
        return unknown, [
            *former,
            _notice(f"{unknown.coverage_text}: the secret has no record of the pair's id: run `pulumi up`"),
        ]
    if not chains:
        return unknown, [*former, _notice(f"{unknown.coverage_text}: not every certificate of the profile can be read")]
    try:
        digest = _digest(server, identifier, chains)
        devices = (
            None
            if settings.ledger is None
            else _devices(server.name, settings, open_ledger(settings.ledger), digest, base=base, now=now)
        )
    except IosMdmError as error:
        # Only the coverage is unknown, so the error is a warning and does not change the severity of the pair.
        return unknown, [*former, _notice(f"{unknown.coverage_text}: {error}")]
    is_proof_configured = settings.ledger_rules.is_proof_configured
    found = Distribution(
        identifier=identifier, profile=digest, devices=devices, is_proof_configured=is_proof_configured
    )
    if devices is None:
        message = f"{found.coverage_text}: name a ledger under distribution.ledger"
        return found, [*former, Notice(reason="no-ledger", severity=Severity.NOTICE, message=message)]
    if found.missing or not devices:
        message = (
            f"only {found.coverage_text}: a device without it loses its connection when the server presents a "
            "certificate that the device does not trust"
            if devices
            else f"no device gets the profile: {no_devices_advice(settings)}"
        )
        return found, [*former, _notice(message)]
    return found, former


def _digest(server: ServerSettings, identifier: str, chains: Sequence[str]) -> str:
    assert server.distribution is not None  # noqa: S101 - the caller checks it
    return profile_digest(
        trust_profile(
            chains,
            identifier=identifier,
            server=server.name,
            host=server.host,
            organization=server.distribution.profile.organization,
        )
    )


def _devices(
    server: str, settings: DistributionSettings, ledger: Ledger, digest: str, *, base: Path, now: datetime
) -> tuple[DeviceStatus, ...]:
    enrollment_ids = read_devices(settings, ledger, base=base)
    publication = ledger.publication(server)
    is_published = publication is not None and publication.digest == digest
    policy = settings.ledger_rules.policy(publication if is_published else None, now)
    return tuple(device_status(one, policy) for one in ledger.devices(server, enrollment_ids=enrollment_ids))


def _notice(message: str) -> Notice:
    return Notice(reason="coverage", severity=Severity.WARNING, message=message)
