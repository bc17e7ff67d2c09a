"""A pair's life, played forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from provider.core.definition import AfterDays, IssueMain, IssueReserve, NoReserve, PairDefinition, When
from provider.core.forecast import Event, forecast

START = datetime(2040, 1, 1, tzinfo=UTC)
EXPIRES = START - timedelta(minutes=5) + timedelta(days=397)


def _pair(reserve: IssueReserve | NoReserve | None = None) -> PairDefinition:
    return PairDefinition(name="berlin", host="mdm.example.com", reserve=reserve)


def _named(events: tuple[Event, ...], name: str) -> list[datetime]:
    return [event.at for event in events if event.event == name]


def test_an_automatic_reserve_comes_sixty_days_before_and_is_applied_a_day_before_the_expiry() -> None:
    """Issue, distribute, switch, and the next cycle from the new main's dates."""  # R3 R6 R12
    events = forecast(_pair(), start=START, days=800)
    issued = EXPIRES - timedelta(days=60)
    assert _named(events, "issue-main") == [START]
    assert _named(events, "issue-reserve")[0] == issued
    assert _named(events, "apply-reserve")[0] == EXPIRES - timedelta(days=1)
    second = issued - timedelta(minutes=5) + timedelta(days=397)
    assert _named(events, "issue-reserve")[1] == second - timedelta(days=60)
    assert issued in _named(events, "distribute")
    assert EXPIRES in _named(events, "distribute"), "the former main leaves the profile when it has expired"
    assert _named(events, "warning") == _named(events, "critical") == _named(events, "connection-lost") == []


def test_a_periodic_rotation_switches_after_each_period() -> None:
    """A reserve held at all times, applied after thirty days: a switch every thirty days."""  # R2 R7
    rotation = IssueReserve(when=When.NOW, apply=AfterDays(days=30))
    events = forecast(_pair(rotation), start=START, days=95)
    assert _named(events, "apply-reserve") == [START + timedelta(days=30 * cycle) for cycle in (1, 2, 3)]


def test_no_reserve_is_a_warning_then_critical_then_lost() -> None:
    """Warned from the first day, critical from warnDays before the expiry, then the connection is lost."""  # R5 R13
    events = forecast(_pair(NoReserve()), start=START, days=800)
    assert _named(events, "warning") == [START]
    assert _named(events, "critical") == [EXPIRES - timedelta(days=30)]
    assert _named(events, "connection-lost") == [EXPIRES]
    assert events[-1].at == EXPIRES


def test_a_shorter_reserve_is_told_to_bound_its_successors() -> None:
    """R8 holds for every generation to come, and that is said when the shorter reserve is issued."""  # R8
    events = forecast(_pair(IssueReserve(validity_days=200)), start=START, days=800)
    warnings = [event for event in events if event.event == "warning"]
    assert [event.at for event in warnings] == [EXPIRES - timedelta(days=60)]
    assert "no reserve can be valid for more than its 200 days" in warnings[0].reason


def test_a_period_that_main_does_not_outlive_is_cut_and_told() -> None:
    """A reserve that comes too late for its period is applied the lead before main expires, with a warning."""  # R7
    late = IssueReserve(apply=AfterDays(days=60))
    events = forecast(_pair(late), start=START, days=500)
    assert _named(events, "apply-reserve")[0] == EXPIRES - timedelta(days=1)
    assert "came late" in next(event.reason for event in events if event.event == "warning")


@given(
    validity=st.integers(151, 824),
    before=st.integers(1, 60),
    after=st.none() | st.integers(42, 61),
    days=st.integers(1, 3000),
)
def test_with_automatic_reserves_no_connection_is_ever_lost(
    validity: int, before: int, after: int | None, days: int
) -> None:
    """Whatever the days, events are in order, within the time asked for, and none is a loss."""  # R3 R32
    reserve = IssueReserve(before_days=before)
    if after is not None:
        reserve = IssueReserve(when=When.NOW, before_days=before, apply=AfterDays(days=after))
    definition = PairDefinition(
        name="berlin", host="mdm.example.com", main=IssueMain(validity_days=validity), reserve=reserve
    )
    events = forecast(definition, start=START, days=days)
    assert _named(events, "connection-lost") == []
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert all(START <= event.at <= START + timedelta(days=days) for event in events)
