"""The devices of a server: their counts, and the search for devices in a rare state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.status.fleet import Fleet, fleet
from ios_mdm.core.ledger.registers import NEVER, Enrollment, Progress, microseconds
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, StatePolicy
from tests.support.events import EVENT_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ios_mdm.ports import Ledger

AT = microseconds(EVENT_TIME)
POLICY = StatePolicy(revision=1)
LACKING = frozenset({DeviceState.QUEUED, DeviceState.NOT_SENT})


@dataclass(slots=True)
class CountingLedger:
    """Stands in for the port ``Ledger``: many devices, of which some have not answered.

    Args:
        queued: enrollment ids of the devices without an answer.
        read: number of records that were read.
    """

    queued: frozenset[str]
    ids: tuple[str, ...] = tuple(f"D-{number:05}" for number in range(10_500))
    read: int = 0
    counted: list[int] = field(default_factory=list)

    def enrolled_ids(self) -> Sequence[str]:
        """Return all ids."""
        return self.ids

    def devices(self, _server: str, *, enrollment_ids: Sequence[str] | None = None) -> Iterator[DeviceRecord]:
        """Yield the records."""
        for one in self.ids if enrollment_ids is None else enrollment_ids:
            self.read += 1
            yield self.record(one)

    def counts(
        self, _server: str, policy: StatePolicy, *, enrollment_ids: Sequence[str] | None = None
    ) -> Mapping[DeviceState, int]:
        """Return the number of devices in each state."""
        ids = self.ids if enrollment_ids is None else enrollment_ids
        self.counted.append(len(ids))
        found = Counter(device_status(self.record(one), policy).state for one in ids)
        return {state: found[state] for state in DeviceState}

    def record(self, enrollment_id: str) -> DeviceRecord:
        """Return the record of a device."""
        acknowledged = NEVER if enrollment_id in self.queued else AT
        progress = Progress(revision=1, queued=AT, epoch=AT, acknowledged=acknowledged)
        return DeviceRecord(enrollment_id=enrollment_id, enrollment=Enrollment(seen=AT), progress=progress)


def found_in(ledger: CountingLedger, *, is_listed: bool) -> Fleet:
    """Return the fleet of a ledger."""
    port: Ledger = ledger  # type: ignore[assignment] # only the methods that read
    return fleet("berlin", port, POLICY, enrollment_ids=ledger.ids if is_listed else None)


@pytest.mark.parametrize("is_listed", [True, False])
def test_only_parts_of_the_fleet_with_such_a_device_are_read(*, is_listed: bool) -> None:
    """To read records takes much longer than to count them."""  # R45
    ledger = CountingLedger(frozenset({"D-02500", "D-10499"}))
    found = found_in(ledger, is_listed=is_listed)
    names = [one.status.enrollment_id for one in found.first_devices(LACKING, 10)]
    assert names == ["D-02500", "D-10499"]
    assert ledger.read <= 2_000


def test_the_search_ends_with_the_last_device_that_is_needed() -> None:
    """Further devices are neither counted nor read."""
    ledger = CountingLedger(frozenset(f"D-{number:05}" for number in range(0, 10_500, 10)))
    found = found_in(ledger, is_listed=True)
    assert [one.status.enrollment_id for one in found.first_devices(LACKING, 3)] == ["D-00000", "D-00010", "D-00020"]
    assert ledger.read == 21
    assert len(ledger.counted) == 2


def test_nothing_is_read_if_no_device_is_in_the_state() -> None:
    """The counts are enough."""
    ledger = CountingLedger(frozenset())
    found = found_in(ledger, is_listed=True)
    assert found.first_devices(LACKING, 10) == ()
    assert (ledger.read, len(ledger.counted)) == (0, 1)
    assert found.coverage_text == "10500 of 10500 devices acknowledged the profile (proof is not configured)"
