"""The devices of a server with the states of its profile: the basis of ``status``, ``devices`` and of metrics (R44)."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from ios_mdm.app.devices import read_devices
from ios_mdm.core.ledger.registers import NEVER, time_of
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.core.ledger.values import DeviceStatus, StatePolicy
    from ios_mdm.ports import Ledger
    from ios_mdm.settings import DistributionSettings

__all__ = ["Fleet", "FleetDevice", "fleet", "fleet_ids"]

_PART: Final = 1_000
"""Number of devices that are counted at once to find one in a rare state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDevice:
    """A device with the state of the profile.

    Args:
        status: state of the profile.
        seen_at: time of the last event that shows that the device is enrolled, aware UTC; None if there is none.
        revision: revision of the profile that the device was sent last; None if it was sent none.
    """

    status: DeviceStatus
    seen_at: datetime | None
    revision: int | None

    @property
    def since(self) -> datetime | None:
        """Time from which the state holds, aware UTC; None for ``NOT_SENT``."""
        return self.status.since or self.status.at

    @property
    def text(self) -> str:
        """Enrollment id and state, with the explanation of an error by the device."""
        detail = f": {self.status.detail}" if self.status.detail else ""
        return printable(f"{self.status.enrollment_id} ({self.status.state}{detail})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The devices of a server. Their records are read from the ledger when they are needed.

    Args:
        server: name of the server.
        ledger: the ledger.
        policy: settings from which the states are computed.
        enrollment_ids: enrollment ids of the devices, sorted; None for each device that the ledger knows. A device that
            left is then counted by its state, but is not a device of the server.
        states: number of devices in each state. Each state is a key.
    """

    server: str
    ledger: Ledger = field(repr=False)
    policy: StatePolicy = field(repr=False)
    enrollment_ids: Sequence[str] | None = field(repr=False)
    states: Mapping[DeviceState, int]

    def count(self, *states: DeviceState) -> int:
        """Return the number of devices in one of these states."""
        return sum(self.states[state] for state in states)

    @property
    def size(self) -> int:
        """Number of the server's devices."""
        left = self.states[DeviceState.GONE] if self.enrollment_ids is None else 0
        return sum(self.states.values()) - left

    @property
    def ids(self) -> Sequence[str]:
        """Enrollment ids of the server's devices, sorted. Raises the errors of :meth:`devices`."""
        return self.ledger.enrolled_ids() if self.enrollment_ids is None else self.enrollment_ids

    @property
    def lacking_states(self) -> frozenset[DeviceState]:
        """States of devices without a record that they have the profile."""
        lacking = frozenset(state for state in DeviceState if not self.policy.has_profile(state))
        return lacking if self.enrollment_ids is not None else lacking - {DeviceState.GONE}

    @property
    def coverage_text(self) -> str:
        """The number of devices that proved, or acknowledged, the profile, as a text."""
        found = f"{self.size - self.count(*self.lacking_states)} of {self.size} devices"
        if self.policy.is_proof_configured:
            return f"{found} proved that they have the profile"
        return f"{found} acknowledged the profile (proof is not configured)"

    @property
    def states_text(self) -> str:
        """The number of devices in each state that occurs, as a text."""
        return ", ".join(f"{count} {state}" for state, count in self.states.items() if count)

    def devices(self, states: Collection[DeviceState] | None = None) -> Iterator[FleetDevice]:
        """Yield the devices in one of these states, sorted; all devices for None. They are read in parts.

        The records are from later times than ``states``, so the numbers can differ.

        Raises:
            DeliveryError: The ledger cannot be read.
        """
        return self._devices(self.enrollment_ids, states)

    def first_devices(self, states: Collection[DeviceState], limit: int) -> tuple[FleetDevice, ...]:
        """Return at most *limit* devices in one of these states. Raises the errors of :meth:`devices`.

        To read the records of all devices takes much longer than to count them. So only the records of parts of the
        fleet are read in which such a device is counted.
        """
        found, wanted = list[FleetDevice](), min(limit, self.count(*states))
        ids = self.ids if wanted else ()
        for start in range(0, len(ids), _PART):
            part = ids[start : start + _PART]
            counts = self.ledger.counts(self.server, self.policy, enrollment_ids=part)
            if any(counts[state] for state in states):
                found += islice(self._devices(part, states), wanted - len(found))
            if len(found) >= wanted:
                break
        return tuple(found)

    def _devices(
        self, enrollment_ids: Sequence[str] | None, states: Collection[DeviceState] | None
    ) -> Iterator[FleetDevice]:
        for record in self.ledger.devices(self.server, enrollment_ids=enrollment_ids):
            status = device_status(record, self.policy)
            if states is None or status.state in states:
                seen, progress = record.enrollment.seen, record.progress
                yield FleetDevice(
                    status=status,
                    seen_at=None if seen == NEVER else time_of(seen),
                    revision=None if progress is None else progress.revision,
                )

    def command(self, states: Collection[DeviceState]) -> str:
        """Return the command that lists the devices in these states."""
        chosen = "".join(f" --state {state}" for state in DeviceState if state in states and self.states[state])
        return f"ios-mdm devices --server {self.server}{chosen}"


def fleet_ids(settings: DistributionSettings, ledger: Ledger, *, base: Path) -> Sequence[str] | None:
    """Return the enrollment ids of a definition, sorted; None if its devices are those of the ledger.

    Args:
        settings: settings of the distribution.
        ledger: the ledger that *settings* name.
        base: folder of the project.

    Raises:
        DefinitionError: The list has duplicates, or its file cannot be read.
    """
    return None if settings.is_for_all else read_devices(settings, ledger, base=base)


def fleet(server: str, ledger: Ledger, policy: StatePolicy, *, enrollment_ids: Sequence[str] | None) -> Fleet:
    """Return the devices of a server, counted by state.

    Args:
        server: name of the server.
        ledger: the ledger.
        policy: settings from which the states are computed, of ``LedgerRules.policy``.
        enrollment_ids: enrollment ids of the devices; None for each device that the ledger knows.

    Raises:
        DeliveryError: The ledger cannot be read.
    """
    states = ledger.counts(server, policy, enrollment_ids=enrollment_ids)
    return Fleet(server=server, ledger=ledger, policy=policy, enrollment_ids=enrollment_ids, states=states)
