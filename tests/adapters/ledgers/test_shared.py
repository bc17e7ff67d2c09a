"""A ledger in DynamoDB that two pipelines, `status` and a collector open by its URL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ios_mdm.adapters.ledgers.dynamodb import ledger as ledger_module
from ios_mdm.adapters.ledgers.opening import table_name
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, DeviceState, StatePolicy
from ios_mdm.errors import DefinitionError, DeliveryError
from ios_mdm.wiring import Wiring
from tests.support.events import record_answer, record_authenticate, record_device, record_sent
from tools.services import ministack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.tables import Tables

START = datetime(2040, 1, 1, tzinfo=UTC)


def other_wiring(tables: Tables, base: Path) -> Wiring:
    """Return the wiring of another process."""
    return Wiring(environ=dict(tables.aws.environ), base=base)


def test_all_processes_see_the_same(tables: Tables, tmp_path: Path) -> None:
    """A second pipeline sends only what is missing, and `status` counts what the collector recorded."""  # R41
    url = tables.new_ledger().table.url
    first, second, collector, status = (other_wiring(tables, tmp_path / one).ledger(url, None) for one in "1234")
    for device in ("a", "b"):
        record_authenticate(collector, device, at=START)
        record_device(collector, device, enrolled=True, at=START + timedelta(seconds=1))
    assert second.enrolled_ids() == ("a", "b")
    record_sent(first, "c1", enrollment_ids=["a"], at=START)
    record_answer(collector, "c1", "a", AnswerStatus.ACKNOWLEDGED, at=START + timedelta(seconds=2))

    published = second.publish("berlin", b"a profile", certificates=(), seed=uuid4(), at=START)
    assert published == first.publication("berlin")
    assert list(second.waiting("berlin", published.revision, enrollment_ids=["a", "b"])) == ["b"]
    counts = status.counts("berlin", StatePolicy(revision=published.revision))
    assert {state: count for state, count in counts.items() if count} == {
        DeviceState.ACKNOWLEDGED: 1,
        DeviceState.NOT_SENT: 1,
    }
    assert [second.claim_push("b", at=START, limit=2), collector.claim_push("b", at=START, limit=2)] == [True, True]
    assert not first.claim_push("b", at=START, limit=2)


def test_the_region_of_the_definition_is_used(tables: Tables, tmp_path: Path) -> None:
    """A table of another region is another table."""
    url = tables.new_ledger().table.url
    here = other_wiring(tables, tmp_path)
    assert here.ledger(url, ministack.REGION).enrolled_ids() == ()
    with pytest.raises(DeliveryError, match="the table does not exist in this account and region"):
        here.ledger(url, "us-east-1").enrolled_ids()


@pytest.mark.parametrize(
    "url", ["dynamodb://", "dynamodb://ab", "dynamodb:///table", "dynamodb://a table", "dynamodb://t?x"]
)
def test_another_form_is_refused(url: str, tmp_path: Path) -> None:
    """The error has the forms of a URL."""
    assert table_name(url) is None
    with pytest.raises(DefinitionError, match=r"sqlite:////absolute/path or dynamodb://table"):
        Wiring(environ={}, base=tmp_path).ledger(url, None)


def test_devices_are_sorted_over_all_parts(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shards are read in parts, and the result has each device once, in order."""
    monkeypatch.setattr(ledger_module, "_PAGE", 2)
    ledger = tables.new_ledger()
    ids = sorted(str(number) for number in range(200))
    ledger.record_asked(ids, at=START)
    assert [one for one, _ in ledger.stored_devices()] == ids


def test_a_profile_that_is_too_large_is_an_error(tables: Tables) -> None:
    """An item has at most 400 KB. The error has the size and the limit."""
    with pytest.raises(DeliveryError, match=r"has 350001 bytes, and a ledger in DynamoDB takes at most 350000"):
        tables.new_ledger().publish("berlin", b"x" * 350_001, certificates=(), seed=uuid4(), at=START)


def test_a_large_profile_is_published(tables: Tables) -> None:
    """A profile of the maximum size is returned unchanged."""
    ledger = tables.new_ledger()
    published = ledger.publish("berlin", b"x" * 350_000, certificates=(), seed=uuid4(), at=START)
    assert ledger.publication("berlin") == published


def test_empty_cells_are_deleted(tables: Tables) -> None:
    """Counters of cells without devices do not remain."""
    ledger = tables.new_ledger()
    for number in range(4):
        record_device(ledger, "a", enrolled=number % 2 == 1, at=START + timedelta(days=number))
        record_sent(ledger, f"c{number}", enrollment_ids=["a"], at=START + timedelta(days=number))
    before = len(list(ledger.table.query("N#berlin")))
    ledger.delete_devices(left_before=START)
    after = list(ledger.table.query("N#berlin"))
    assert len(after) < before
    assert sum(int(one["n"]["N"]) for one in after) == 1


def test_events_of_a_device_need_several_transactions(tables: Tables) -> None:
    """A transaction has at most 100 items. A device that left with the last events is not returned as enrolled."""
    ledger = tables.new_ledger()

    def event(number: int, device: str, **fields: Any) -> DeviceEvent:
        answer = Answer(command_uuid=f"other {number}", status=AnswerStatus.ACKNOWLEDGED)
        at = START + timedelta(seconds=number)
        identity = uuid4().bytes
        return DeviceEvent(identity=identity, at=at, topic="mdm.Connect", enrollment_id=device, answer=answer, **fields)

    events = [
        event(number, device, authenticated=number == 0, enrolled=None if number == 0 else True)
        for number in range(50)
        for device in ("left", "here")
    ]
    events.append(event(50, "left", enrolled=False))
    assert ledger.record_events(events, now=START) == ("here",)
    assert ledger.enrolled_ids() == ("here",)
    assert len(list(ledger.table.query("S#here"))) == 50
    assert ledger.record_events(events, now=START) == ()
