"""Tests of the registers: copies and the order of arrival have no effect, and an older event opens no epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.ledger.registers import NEVER, Enrollment, Finality, LastAnswer, Progress, microseconds, time_of
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, StatePolicy

T = TypeVar("T")
TIMES = st.integers(0, 6)
ENROLLMENTS = st.builds(
    lambda name, at: Enrollment(**{name: at}),
    st.sampled_from(["authenticated", "seen", "gone", "listed", "asked"]),
    TIMES,
)
ANSWERS = st.builds(
    LastAnswer, queued=TIMES, finality=st.sampled_from(Finality), at=TIMES, detail=st.sampled_from(["", "x", "y"])
)
PROGRESSES = st.one_of(
    st.builds(Progress, revision=st.integers(1, 2), queued=TIMES, epoch=st.just(NEVER) | TIMES),
    st.builds(Progress, revision=st.integers(1, 2), acknowledged=TIMES),
    st.builds(Progress, revision=st.integers(1, 2), answer=ANSWERS),
)


def record(progress: Progress | None, *, epoch: int = NEVER) -> DeviceRecord:
    """Return the record of a device that enrolled at *epoch*."""
    return DeviceRecord(enrollment_id="a", enrollment=Enrollment(authenticated=epoch, seen=epoch), progress=progress)


def with_copies(reports: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[list[T], list[T]]]:
    """Return some reports, and the same reports in another order, some of them twice."""
    lists = st.lists(reports, min_size=1, max_size=6)
    return lists.flatmap(lambda one: st.tuples(st.just(one), st.permutations(one + one[:3])))


@given(with_copies(ENROLLMENTS))
def test_events_of_a_device_count_in_any_order(orders: tuple[list[Enrollment], list[Enrollment]]) -> None:
    """The join is the same for any order of the events and for copies."""  # R42
    first, second = (reduce(Enrollment.union, one) for one in orders)
    assert first == second


@given(with_copies(PROGRESSES), st.just(NEVER) | TIMES)
def test_commands_and_answers_count_in_any_order(orders: tuple[list[Progress], list[Progress]], epoch: int) -> None:
    """The join and the state that results from it are the same for any order and for copies."""  # R42
    first, second = (reduce(Progress.union, one) for one in orders)
    assert first == second
    records = (record(one, epoch=epoch) for one in (first, second))
    states = [device_status(one, StatePolicy(revision=first.revision)) for one in records]
    assert states[0] == states[1]


@given(st.lists(ENROLLMENTS), TIMES)
def test_an_older_event_opens_no_epoch(events: list[Enrollment], at: int) -> None:
    """Only an Authenticate or a CheckOut that is later than all others changes the epoch."""  # R42
    known = reduce(Enrollment.union, events, Enrollment())
    for one in (Enrollment(authenticated=at), Enrollment(gone=at)):
        assert known.union(one).epoch == max(known.epoch, at)
    for one in (Enrollment(seen=at), Enrollment(listed=at)):
        assert known.union(one).epoch == known.epoch


@given(st.lists(PROGRESSES, min_size=1), PROGRESSES, TIMES)
def test_a_report_never_lowers_the_progress(reports: list[Progress], one: Progress, epoch: int) -> None:
    """In one enrollment and revision, an acknowledged profile stays acknowledged, and a queued one stays queued."""
    before = reduce(Progress.union, reports)
    after = before.union(one)
    assert after.revision >= before.revision
    if after.revision == before.revision:
        assert after.is_acknowledged(epoch) >= before.is_acknowledged(epoch)
        assert after.is_queued(epoch) >= before.is_queued(epoch)


def status(progress: Progress | None, *, epoch: int = NEVER, revision: int | None = 1) -> DeviceState:
    """Return the state of a profile."""
    return device_status(record(progress, epoch=epoch), StatePolicy(revision=revision)).state


QUEUED = Progress(revision=1, queued=100, epoch=5)
ACKNOWLEDGED = Progress(revision=1, acknowledged=7)
FAILED = Progress(revision=1, answer=LastAnswer(queued=100, finality=Finality.ERROR, at=7, detail="x"))
NOT_NOW = Progress(revision=1, answer=LastAnswer(queued=100, finality=Finality.NOT_NOW, at=9))


@pytest.mark.parametrize(
    ("reports", "epoch", "expected"),
    [
        ([QUEUED], 5, DeviceState.QUEUED),
        ([QUEUED], 6, DeviceState.ERASED),
        ([QUEUED, NOT_NOW], 5, DeviceState.NOT_NOW),
        ([QUEUED, NOT_NOW, FAILED], 5, DeviceState.FAILED),
        ([QUEUED, NOT_NOW, FAILED], 8, DeviceState.ERASED),
        ([QUEUED, FAILED, ACKNOWLEDGED], 7, DeviceState.ACKNOWLEDGED),
        ([QUEUED, FAILED, ACKNOWLEDGED], 8, DeviceState.ERASED),
        ([QUEUED, FAILED, Progress(revision=1, queued=200, epoch=5)], 5, DeviceState.QUEUED),
        ([QUEUED, ACKNOWLEDGED, Progress(revision=1, queued=200, epoch=8)], 8, DeviceState.QUEUED),
        ([ACKNOWLEDGED], 7, DeviceState.ACKNOWLEDGED),
        ([ACKNOWLEDGED, Progress(revision=2, queued=200, epoch=5)], 5, DeviceState.NOT_SENT),
    ],
)
def test_records_of_a_former_enrollment_do_not_count(
    reports: list[Progress], epoch: int, expected: DeviceState
) -> None:
    """A command counts if the enrollment was known before it, and an answer by its own time."""  # R42
    assert status(reduce(Progress.union, reports), epoch=epoch) == expected


def test_a_profile_that_was_not_published_last_is_not_sent() -> None:
    """Nothing is known of a device without a record, and of a profile that is not published."""
    assert status(None) == DeviceState.NOT_SENT
    assert status(ACKNOWLEDGED, revision=None) == DeviceState.NOT_SENT


def test_a_later_list_and_a_new_enrollment_withdraw_a_proof() -> None:
    """A certificate is proved only by the last list of the current enrollment."""  # R44
    listed = Enrollment(seen=3, listed=3)
    assert listed.is_proved(3)
    assert not listed.is_proved(NEVER)
    assert not listed.union(Enrollment(listed=4)).is_proved(3)
    assert not listed.union(Enrollment(authenticated=4)).is_proved(3)
    assert listed.union(Enrollment(authenticated=2)).is_proved(3)


def test_a_device_has_left_after_a_checkout_only() -> None:
    """A device that was seen again, or whose Authenticate is later, has not left."""
    gone = Enrollment(seen=3, gone=4)
    assert gone.has_left(5)
    assert not gone.has_left(4)
    assert not gone.union(Enrollment(seen=4)).has_left(5)
    assert not gone.union(Enrollment(authenticated=6)).has_left(5)
    assert (gone.is_enrolled, gone.union(Enrollment(seen=4)).is_enrolled) == (False, True)
    assert not Enrollment(authenticated=3).is_enrolled


def test_times_are_microseconds_in_any_zone() -> None:
    """A time keeps its microseconds, also before 1970. A time without a zone is an error."""
    for at in (datetime(1, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)):
        assert time_of(microseconds(at)) == at
        assert microseconds(at) > NEVER
    berlin = datetime(2040, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert microseconds(berlin) == microseconds(datetime(2040, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="zone"):
        microseconds(datetime(2040, 1, 1))  # noqa: DTZ001 - the error
