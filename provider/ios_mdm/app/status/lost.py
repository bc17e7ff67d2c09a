"""Finds the devices that can lose their connection at the next switch (R45)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ios_mdm.app.status.fleet import fleet
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.app.status.fleet import Fleet
    from ios_mdm.core.ledger.overdue import LedgerRules

__all__ = ["Lost", "PlannedSwitch", "lost_devices", "lost_notices", "reserve_fleet"]

MAX_NAMES: Final = 20
"""Number of devices that the notice names."""

_NAMED_BEFORE: Final = timedelta(days=30)
"""Time before a switch from which the devices are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSwitch:
    """The next promotion of a pair.

    Args:
        certificate: number of the reserve.
        at: time at which the reserve becomes main, aware UTC.
        chain: the reserve with its issuers and root, PEM.
    """

    certificate: int
    at: datetime
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The devices that lose their connection at a switch within the next 30 days.

    Args:
        certificate: number of the certificate that becomes main.
        at: time of the switch, aware UTC.
        fleet: the devices, with the states of the reserve's certificates instead of those of the profile.
    """

    certificate: int
    at: datetime
    fleet: Fleet

    @property
    def states(self) -> frozenset[DeviceState]:
        """States of devices that lose their connection. A device that left has none."""
        return self.fleet.lacking_states - {DeviceState.GONE}

    @property
    def count(self) -> int:
        """Number of these devices."""
        return self.fleet.count(*self.states)


def lost_devices(
    devices: Fleet, rules: LedgerRules, switch: PlannedSwitch, needed: frozenset[bytes], *, now: datetime
) -> Lost | None:
    """Return the devices that lose their connection at a switch; None if it is more than 30 days later.

    Args:
        devices: the devices of the server.
        rules: settings of the distribution.
        switch: the switch.
        needed: SHA-256 of the DER of each certificate that devices need for the reserve, 32 bytes each.
        now: current time, aware UTC.

    Raises:
        DeliveryError: The ledger cannot be read.
    """
    if now < switch.at - _NAMED_BEFORE or not devices.size:
        return None
    found = reserve_fleet(devices, rules, needed, now=now)
    return Lost(certificate=switch.certificate, at=switch.at, fleet=found)


def reserve_fleet(devices: Fleet, rules: LedgerRules, needed: frozenset[bytes], *, now: datetime) -> Fleet:
    """Return the devices with the states of the reserve's certificates instead of those of the profile.

    A published profile counts if it has the certificates of the reserve, even if the pair needs another profile now.

    Args:
        devices: as for :func:`lost_devices`, like all other arguments and errors.
        rules: settings of the distribution.
        needed: SHA-256 of the DER of each certificate that devices need for the reserve, 32 bytes each.
        now: current time, aware UTC.
    """
    publication = devices.ledger.publication(devices.server)
    is_covering = publication is not None and needed <= publication.certificates
    policy = replace(rules.policy(publication if is_covering else None, now), certificates=needed)
    return fleet(devices.server, devices.ledger, policy, enrollment_ids=devices.enrollment_ids)


def lost_notices(lost: Lost) -> Sequence[Notice]:
    """Return the notice that names the devices, at most 20; none if no device loses its connection.

    Raises:
        DeliveryError: The ledger cannot be read.
    """
    if not lost.count:
        return ()
    did = "proved that they have its root" if lost.fleet.policy.is_proof_configured else "acknowledged its profile"
    names = [one.text for one in lost.fleet.first_devices(lost.states, MAX_NAMES)]
    more = lost.count - len(names)
    rest = f" and {more} more: `{lost.fleet.command(lost.states)}` lists all" if more > 0 else ""
    message = (
        f"certificate {lost.certificate} becomes main on {lost.at:%Y-%m-%d %H:%M} UTC, but {lost.count} of "
        f"{lost.fleet.size} devices have not {did}, and can lose their connection then: {', '.join(names)}{rest}"
    )
    return (Notice(reason="lost-devices", severity=Severity.WARNING, message=message, due=lost.at),)
