"""Property tests of the ledger in DynamoDB on ministack: random reports, copies, and two writers at the same time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.adapters.ledgers.dynamodb import table
from ios_mdm.core.ledger.registers import NEVER, Enrollment, Finality, LastAnswer, Progress, microseconds
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import (
    Answer,
    AnswerStatus,
    DeviceEvent,
    DeviceRecord,
    DeviceState,
    EnqueuedCommand,
    StatePolicy,
)
from ios_mdm.parallel import run_concurrently, run_sequentially
from tests.support.long import examples
from tests.support.tables import cells_by_counters, cells_by_devices

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger
    from ios_mdm.core.ledger.values import Publication
    from tests.support.tables import Tables

START = datetime(2040, 1, 1, tzinfo=UTC)
DEVICES = ("a", "b")
FIRST, SECOND = b"1" * 32, b"2" * 32
COMMANDS = (("c1", 1, 0, NEVER), ("c2", 2, 1, NEVER), ("c3", 2, 2, microseconds(START + timedelta(days=2))))
"""CommandUUID, revision, day and known epoch of each command."""


def day(number: int) -> datetime:
    """Return a time after the start. The days of the counters are whole days."""
    return START + timedelta(days=number)


class Report(NamedTuple):
    """A report about a device: a queued command, or an event.

    Args:
        number: number of the report. Copies have the same number.
        kind: `queued` for all devices, a status of an answer, `listed`, or a field of ``Enrollment``.
        device: enrollment id of an event.
        command: index of the command in COMMANDS, for `queued` and answers.
        day: day of the event.
    """

    number: int
    kind: str
    device: str
    command: int
    day: int

    @property
    def event(self) -> DeviceEvent:
        """The event of a report that is not `queued`."""
        answer = None
        if self.kind in {*AnswerStatus}:
            answer = Answer(command_uuid=COMMANDS[self.command][0], status=AnswerStatus(self.kind))
        return DeviceEvent(
            identity=self.number.to_bytes(16, "big"),
            at=day(self.day),
            topic="mdm.Connect",
            enrollment_id=self.device,
            enrolled={"seen": True, "gone": False}.get(self.kind),
            authenticated=self.kind == "authenticated",
            answer=answer,
            certificates=frozenset({(FIRST, SECOND)[self.command % 2]}) if self.kind == "listed" else None,
        )


KINDS = ["queued", "queued", *map(str, AnswerStatus), "authenticated", "seen", "gone", "listed"]
REPORTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(DEVICES), st.integers(0, 2), st.integers(0, 4)),
    min_size=2,
    max_size=10,
).map(lambda rows: [Report(number, *row) for number, row in enumerate(rows)])


def write(ledger: DynamoDbLedger, reports: Sequence[Report], publications: Sequence[Publication]) -> Sequence[str]:
    """Record reports one after the other; return the devices whose enrollment began."""
    begun: list[str] = []
    for one in reports:
        uuid, revision, queued, epoch = COMMANDS[one.command]
        if one.kind == "queued":
            epochs = dict.fromkeys(DEVICES, epoch)
            ledger.record_commands(
                [EnqueuedCommand(command_uuid=uuid, epochs=epochs, at=day(queued))],
                publication=publications[revision - 1],
            )
        else:
            begun += ledger.record_events([one.event], now=day(5))
    return begun


def expected_record(reports: Sequence[Report], device: str) -> DeviceRecord:
    """Return the record of a device from the pure rules."""
    enrollment, progresses, reported = Enrollment(), list[Progress](), dict[bytes, int]()
    known = {one.command for one in reports if one.kind == "queued"}
    for one in reports:
        if device != one.device and one.kind != "queued":
            continue
        _, revision, queued, epoch = COMMANDS[one.command]
        at, queued = microseconds(day(one.day)), microseconds(day(queued))
        if one.kind == "queued":
            progresses.append(Progress(revision=revision, queued=queued, epoch=epoch))
        elif one.kind == "listed":
            enrollment = enrollment.union(Enrollment(listed=at))
            certificate = (FIRST, SECOND)[one.command % 2]
            reported[certificate] = max(at, reported.get(certificate, NEVER))
        elif one.kind in {"authenticated", "seen", "gone"}:
            enrollment = enrollment.union(Enrollment(**{one.kind: at}))
        elif one.command in known:
            finality = Finality.ERROR if one.kind == AnswerStatus.ERROR else Finality.NOT_NOW
            progresses.append(
                Progress(revision=revision, acknowledged=at)
                if one.kind == AnswerStatus.ACKNOWLEDGED
                else Progress(revision=revision, answer=LastAnswer(queued, finality, at, ""))
            )
    progress = reduce(Progress.union, progresses) if progresses else None
    return DeviceRecord(enrollment_id=device, enrollment=enrollment, progress=progress, reported=reported)


POLICIES = [
    StatePolicy(revision=revision, certificates=certificates, silent_before=microseconds(day(silent)))
    for revision in (1, 2, None)
    for certificates in (frozenset[bytes](), frozenset({FIRST}), frozenset({FIRST, SECOND}))
    for silent in (0, 2, 9)
]


@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reports=REPORTS.flatmap(lambda one: st.tuples(st.just(one), st.permutations(one + one[:3]))),
    run=st.sampled_from([run_concurrently, run_sequentially]),
)
def test_two_writers_give_the_records_of_the_pure_rules(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, reports: tuple[list[Report], list[Report]], run: Any
) -> None:
    """Two processes write the reports in any order, one after the other or at the same time, with copies."""  # R41 R42
    monkeypatch.setattr(table, "pause", lambda _seconds: None)
    once, arriving = reports
    ledger = tables.new_ledger()
    publications = [
        ledger.publish("berlin", profile, certificates=[FIRST, SECOND], seed=UUID(int=number), at=START)
        for number, profile in enumerate([b"a profile", b"another profile"])
    ]
    halves = [partial(write, ledger, arriving[start::2], publications) for start in (0, 1)]
    begun = {one for future in run(halves) for one in future.result()}

    wanted = [expected_record(once, one) for one in DEVICES]
    assert list(ledger.devices("berlin", enrollment_ids=DEVICES)) == wanted
    known = [one for one in wanted if one.enrollment.is_known]
    assert list(ledger.devices("berlin")) == known
    assert {one.enrollment_id for one in known if one.enrollment.has_begun} <= begun
    for server in ("", "berlin"):
        assert cells_by_counters(ledger, server) == cells_by_devices(ledger, server)
    for policy in POLICIES:
        states = Counter(device_status(one, policy).state for one in known)
        assert ledger.counts("berlin", policy) == {state: states[state] for state in DeviceState}
