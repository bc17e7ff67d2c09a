"""The benchmark of a fleet counts the acknowledgments that are missing in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import fleet
from tests.support.simulated_fleet import simulated_fleet

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_no_acknowledgment_is_missing(tmp_path: Path) -> None:
    """A small fleet, whose receiver is suspended until all devices have answered."""
    with simulated_fleet(tmp_path, devices=5) as small:
        found = fleet.measure(small, is_suspended=True)
    assert (found.accepted, found.missing) == (5, 0)


def test_events_without_a_receiver_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NanoMDM accepts the answers, and drops their events."""
    monkeypatch.setattr(fleet, "LOST_AFTER", 0.0)
    with simulated_fleet(tmp_path, devices=5) as small:
        small.receiver.kill()
        found = fleet.measure(small, is_suspended=False)
    assert (found.accepted, found.missing) == (5, 5)


def test_a_killed_receiver_has_all_events_that_it_answered(tmp_path: Path) -> None:
    """An answer 200 means that the event is in the ledger."""  # R15
    acknowledged, missing = fleet.kill(tmp_path, 100)
    assert acknowledged >= 100
    assert missing == 0
