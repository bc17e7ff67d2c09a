"""The states of simulated devices behind a real NanoMDM, as ``status`` and ``devices`` count and list them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.app.device_ids import enrollment_id_notices
from ios_mdm.app.status.fleet import fleet
from ios_mdm.core.ledger.values import DeviceState
from tests.support.simulated_fleet import SERVER, simulated_fleet, wait
from tools.devices import Behavior, DeviceError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_states_of_real_answers_are_counted_and_listed(tmp_path: Path) -> None:
    """Acknowledged, failed, queued and gone devices. An id in another case and an unknown id are reported."""
    # R44 R45
    with simulated_fleet(tmp_path) as simulated:
        errors = (DeviceError(description="=There is no space left."),)
        behaviors = {
            DeviceState.ACKNOWLEDGED: Behavior(),
            DeviceState.FAILED: Behavior(errors=errors),
            DeviceState.QUEUED: Behavior(is_silent=True),
            DeviceState.GONE: Behavior(),
        }
        devices = {state: simulated.devices.add(1, one)[0] for state, one in behaviors.items()}
        simulated.devices.enroll()
        wait(lambda: len(simulated.ledger.enrolled_ids()) == len(devices), "enrollments are missing")
        simulated.deliver()
        simulated.devices.check_out([devices[DeviceState.GONE]])
        simulated.devices.connect()
        expected = {device.udid: state for state, device in devices.items()}
        wait(lambda: simulated.states() == expected, "the states differ from the behaviors")
        ids = sorted(expected)
        listed = fleet(SERVER, simulated.ledger, simulated.policy(), enrollment_ids=ids)
        known = fleet(SERVER, simulated.ledger, simulated.policy(), enrollment_ids=None)
        assert {state: count for state, count in listed.states.items() if count} == dict.fromkeys(devices, 1)
        assert (listed.size, known.size, known.states) == (4, 3, listed.states)
        assert {one.status.enrollment_id: one.status.state for one in listed.devices()} == expected
        (failed,) = listed.first_devices({DeviceState.FAILED}, 10)
        assert "There is no space left." in failed.text
        swapped = devices[DeviceState.QUEUED].udid.swapcase()
        notices = enrollment_id_notices(SERVER, [*ids, "unknown"], simulated.ledger, listed=None)
        assert [one.reason for one in notices] == ["ids-unknown"]
        notices = enrollment_id_notices(SERVER, [swapped], simulated.ledger, listed=None)
        assert [one.reason for one in notices] == ["ids-other-case"]
