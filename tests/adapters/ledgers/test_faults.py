"""Crashes, and faults of DynamoDB and of the network, at each call of a ledger. The records are the same afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from ios_mdm.adapters.ledgers.dynamodb import table
from ios_mdm.adapters.ledgers.dynamodb.items import device_key
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, EnqueuedCommand
from ios_mdm.errors import DeliveryError
from tests.support.long import bounds
from tests.support.tables import (
    Calls,
    Crash,
    Tables,
    cells_by_counters,
    cells_by_devices,
    crash_after,
    crash_before,
    lost_answer,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger

START = datetime(2040, 1, 1, tzinfo=UTC)
FIRST = b"1" * 32
FAULTY = bounds(4, long=1_000)
"""Number of writes that fail, one in each run of all steps. In `make test-long`, each write fails once."""


def later(seconds: int) -> datetime:
    """Return a time after the start."""
    return START + timedelta(seconds=seconds)


def event(number: int, device: str, **fields: Any) -> DeviceEvent:
    """Return an event with this number, which is also its time."""
    identity = number.to_bytes(16, "big")
    return DeviceEvent(identity=identity, at=later(number), topic="mdm.Connect", enrollment_id=device, **fields)


def answer_field(uuid: str) -> dict[str, Answer]:
    """Return the field of an event that acknowledges a command."""
    return {"answer": Answer(command_uuid=uuid, status=AnswerStatus.ACKNOWLEDGED)}


EVENTS = (
    event(1, "a", authenticated=True),
    event(2, "a", enrolled=True, certificates=frozenset({FIRST})),
    event(3, "b", enrolled=True, **answer_field("c1")),
    event(4, "c", enrolled=True, **answer_field("other")),
    event(5, "d", enrolled=False),
)

RETURN = (event(6, "b", authenticated=True), event(7, "b", enrolled=True))


def publish(ledger: DynamoDbLedger, number: int) -> object:
    """Publish a profile."""
    profile = str(number).encode()
    return ledger.publish("berlin", profile, certificates=[FIRST], seed=UUID(int=number), at=later(number))


def enqueue(ledger: DynamoDbLedger) -> object:
    """Record a command for two devices, one of which has answered it."""
    publication = ledger.publication("berlin")
    assert publication is not None
    ledger.record_commands(
        [EnqueuedCommand(command_uuid="c1", epochs={"a": NEVER, "b": NEVER}, at=later(4))], publication=publication
    )
    return None


STEPS: Sequence[Callable[[DynamoDbLedger], object]] = (
    lambda ledger: publish(ledger, 1),
    lambda ledger: publish(ledger, 2),
    lambda ledger: ledger.record_events(EVENTS, now=later(5)),
    enqueue,
    lambda ledger: ledger.record_events(
        [event(6, "b", authenticated=True), event(7, "b", enrolled=True)], now=later(7)
    ),
    lambda ledger: ledger.record_asked(["a", "c"], at=later(8)),
    lambda ledger: ledger.claim_push("a", at=later(9), limit=1),
    lambda ledger: ledger.delete_devices(left_before=later(9)),
)
"""Each step returns what the ledger returned."""
RETURNED = [("a",), None, ("b",), None, True, 1]
"""Results of the steps after the two publications."""


def records(ledger: DynamoDbLedger) -> object:
    """Return all records, after comparing the counters with the devices."""
    for server in ("", "berlin"):
        assert cells_by_counters(ledger, server) == cells_by_devices(ledger, server)
    return ledger.publications(), [(one, replace(found.device, strayed=0)) for one, found in ledger.stored_devices()]


@pytest.fixture(autouse=True)
def _unpaused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between attempts."""
    monkeypatch.setattr(table, "pause", lambda _seconds: None)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)


@pytest.fixture
def sequential(tables: Tables) -> Tables:
    """Tables with one call after the other, so that each call has a number."""
    tables.parallel = 1
    return tables


@pytest.fixture
def expected(sequential: Tables) -> tuple[int, object]:
    """Return the number of writes of all steps, and the records after them."""
    ledger = sequential.new_ledger()
    with Calls()(sequential.aws) as calls:
        assert [step(ledger) for step in STEPS][2:] == RETURNED
    return calls.count, records(ledger)


def faulty(count: int, *, start: int) -> Sequence[int]:
    """Return the numbers of the writes that fail, spread over *count* writes.

    Args:
        count: number of writes of all steps.
        start: first of these writes, so that different faults let different writes fail.
    """
    step = max(1, count // FAULTY)
    return range(start % step, count, step)


@pytest.mark.parametrize("fault", [crash_before, crash_after])
def test_a_repetition_after_a_crash_has_the_same_result(
    fault: Any, sequential: Tables, expected: tuple[int, object]
) -> None:
    """A process ends before or after each single call, and another one repeats the step."""  # R41
    count, after = expected
    for number in faulty(count, start=fault is crash_before):
        ledger, calls = sequential.new_ledger(), Calls(fault, number)
        with calls(sequential.aws):
            for step in STEPS:
                try:
                    step(ledger)
                except Crash:
                    step(ledger)
        assert calls.count > number
        assert records(ledger) == after, number


BUSY = {
    "throttling": refusal("ThrottlingException", message="Rate exceeded"),
    "lost answer": lost_answer,
    "conflict": refusal(
        "TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": "TransactionConflict"}]
    ),
    "throttled transaction": refusal(
        "TransactionCanceledException", CancellationReasons=[{"Code": "ThrottlingError"}, {"Code": "None"}]
    ),
    "changed item": refusal(
        "TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
    ),
}


@pytest.mark.parametrize("name", BUSY)
def test_each_step_succeeds_in_spite_of_a_fault(name: str, sequential: Tables, expected: tuple[int, object]) -> None:
    """The adapter tries again, and each step returns its result: an enrollment that began is reported."""  # R41
    count, after = expected
    for number in faulty(count, start=list(BUSY).index(name)):
        ledger = sequential.new_ledger()
        with Calls(BUSY[name], number)(sequential.aws):
            returned = [step(ledger) for step in STEPS]
        assert returned[2:] == RETURNED, number
        assert records(ledger) == after, number


def test_a_throttled_read_is_repeated(sequential: Tables) -> None:
    """Each call of a read is refused once."""
    ledger = sequential.new_ledger()
    publish(ledger, 1)
    with Calls(operation="")(sequential.aws) as calls:
        after = ledger.publications()
    for number in range(calls.count):
        with Calls(BUSY["throttling"], number, operation="")(sequential.aws):
            assert ledger.publications() == after


def test_items_that_were_not_read_are_read_again(sequential: Tables) -> None:
    """A BatchGetItem may leave keys out, for example because of throttling."""
    ledger, cut = sequential.new_ledger(), list[int]()
    ledger.record_asked(["a", "b"], at=START)
    keys = [device_key(one).attributes for one in ("a", "b")]

    def without_items(*, parsed: dict[str, Any], **_rest: object) -> None:
        if not cut:
            cut.append(1)
            missing = {ledger.table.name: {"Keys": keys, "ConsistentRead": True}}
            parsed.update(Responses={}, UnprocessedKeys=missing)

    client: Any = sequential.aws.dynamodb()
    client.meta.events.register("after-call.dynamodb.BatchGetItem", without_items)
    try:
        found = list(ledger.devices("berlin", enrollment_ids=["a", "b"]))
    finally:
        client.meta.events.unregister("after-call.dynamodb.BatchGetItem", without_items)
    assert cut
    assert [one.enrollment.asked != NEVER for one in found] == [True, True]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            BUSY["conflict"],
            "DynamoDB throttles, or other processes changed the same records during each of 12 attempts",
        ),
        (BUSY["changed item"], "during each of 12 attempts. Wait a minute, and run again"),
        (
            refusal(
                "TransactionCanceledException", CancellationReasons=[{"Code": "ValidationError", "Message": "big"}]
            ),
            r"DynamoDB reports ValidationError \(big\)",
        ),
        (refusal("AccessDeniedException", message="no"), "Allow dynamodb:TransactWriteItems on this table"),
    ],
)
def test_a_lasting_fault_is_an_error(fault: Any, message: str, sequential: Tables) -> None:
    """The error names the ledger, the fault and what to do."""
    ledger = sequential.new_ledger()
    with Calls(fault)(sequential.aws), pytest.raises(DeliveryError, match=message) as caught:
        ledger.record_asked(["a"], at=START)
    assert str(caught.value).startswith(f"the ledger dynamodb://{ledger.table.name} cannot be used: ")


def test_a_missing_table_is_an_error_with_the_command_that_creates_it(sequential: Tables) -> None:
    """No method creates the table."""  # R41
    ledger = replace(sequential.new_ledger(), table=table.Table(sequential.aws, "missing"))
    reads = (ledger.enrolled_ids, ledger.publications, lambda: list(ledger.devices("berlin", enrollment_ids=["a"])))
    writes = (lambda: ledger.record_asked(["a"], at=START), lambda: ledger.record_events((), now=START))
    for call in (*reads, *writes):
        with pytest.raises(DeliveryError, match=r"ios-mdm ledger create --ledger dynamodb://missing\)") as caught:
            call()
        assert str(caught.value).endswith("run again")  # callers add a sentence after a period
