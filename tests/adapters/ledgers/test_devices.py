"""Contract of ``devices``, ``counts`` and ``waiting``. Each test runs with each database."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.core.ledger.registers import NEVER, Enrollment, Progress, microseconds
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import (
    AnswerStatus,
    DeviceEvent,
    DeviceRecord,
    DeviceState,
    EnqueuedCommand,
    StatePolicy,
)
from tests.support.events import record_answer, record_authenticate, record_device, record_sent
from tests.support.long import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ios_mdm.ports import Ledger

START = datetime(2040, 1, 1, tzinfo=UTC)
FIRST, SECOND, FOREIGN = (bytes([number]) * 32 for number in (1, 2, 3))


def later(seconds: int) -> datetime:
    """Return a time after the start."""
    return START + timedelta(seconds=seconds)


def at(seconds: int) -> int:
    """Return a time after the start, in microseconds since 1970."""
    return microseconds(later(seconds))


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    """An empty ledger."""
    return new_ledger()


def publish(ledger: Ledger, profile: bytes = b"a profile", *, server: str = "berlin") -> int:
    """Publish a profile with two certificates; return its revision."""
    return ledger.publish(server, profile, certificates=[FIRST, SECOND], seed=uuid4(), at=START).revision


def record_list(ledger: Ledger, device: str, *certificates: bytes, second: int) -> None:
    """Record a list of certificates of a device."""
    event = DeviceEvent(
        identity=uuid4().bytes,
        at=later(second),
        topic="mdm.Connect",
        enrollment_id=device,
        enrolled=True,
        certificates=frozenset(certificates),
    )
    ledger.record_events([event], now=later(second))


def checked_counts(ledger: Ledger, policy: StatePolicy, **options: list[str]) -> Mapping[DeviceState, int]:
    """Return the counts without states of no device."""
    found = ledger.counts("berlin", policy, **options)
    assert set(found) == set(DeviceState)
    return {state: number for state, number in found.items() if number}


class TestDevices:
    """Records of devices."""

    def test_a_device_has_the_records_of_a_server(self, ledger: Ledger) -> None:
        """Records of other servers and of other certificates do not appear."""
        publish(ledger)
        ledger.publish("paris", b"x", certificates=[FOREIGN], seed=uuid4(), at=START)
        record_authenticate(ledger, "a", at=later(1))
        record_device(ledger, "a", enrolled=True, at=later(2))
        record_sent(ledger, "c1", enrollment_ids=["a"], at=later(3))
        record_answer(ledger, "c1", "a", AnswerStatus.ACKNOWLEDGED, at=later(4))
        record_list(ledger, "a", FIRST, FOREIGN, second=5)
        ledger.record_asked(["a"], at=later(6))
        record_sent(ledger, "c2", server="paris", profile=b"x", enrollment_ids=["b"], at=later(3))
        assert list(ledger.devices("berlin", enrollment_ids=["a"])) == [
            DeviceRecord(
                enrollment_id="a",
                enrollment=Enrollment(authenticated=at(1), seen=at(5), listed=at(5), asked=at(6)),
                progress=Progress(revision=1, queued=at(3), epoch=at(1), acknowledged=at(4)),
                reported={FIRST: at(5)},
            )
        ]
        (paris,) = ledger.devices("paris", enrollment_ids=["b"])
        assert paris == DeviceRecord(
            enrollment_id="b", progress=Progress(revision=1, queued=at(3), epoch=NEVER), reported={}
        )

    def test_the_last_time_of_a_question_counts(self, ledger: Ledger) -> None:
        """Devices are asked repeatedly. A device that was only asked is not known."""  # R44
        ledger.record_asked(["a", "b"], at=later(5))
        ledger.record_asked(iter(["a"]), at=later(3))
        ledger.record_asked(["b"], at=later(7))
        ledger.record_asked([], at=later(9))
        asked = [one.enrollment.asked for one in ledger.devices("berlin", enrollment_ids=["a", "b", "c"])]
        assert asked == [at(5), at(7), NEVER]
        assert list(ledger.devices("berlin")) == []
        assert ledger.enrolled_ids() == ()

    def test_all_devices_of_the_ledger(self, ledger: Ledger) -> None:
        """These are enrolled, erased and gone devices. A device that was only sent a profile is not known."""
        record_device(ledger, "c", enrolled=True, at=START)
        record_device(ledger, "b", enrolled=False, at=START)
        record_authenticate(ledger, "a", at=START)
        record_sent(ledger, "c1", enrollment_ids=["c", "d"], at=START)
        found = list(ledger.devices("berlin"))
        assert [one.enrollment_id for one in found] == ["a", "b", "c"]
        assert found == list(ledger.devices("berlin", enrollment_ids=["a", "b", "c"]))

    def test_devices_have_the_requested_order(self, ledger: Ledger) -> None:
        """Each device of the list has a record, also an unknown one."""
        assert [one.enrollment_id for one in ledger.devices("berlin", enrollment_ids=["c", "a"])] == ["c", "a"]
        record_device(ledger, "a", enrolled=True, at=START)
        assert [one.enrollment_id for one in ledger.devices("berlin", enrollment_ids=["c", "a"])] == ["c", "a"]
        assert list(ledger.devices("berlin", enrollment_ids=[])) == []

    def test_the_ledger_can_be_written_while_devices_are_read(self, ledger: Ledger) -> None:
        """A caller may record commands while it reads devices."""
        for device in ("a", "b"):
            record_device(ledger, device, enrolled=True, at=START)
        devices = ledger.devices("berlin")
        next(devices)
        ledger.record_asked(["a"], at=START)
        assert [one.enrollment_id for one in devices] == ["b"]

    def test_many_devices(self, ledger: Ledger, many: int) -> None:
        """All parts are read, in order, with their certificates."""
        publish(ledger)
        ids = sorted(str(number) for number in range(many))
        events = [
            DeviceEvent(
                identity=uuid4().bytes,
                at=START,
                topic="mdm.Connect",
                enrollment_id=one,
                enrolled=True,
                certificates=frozenset({FIRST, SECOND} if one.endswith("7") else {FIRST}),
            )
            for one in ids
        ]
        ledger.record_events(events, now=START)
        record_sent(ledger, "c1", enrollment_ids=ids[: many // 2], at=START)
        found = list(ledger.devices("berlin"))
        assert [one.enrollment_id for one in found] == ids
        assert list(ledger.devices("berlin", enrollment_ids=ids)) == found
        policy = StatePolicy(revision=1, certificates=frozenset({FIRST, SECOND}))
        expected = Counter(device_status(one, policy).state for one in found)
        assert expected[DeviceState.PROVED] == many // 10
        assert checked_counts(ledger, policy) == checked_counts(ledger, policy, enrollment_ids=ids) == expected
        assert list(ledger.waiting("berlin", 1, enrollment_ids=ids)) == ids[many // 2 :]


class TestWaiting:
    """Devices that a revision must still be sent to."""

    def test_a_revision_is_sent_once_in_an_enrollment(self, ledger: Ledger) -> None:
        """The result has the epoch of each device, in the requested order."""  # R15 R42
        assert ledger.waiting("berlin", None, enrollment_ids=["b", "a"]) == {"b": NEVER, "a": NEVER}
        record_sent(ledger, "c1", enrollment_ids=["a", "b"], at=START)
        assert list(ledger.waiting("berlin", 1, enrollment_ids=["c", "a", "b"])) == ["c"]
        assert list(ledger.waiting("berlin", 2, enrollment_ids=["b", "a"])) == ["b", "a"]
        assert list(ledger.waiting("paris", 1, enrollment_ids=["a"])) == ["a"]
        record_authenticate(ledger, "a", at=later(5))
        assert ledger.waiting("berlin", 1, enrollment_ids=["a", "b"]) == {"a": at(5)}
        record_device(ledger, "b", enrolled=False, at=later(6))
        assert ledger.waiting("berlin", 1, enrollment_ids=["a", "b"]) == {"a": at(5), "b": at(6)}

    @pytest.mark.parametrize("answer", list(AnswerStatus))
    def test_an_answer_shows_that_the_revision_was_sent(self, ledger: Ledger, answer: AnswerStatus) -> None:
        """The sender knew an older epoch, but the device answered in the current one."""  # R42
        publication = ledger.publish("berlin", b"a profile", certificates=(), seed=uuid4(), at=START)
        record_authenticate(ledger, "a", at=later(5))
        ledger.record_commands(
            [EnqueuedCommand(command_uuid="c1", epochs={"a": NEVER}, at=later(9))], publication=publication
        )
        assert list(ledger.waiting("berlin", 1, enrollment_ids=["a"])) == ["a"]
        record_answer(ledger, "c1", "a", answer, at=later(4))
        assert list(ledger.waiting("berlin", 1, enrollment_ids=["a"])) == ["a"]
        record_answer(ledger, "c1", "a", answer, at=later(10))
        assert ledger.waiting("berlin", 1, enrollment_ids=["a"]) == {}


DEVICES = ("a", "b")
STEPS = st.tuples(
    st.sampled_from(["sent", "next", "again", "listed", "authenticated", "seen", "gone", *map(str, AnswerStatus)]),
    st.sampled_from("aaab"),
    st.integers(1, 3),
)
POLICIES = st.builds(
    StatePolicy,
    revision=st.sampled_from([None, 1, 2]),
    certificates=st.sampled_from([frozenset[bytes](), frozenset({FIRST}), frozenset({FIRST, SECOND})]),
    is_proof_configured=st.booleans(),
    silent_before=st.just(NEVER) | st.integers(1, 4).map(at),
)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=14), policy=POLICIES)
def test_counts_are_those_of_the_pure_rules(
    new_ledger: Callable[[], Ledger], steps: list[tuple[str, str, int]], policy: StatePolicy
) -> None:
    """With any history, the database counts and selects devices as ``core.ledger`` does."""  # R41 R42 R44
    ledger = new_ledger()
    publish(ledger)
    for kind, device, second in steps:
        if kind in {"sent", "next", "again"}:
            profile = b"another profile" if kind == "next" else b"a profile"
            record_sent(ledger, f"{kind}-{second}", profile=profile, enrollment_ids=[device], at=later(second))
        elif kind == "listed":
            record_list(ledger, device, *[FIRST, SECOND][: second % 3], second=second)
        elif kind == "authenticated":
            record_authenticate(ledger, device, at=later(second))
        elif kind in {"seen", "gone"}:
            record_device(ledger, device, enrolled=kind == "seen", at=later(second))
        else:
            record_answer(ledger, f"sent-{second}", device, AnswerStatus(kind), at=later(second))
    known, everything = list(ledger.devices("berlin")), list(ledger.devices("berlin", enrollment_ids=DEVICES))
    assert checked_counts(ledger, policy) == Counter(device_status(one, policy).state for one in known)
    listed_counts = checked_counts(ledger, policy, enrollment_ids=list(DEVICES))
    assert listed_counts == Counter(device_status(one, policy).state for one in everything)
    waiting = {
        one.enrollment_id: one.enrollment.epoch
        for one in everything
        if one.progress is None
        or one.progress.revision != policy.revision
        or not one.progress.was_sent(one.enrollment.epoch)
    }
    assert ledger.waiting("berlin", policy.revision, enrollment_ids=DEVICES) == waiting
