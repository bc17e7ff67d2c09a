"""The preview plans an update if a device is due, and `up` is unchanged after everything was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from tests.support.distribution import START
from tests.support.events import record_device

if TYPE_CHECKING:
    from tests.support.distribution_run import Run


@pytest.fixture
def enrolled(run: Run) -> Run:
    """The two devices are enrolled."""
    for device in ("a", "b"):
        record_device(SqliteLedger(run.folder / "ledger.sqlite"), device, enrolled=True, at=START - timedelta(days=1))
    return run


def test_without_a_collector_up_stays_unchanged(run: Run) -> None:
    """The ledger has no event of the devices, so it is unknown whether they are silent."""  # R45
    assert run.up() == "changed"
    for day in (8, 30, 300):
        run.clock.moment = START + timedelta(days=day)
        assert run.up() == "unchanged"


def test_up_is_unchanged_until_a_device_is_due_and_after_it_was_sent(
    enrolled: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both devices are silent. The repetitions are rarer each time."""  # R45
    assert enrolled.up() == "changed"
    changed = []
    for day in range(1, 40):
        enrolled.clock.moment = START + timedelta(days=day)
        if enrolled.up() == "changed":
            changed.append(day)
    assert changed == [8, 17, 35]
    assert "2 of 2 devices failed or did not answer: `up` sends them the profile again" in capfd.readouterr().err
    assert len({uuid for _, uuid in enrolled.queue.known}) == 4


def test_the_days_are_those_of_the_definition(enrolled: Run) -> None:
    """The key resendDays."""  # R45
    enrolled.up()
    settings = {**enrolled.program()["distribution"], "resendDays": 30}
    enrolled.changes = {"distribution": settings}
    enrolled.up()
    commands = set(enrolled.queue.known)
    enrolled.clock.moment = START + timedelta(days=30)
    assert enrolled.up() == "unchanged"
    enrolled.clock.moment = START + timedelta(days=31)
    assert enrolled.up() == "changed"
    assert len(enrolled.queue.known - commands) == 2


@pytest.mark.parametrize(("days", "is_deleted"), [(5, False), (6, True)])
def test_an_update_deletes_what_is_known_of_devices_that_left(run: Run, days: int, *, is_deleted: bool) -> None:
    """The key retentionDays."""  # R41
    run.changes = {"distribution": {**run.program()["distribution"], "retentionDays": 5}}
    ledger = SqliteLedger(run.folder / "ledger.sqlite")
    record_device(ledger, "c", enrolled=True, at=START - timedelta(days=1))
    record_device(ledger, "c", enrolled=False, at=START)
    run.clock.moment = START + timedelta(days=days)
    assert run.up() == "changed"
    assert ("c" not in {one.enrollment_id for one in ledger.devices("berlin")}) is is_deleted


def test_a_repetition_that_fails_is_a_warning_and_is_planned_again(
    enrolled: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """The MDM server is down. The devices were sent the profile before, so the switch does not wait for them."""
    # R36 R45
    enrolled.up()
    enrolled.clock.moment = START + timedelta(days=8)
    enrolled.queue.calls_left = 0
    record = enrolled.sent_record()
    for _ in range(2):
        assert enrolled.up() == "changed"
        assert "is down. The profile is queued for all 2 devices, but not again" in capfd.readouterr().err
    assert enrolled.sent_record() == record
    enrolled.queue.calls_left = None
    assert enrolled.up() == "changed"
    assert enrolled.up() == "unchanged"


def test_ids_that_cannot_be_right_are_reported_in_the_preview(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """One message for each kind. An unknown line of a file is not shown, because it might be a password."""  # R39 R45
    ledger = SqliteLedger(run.folder / "ledger.sqlite")
    record_device(ledger, "a", enrolled=True, at=START)
    run.list_devices("A", "b", "hunter", "Hunter")
    run.check()
    shown = capfd.readouterr().err
    assert "1 device is enrolled with the same id in another case: A (enrolled as a)" in shown
    assert "1 device is listed twice, in different case. Keep the spelling" in shown
    assert "1 device is unknown to the MDM server, or not seen since the collector started. Check" in shown
    assert "hunter" not in shown.lower()


def test_the_devices_of_a_ledger_have_no_message_about_their_ids(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """The MDM server reported them."""  # R45
    ledger = SqliteLedger(run.folder / "ledger.sqlite")
    for device in ("a", "A"):
        record_device(ledger, device, enrolled=True, at=START)
    run.devices = {"ledger": True}
    run.check()
    assert "another case" not in capfd.readouterr().err
