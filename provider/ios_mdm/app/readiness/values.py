"""The report about the next switch of a server: its verdict, and the facts behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ios_mdm.app.status.overview import Level
from ios_mdm.core.ledger.registers import NEVER, time_of
from ios_mdm.core.ledger.values import DeviceState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ios_mdm.app.status.fleet import Fleet, FleetDevice
    from ios_mdm.app.status.overview import Overview
    from ios_mdm.core.connection.readiness import EndpointReadiness
    from ios_mdm.core.ledger.gate import GateCoverage

__all__ = ["Anchor", "DeviceReport", "EndpointReport", "Event", "Presented", "Reason", "Report", "Verdict", "since"]


class Verdict(StrEnum):
    """Verdict about the next switch."""

    READY = "ready"
    """No obstacle is known. There can be warnings."""
    NOT_READY = "not-ready"
    """At least one obstacle is known."""
    UNKNOWN = "unknown"
    """No obstacle is known, but something could not be checked."""


_VERDICTS: Final = {
    Level.OK: Verdict.READY,
    Level.WARNING: Verdict.READY,
    Level.UNKNOWN: Verdict.UNKNOWN,
    Level.CRITICAL: Verdict.NOT_READY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A reason of the verdict.

    Args:
        level: ``CRITICAL`` for an obstacle, ``UNKNOWN`` for something that could not be checked, or ``WARNING``.
        code: code of the reason; it is stable.
        message: text for the user: the fact, and what to do.
    """

    level: Level
    code: str
    message: str


class Presented(StrEnum):
    """Certificate that an endpoint presents."""

    MAIN = "main"
    """Something on the server fetches main: it will fetch the reserve after the switch."""
    RESERVE = "reserve"
    OTHER = "other"
    """A former main, or a certificate that is not in the pair."""
    UNKNOWN = "unknown"
    """The endpoint could not be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReport:
    """An endpoint.

    Args:
        readiness: verdict about its connections.
        presented: certificate that it presents.
    """

    readiness: EndpointReadiness
    presented: Presented

    @property
    def name(self) -> str:
        """The endpoint, ``host:port``."""
        return self.readiness.served.endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """The devices of a server.

    Args:
        fleet: the devices. The states are those of the reserve's certificates; without a reserve, those of the profile.
        has_reserve: whether the states are those of the reserve's certificates.
        coverage: numbers for the gate; None if the definition has no ``minimumCoverage``.
        minimum: percentage of the devices that must have the reserve; None as for *coverage*.
    """

    fleet: Fleet
    has_reserve: bool
    coverage: GateCoverage | None = None
    minimum: int | None = None

    @property
    def lost_states(self) -> frozenset[DeviceState]:
        """States of devices without any record that they have the certificates. A device that left is not lost."""
        return self.fleet.lacking_states - {DeviceState.ACKNOWLEDGED, DeviceState.GONE}

    @property
    def lost_count(self) -> int:
        """Number of devices in ``lost_states``."""
        return self.fleet.count(*self.lost_states)

    @property
    def unproved_count(self) -> int:
        """Number of devices that acknowledged the profile, and did not prove it."""
        return self.fleet.count(DeviceState.ACKNOWLEDGED)

    @property
    def is_proof_configured(self) -> bool:
        """Whether devices are asked for their certificates."""
        return self.fleet.policy.is_proof_configured

    @property
    def is_gate_met(self) -> bool:
        """Whether the definition accepts the number of devices that have the reserve."""
        return self.coverage is not None and self.minimum is not None and self.coverage.is_met(self.minimum)

    def lost_devices(self) -> Iterator[FleetDevice]:
        """Yield the devices that cannot connect after the switch. Raises a DeliveryError."""
        return self.fleet.devices(self.lost_states)

    def unproved_devices(self) -> Iterator[FleetDevice]:
        """Yield the devices that acknowledged the profile, and did not prove it. Raises a DeliveryError."""
        return self.fleet.devices({DeviceState.ACKNOWLEDGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A root that devices need, also those that enroll with a profile of another program.

    Args:
        slot: ``main`` or ``reserve``.
        certificate: number of the certificate under this root.
        subject: RFC 4514 name of the root.
        sha256: fingerprint of the root, 64 hex digits.
        not_after: end of validity of the root, inclusive, aware UTC.
        pem: the root.
    """

    slot: str
    certificate: int
    subject: str
    sha256: str
    not_after: datetime
    pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the timeline.

    Args:
        at: time of the event, aware UTC.
        text: the event.
    """

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report about the next switch of a server.

    Args:
        overview: status of the server.
        latest_at: latest time of the switch, aware UTC, if a gate can delay it; None otherwise.
        devices: the devices; None if they are unknown.
        endpoints: the endpoints that were checked.
        anchors: roots that must be in places which this program cannot read; main's first.
        timeline: events in the order of their times.
        reasons: reasons of the verdict, worst first.
    """

    overview: Overview
    latest_at: datetime | None = None
    devices: DeviceReport | None = None
    endpoints: tuple[EndpointReport, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    timeline: tuple[Event, ...] = ()
    reasons: tuple[Reason, ...] = ()

    @property
    def level(self) -> Level:
        """The worst level of the reasons."""
        return max([Level.OK, *(reason.level for reason in self.reasons)])

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return _VERDICTS[self.level]


def since(device: FleetDevice) -> datetime | None:
    """Return the time from which a state is known, aware UTC; None if no event of the device is known.

    The state of a device that was not sent the profile holds since its enrollment.
    """
    if device.since is not None:
        return device.since
    return None if device.status.epoch == NEVER else time_of(device.status.epoch)
