"""Tests of the state of a device: what each state means, and which one counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.ledger.registers import NEVER, Enrollment, Finality, LastAnswer, Progress, began, time_of
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, DeviceStatus, StatePolicy

FIRST, SECOND = bytes(32), b"1" * 32
ENROLLED = Enrollment(authenticated=10, seen=11)
QUEUED = Progress(revision=2, queued=20, epoch=10)
OLD = Progress(revision=2, queued=5, epoch=NEVER, acknowledged=6)
TIMES = st.just(NEVER) | st.integers(1, 4)
ENROLLMENTS = st.builds(Enrollment, authenticated=TIMES, seen=TIMES, gone=TIMES, listed=TIMES)


def progress_with(finality: Finality, *, at: int = 30) -> Progress:
    """Return the record of a queued profile with an answer."""
    answer = LastAnswer(queued=20, finality=finality, at=at, detail="no space" if finality else "")
    return QUEUED.union(Progress(revision=2, answer=answer))


def status(
    enrollment: Enrollment = ENROLLED,
    progress: Progress | None = None,
    *,
    reported: dict[bytes, int] | None = None,
    revision: int | None = 2,
    is_proof_configured: bool = True,
    silent_before: int = NEVER,
) -> DeviceStatus:
    """Return the state of revision 2, which has two certificates."""
    record = DeviceRecord(enrollment_id="a", enrollment=enrollment, progress=progress, reported=reported or {})
    policy = StatePolicy(
        revision=revision,
        certificates=frozenset({FIRST, SECOND}),
        is_proof_configured=is_proof_configured,
        silent_before=silent_before,
    )
    return device_status(record, policy)


@pytest.mark.parametrize(
    ("enrollment", "progress", "state", "at"),
    [
        (Enrollment(), None, DeviceState.NOT_SENT, None),
        (ENROLLED, None, DeviceState.NOT_SENT, None),
        (ENROLLED, QUEUED, DeviceState.QUEUED, 20),
        (ENROLLED, progress_with(Finality.NOT_NOW), DeviceState.NOT_NOW, 30),
        (ENROLLED, progress_with(Finality.ERROR), DeviceState.FAILED, 30),
        (ENROLLED, QUEUED.union(Progress(revision=2, acknowledged=25)), DeviceState.ACKNOWLEDGED, 25),
        (ENROLLED, OLD, DeviceState.ERASED, 10),
        (Enrollment(authenticated=10, seen=9), None, DeviceState.ERASED, 10),
        (Enrollment(authenticated=10, seen=9), QUEUED, DeviceState.QUEUED, 20),
        (Enrollment(authenticated=10, seen=11, gone=12), QUEUED, DeviceState.GONE, 12),
        (Enrollment(authenticated=13, seen=11, gone=12), QUEUED, DeviceState.ERASED, 13),
        (Enrollment(seen=13, gone=12), OLD, DeviceState.NOT_SENT, None),
    ],
)
def test_each_state(enrollment: Enrollment, progress: Progress | None, state: DeviceState, at: int | None) -> None:
    """A state has the time of its event or its command."""  # R41 R42
    found = status(enrollment, progress)
    assert (found.state, found.at) == (state, None if at is None else time_of(at))
    assert found.detail == ("no space" if state is DeviceState.FAILED else "")


def test_a_list_with_each_certificate_is_a_proof() -> None:
    """A proof counts without an acknowledgement, and needs each certificate in the last list of the enrollment."""
    # R44
    listed = Enrollment(authenticated=10, seen=11, listed=40)
    both = {FIRST: 40, SECOND: 40}
    found = status(listed, QUEUED, reported=both)
    assert (found.state, found.at, found.has_profile) == (DeviceState.PROVED, time_of(40), True)
    assert status(listed, reported=both, revision=None).state == DeviceState.PROVED
    assert status(listed, progress_with(Finality.ERROR), reported=both).state == DeviceState.PROVED
    assert status(listed, QUEUED, reported={FIRST: 40}).state == DeviceState.QUEUED
    assert status(listed, QUEUED, reported={FIRST: 40, SECOND: 39}).state == DeviceState.QUEUED
    again = listed.union(Enrollment(authenticated=41, seen=42))
    assert status(again, QUEUED, reported=both).state == DeviceState.ERASED
    none = StatePolicy(revision=2, is_proof_configured=True)
    assert device_status(DeviceRecord(enrollment_id="a"), none).state == DeviceState.NOT_SENT


@pytest.mark.parametrize("is_proof_configured", [True, False])
def test_an_acknowledged_profile_counts_only_without_proof(*, is_proof_configured: bool) -> None:
    """If lists of certificates are requested, a device has the profile only if it proves that."""  # R44
    found = status(progress=Progress(revision=2, acknowledged=25), is_proof_configured=is_proof_configured)
    assert (found.state, found.has_profile) == (DeviceState.ACKNOWLEDGED, not is_proof_configured)


def test_a_device_without_an_answer_becomes_silent() -> None:
    """The device was neither seen nor sent the command since the time. NotNow is not a final answer."""  # R41
    silent = status(progress=QUEUED, silent_before=21)
    assert (silent.state, silent.at, silent.since) == (DeviceState.SILENT, time_of(20), time_of(11))
    never = status(Enrollment(), QUEUED, silent_before=21)
    assert (never.state, never.since) == (DeviceState.SILENT, time_of(20))
    assert status(progress=QUEUED, silent_before=20).state == DeviceState.QUEUED
    assert status(ENROLLED.union(Enrollment(seen=21)), QUEUED, silent_before=21).state == DeviceState.QUEUED
    assert status(progress=progress_with(Finality.NOT_NOW), silent_before=30).state == DeviceState.NOT_NOW
    assert status(progress=progress_with(Finality.NOT_NOW), silent_before=31).state == DeviceState.SILENT
    for progress, state in (
        (progress_with(Finality.ERROR), DeviceState.FAILED),
        (Progress(revision=2, acknowledged=25), DeviceState.ACKNOWLEDGED),
        (None, DeviceState.NOT_SENT),
    ):
        assert status(progress=progress, silent_before=100).state == state


def test_an_enrollment_begins_once() -> None:
    """It begins with the Authenticate and a later sign of life, whichever is reported first."""  # R43
    nothing, asked, seen = Enrollment(), Enrollment(authenticated=10), Enrollment(seen=11)
    both = asked.union(seen)
    assert not began(nothing, asked)
    assert not began(nothing, seen)
    assert began(asked, both)
    assert began(seen, both)
    assert not began(both, both.union(Enrollment(seen=20)))
    assert not began(asked, asked.union(Enrollment(seen=9)))
    assert not began(both, both.union(Enrollment(gone=20)))
    left = both.union(Enrollment(gone=20))
    assert not began(left, left.union(Enrollment(seen=21)))
    assert began(left, left.union(Enrollment(authenticated=20, seen=21)))


@given(st.lists(ENROLLMENTS, max_size=8))
def test_each_epoch_begins_at_most_once(reports: list[Enrollment]) -> None:
    """In any order of reports, no epoch is returned twice, and the last one is returned if it has begun."""  # R43
    found, known = list[int](), Enrollment()
    for one in reports:
        after = known.union(one)
        if began(known, after):
            found.append(after.epoch)
        known = after
    assert len(found) == len(set(found))
    assert found == sorted(found)
    assert known.has_begun == (known.epoch in found)
