"""``ios-mdm receive`` with a fleet of simulated devices behind a real NanoMDM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.ledger.values import DeviceState
from tests.support.long import bounds
from tests.support.simulated_fleet import DESCRIPTORS, new_profile, simulated_fleet, wait
from tools.devices import Behavior, DeviceError

if TYPE_CHECKING:
    from pathlib import Path

DEVICES = bounds(300, long=3_000)
"""Number of devices that answer at the same time."""
FEW_DESCRIPTORS = 100
"""With this limit of open files, the receiver serves 36 connections."""


@pytest.mark.parametrize("is_suspended", [False, True], ids=["running", "suspended"])
def test_no_acknowledgment_of_a_fleet_is_missing(tmp_path: Path, *, is_suspended: bool) -> None:
    """Each acknowledgment that NanoMDM accepts is in the ledger, although more events wait than connections exist.

    If the receiver is suspended, the events of all devices wait at the same time.
    """  # R15, R41
    descriptors = bounds(FEW_DESCRIPTORS, long=DESCRIPTORS)
    with simulated_fleet(tmp_path, devices=DEVICES, descriptors=descriptors) as fleet:
        assert fleet.deliver() == DEVICES
        if is_suspended:
            with fleet.receiver.suspension():
                answered = fleet.devices.answer_at_once()
        else:
            answered = fleet.devices.answer_at_once()
        assert answered.statuses == {"Acknowledged": DEVICES}
        fleet.wait_for(answered)


def test_the_ledger_has_the_state_of_each_device(tmp_path: Path) -> None:
    """The states follow from the behavior of the devices, and from their new enrollments."""  # R41, R42
    with simulated_fleet(tmp_path, devices=1) as fleet:
        errors = (DeviceError(description="There is no space left."),)
        behaviors = {
            DeviceState.ACKNOWLEDGED: Behavior(),
            DeviceState.NOT_NOW: Behavior(not_now=1),
            DeviceState.FAILED: Behavior(errors=errors),
            DeviceState.QUEUED: Behavior(is_silent=True),
            DeviceState.ERASED: Behavior(enrolls_after_install=True),
            DeviceState.GONE: Behavior(),
        }
        devices = {state: fleet.devices.add(1, one)[0] for state, one in behaviors.items()}
        fleet.devices.enroll()
        wait(lambda: len(fleet.ledger.enrolled_ids()) == 7, "enrollments are missing")
        assert fleet.deliver() == 7
        fleet.devices.check_out([devices[DeviceState.GONE]])
        fleet.devices.connect()
        expected = {device.udid: state for state, device in devices.items()}
        wait(lambda: fleet.states().items() >= expected.items(), "the states differ from the behaviors")
        fleet.devices.connect()
        busy = devices[DeviceState.NOT_NOW]
        wait(lambda: busy.udid in fleet.acknowledged_ids(), "the device did not answer again")


def test_a_new_profile_is_sent_to_all_devices(tmp_path: Path) -> None:
    """A device that has the former profile has not acknowledged the new one."""  # R15
    with simulated_fleet(tmp_path, devices=3) as fleet:
        fleet.deliver()
        fleet.wait_for(fleet.devices.connect())
        assert fleet.deliver() == 0
        fleet.profile = new_profile(2, 3)
        assert fleet.acknowledged_ids() == set()
        assert fleet.deliver() == 3
        fleet.wait_for(fleet.devices.connect())
        contents = {one.content for device in fleet.devices.devices.values() for one in device.profiles.values()}
        assert contents == {fleet.profile}
