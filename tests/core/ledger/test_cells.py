"""The counts of cells are those of the pure rules, for any devices and any policy."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.ledger.cells import Cell, State, cells, states
from ios_mdm.core.ledger.registers import NEVER, Enrollment, Finality, LastAnswer, Progress
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, StatePolicy

DAY = 86_400_000_000
CERTIFICATES = {bytes([number]) * 32: number for number in (1, 2)}
"""Number of each certificate."""

TIMES = st.one_of(st.just(NEVER), st.integers(0, 12).map(lambda half: half * DAY // 2))
ENROLLMENTS = st.builds(Enrollment, authenticated=TIMES, seen=TIMES, gone=TIMES, listed=TIMES)
ANSWERS = st.builds(
    LastAnswer, queued=TIMES, finality=st.sampled_from(Finality), at=TIMES, detail=st.sampled_from(["", "x"])
)
PROGRESS = st.none() | st.builds(
    Progress, revision=st.integers(1, 2), queued=TIMES, epoch=TIMES, acknowledged=TIMES, answer=ANSWERS
)
RECORDS = st.builds(
    DeviceRecord,
    enrollment_id=st.just("a"),
    enrollment=ENROLLMENTS,
    progress=PROGRESS,
    reported=st.dictionaries(st.sampled_from(sorted(CERTIFICATES)), TIMES.filter(lambda at: at != NEVER)),
)
POLICIES = st.builds(
    StatePolicy,
    revision=st.sampled_from([1, 2, None]),
    certificates=st.frozensets(st.sampled_from([*sorted(CERTIFICATES), b"9" * 32])),
    silent_before=TIMES,
)


def cells_of(record: DeviceRecord) -> dict[str, Cell]:
    """Return the cells of a device with a record for the server `berlin`, after writing and reading their texts."""
    progress = {} if record.progress is None else {"berlin": record.progress}
    reported = {CERTIFICATES[one]: at for one, at in record.reported.items()}
    found = cells(record.enrollment, progress, reported)
    assert {server: Cell.from_text(one.text) for server, one in found.items()} == found
    return found


@given(records=st.lists(RECORDS, max_size=5), policy=POLICIES)
def test_the_counts_of_cells_are_those_of_the_pure_rules(records: list[DeviceRecord], policy: StatePolicy) -> None:
    """Only devices of a cell that is open can be silent or not; all others have the state of the pure rules."""  # R41
    known = [one for one in records if one.enrollment.is_known]
    found = [cells_of(one) for one in records]
    everywhere = Counter(one[""] for one in found if one)
    of_server = Counter(one["berlin"] for one in found if "berlin" in one)
    counts = states(everywhere, of_server, policy, CERTIFICATES)
    assert counts.total() == len(known)
    open_states = {one.state for one in counts if one.is_open}
    expected = Counter(device_status(one, policy).state for one in known)
    for state in set(DeviceState) - open_states - {DeviceState.SILENT}:
        assert counts[State(state)] == expected[state]
    if not open_states:
        assert counts[State(DeviceState.SILENT)] == expected[DeviceState.SILENT]


@given(record=RECORDS, day=st.integers(0, 7))
def test_a_time_at_the_start_of_a_day_needs_no_device(record: DeviceRecord, day: int) -> None:
    """If silence is computed for whole days, no cell is open."""
    found = cells_of(record)
    everywhere, of_server = (Counter(one for name, one in found.items() if name == server) for server in ("", "berlin"))
    policy = StatePolicy(revision=1, silent_before=day * DAY)
    assert not any(one.is_open for one in states(everywhere, of_server, policy, CERTIFICATES))


def test_a_device_that_is_not_known_is_in_no_cell() -> None:
    """A device that was only sent commands is not counted."""
    assert cells(Enrollment(asked=1), {"berlin": Progress(revision=1, queued=1)}, {}) == {}
