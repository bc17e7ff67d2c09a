"""Contract of ``Ledger.record_events``: the devices whose enrollment began. Each test runs with each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.core.ledger.registers import Enrollment, began, microseconds
from ios_mdm.core.ledger.values import DeviceEvent
from tests.support.long import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.ports import Ledger

START = datetime(2040, 1, 1, tzinfo=UTC)


def event(kind: str, second: int, device: str = "a") -> DeviceEvent:
    """Return an event of a device. Its identity derives from its content."""
    at = START + timedelta(seconds=second)
    return DeviceEvent(
        identity=uuid5(NAMESPACE_OID, f"{kind} {second} {device}").bytes,
        at=at,
        topic=f"mdm.{kind}",
        enrollment_id=device,
        enrolled={"TokenUpdate": True, "Connect": True, "CheckOut": False}.get(kind),
        authenticated=kind == "Authenticate",
    )


def begin(ledger: Ledger, *events: DeviceEvent) -> Sequence[str]:
    """Record events in one call; return the devices whose enrollment began."""
    return ledger.record_events(events, now=START)


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    """An empty ledger."""
    return new_ledger()


@pytest.mark.parametrize("topic", ["TokenUpdate", "Connect"])
def test_the_first_sign_of_life_begins_an_enrollment(ledger: Ledger, topic: str) -> None:
    """Later signs of life and copies do not."""  # R43
    assert begin(ledger, event("Authenticate", 1)) == ()
    assert begin(ledger, event(topic, 2)) == ("a",)
    assert begin(ledger, event(topic, 2)) == ()
    assert begin(ledger, event("TokenUpdate", 3), event("Authenticate", 1)) == ()


def test_events_in_the_wrong_order_begin_an_enrollment(ledger: Ledger) -> None:
    """The Authenticate may arrive last. A sign of life before it does not count."""  # R43
    assert begin(ledger, event("TokenUpdate", 2)) == ()
    assert begin(ledger, event("Authenticate", 1)) == ("a",)
    assert begin(ledger, event("Authenticate", 5)) == ()
    assert begin(ledger, event("TokenUpdate", 4)) == ()
    assert begin(ledger, event("TokenUpdate", 6)) == ("a",)


def test_events_of_one_call_begin_an_enrollment_once(ledger: Ledger) -> None:
    """Each device is returned once, and not if it has left again."""  # R43
    events = [
        event(kind, at, one) for one in "ab" for at, kind in enumerate(("Authenticate", "TokenUpdate", "Connect"))
    ]
    gone = [event("Authenticate", 1, "c"), event("TokenUpdate", 2, "c"), event("CheckOut", 3, "c")]
    assert sorted(begin(ledger, *events, *gone)) == ["a", "b"]
    assert begin(ledger, event("TokenUpdate", 4, "c")) == ()


def test_a_device_without_an_authenticate_began_at_an_unknown_time(ledger: Ledger) -> None:
    """Devices that enrolled before the collector was started are not new."""  # R43
    assert begin(ledger, event("TokenUpdate", 1), event("Connect", 2)) == ()


EVENTS = st.builds(event, st.sampled_from(["Authenticate", "TokenUpdate", "CheckOut"]), st.integers(0, 5))


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.lists(EVENTS, min_size=1, max_size=4), max_size=5))
def test_each_epoch_begins_once(new_ledger: Callable[[], Ledger], calls: list[list[DeviceEvent]]) -> None:
    """In any order and with copies, the ledger returns what the pure rules return."""  # R43
    ledger, known = new_ledger(), Enrollment()
    for events in calls:
        before = known
        for one in events:
            at = microseconds(one.at)
            kind = {True: "seen", False: "gone", None: "authenticated"}[one.enrolled]
            known = known.union(Enrollment(**{kind: at}))
        assert begin(ledger, *events) == (("a",) if began(before, known) else ())
