"""The numbers on which the gate before a switch decides (R46)."""

from __future__ import annotations

import pytest

from ios_mdm.core.ledger.gate import gate_coverage
from ios_mdm.core.ledger.values import DeviceState


@pytest.mark.parametrize(
    ("counts", "minimum", "expected"),
    [
        ({DeviceState.PROVED: 95, DeviceState.FAILED: 5}, 95, True),
        ({DeviceState.PROVED: 94, DeviceState.FAILED: 6}, 95, False),
        ({DeviceState.PROVED: 94, DeviceState.ACKNOWLEDGED: 6}, 95, False),
        ({DeviceState.PROVED: 9, DeviceState.SILENT: 5, DeviceState.GONE: 7}, 100, True),
        ({DeviceState.PROVED: 9, DeviceState.ERASED: 1}, 91, False),
        ({DeviceState.PROVED: 9, DeviceState.NOT_SENT: 1}, 91, False),
        ({DeviceState.SILENT: 3}, 1, False),
        ({}, 1, False),
    ],
)
def test_the_gate_counts_devices_that_have_the_profile(
    counts: dict[DeviceState, int], minimum: int, expected: object
) -> None:
    """Devices that left or are silent for too long are not counted. All others must have the profile."""  # R46
    assert gate_coverage(counts, is_proof_configured=True).is_met(minimum) is expected


def test_an_acknowledgement_counts_only_if_no_proof_is_configured() -> None:
    """With proof, a device that acknowledged the profile does not count as covered, and the text says so."""  # R46
    counts = {DeviceState.ACKNOWLEDGED: 3, DeviceState.PROVED: 1, DeviceState.SILENT: 2}
    acknowledged = gate_coverage(counts, is_proof_configured=False)
    assert (acknowledged.covered, acknowledged.counted) == (4, 4)
    assert acknowledged.text == "4 of 4 devices acknowledged the profile, not counting 2 silent"
    proved = gate_coverage(counts, is_proof_configured=True)
    assert (proved.covered, proved.text) == (1, "1 of 4 devices proved the profile, not counting 2 silent")
