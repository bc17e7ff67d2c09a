"""Decides from the states of devices whether enough of them have a reserve (R46)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ios_mdm.core.ledger.values import DeviceState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GateCoverage", "gate_coverage"]

_NOT_COUNTED: Final = frozenset({DeviceState.GONE, DeviceState.SILENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCoverage:
    """Numbers of devices on which the decision of the gate is based.

    Args:
        covered: devices that have the profile: that proved it, or acknowledged it if no proof is configured.
        counted: devices that must have it.
        silent: devices that are not counted, because they have been silent for too long.
        is_proof_configured: whether devices must prove the profile.
    """

    covered: int
    counted: int
    silent: int
    is_proof_configured: bool

    def is_met(self, minimum: int) -> bool:
        """Return whether at least *minimum* percent of the counted devices have the profile; False without devices."""
        return self.counted > 0 and self.covered * 100 >= minimum * self.counted

    @property
    def text(self) -> str:
        """The numbers, as a text for the user."""
        verb = "proved" if self.is_proof_configured else "acknowledged"
        silent = f", not counting {self.silent} silent" if self.silent else ""
        return f"{self.covered} of {self.counted} devices {verb} the profile{silent}"


def gate_coverage(counts: Mapping[DeviceState, int], *, is_proof_configured: bool) -> GateCoverage:
    """Return the numbers for the gate.

    Devices that checked out are not counted. Neither are silent ones: they would delay the switch for all others. An
    erased device is counted, because it can enroll again at any time.

    Args:
        counts: number of devices in each state. The policy decides after which time a device is silent.
        is_proof_configured: whether devices must prove the profile.
    """
    covered = counts.get(DeviceState.PROVED, 0)
    if not is_proof_configured:
        covered += counts.get(DeviceState.ACKNOWLEDGED, 0)
    return GateCoverage(
        covered=covered,
        counted=sum(number for state, number in counts.items() if state not in _NOT_COUNTED),
        silent=counts.get(DeviceState.SILENT, 0),
        is_proof_configured=is_proof_configured,
    )
