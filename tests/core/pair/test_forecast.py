"""The forecast of a pair's life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ios_mdm.core.pair.certificate_times import max_steady_days
from ios_mdm.core.pair.definition import (
    AfterCurrentExpires,
    AfterDays,
    InstallMain,
    InstallReserve,
    IssueMain,
    IssueReserve,
    NoReserve,
    OfferedCertificate,
    PairDefinition,
    Promotion,
    When,
)
from ios_mdm.core.pair.forecast import Alert, Event, EventName, forecast, foreseen_life
from tests.support.long import examples

START = datetime(2040, 1, 1, tzinfo=UTC)
EXPIRES = START - timedelta(minutes=5) + timedelta(days=397)


def _pair(reserve: IssueReserve | NoReserve | None = None) -> PairDefinition:
    return PairDefinition(name="berlin", host="mdm.example.com", reserve=reserve)


def _event_times(events: tuple[Event, ...], name: str) -> list[datetime]:
    return [event.at for event in events if event.event == name]


def test_an_automatic_reserve_comes_sixty_days_before_and_is_applied_a_day_before_the_expiry() -> None:
    """A reserve is issued, distributed and applied. The next cycle follows the dates of the new main."""  # R3 R6 R12
    events = forecast(_pair(), start=START, days=800)
    issued = EXPIRES - timedelta(days=60)
    assert _event_times(events, "issue-main") == [START]
    assert _event_times(events, "issue-reserve")[0] == issued
    assert _event_times(events, "apply-reserve")[0] == EXPIRES - timedelta(days=1)
    second = issued - timedelta(minutes=5) + timedelta(days=397)
    assert _event_times(events, "issue-reserve")[1] == second - timedelta(days=60)
    assert issued in _event_times(events, "distribute")
    assert EXPIRES in _event_times(events, "distribute"), "an expired former main is removed from the profile"
    assert (
        _event_times(events, "warning")
        == _event_times(events, "critical")
        == _event_times(events, "connection-lost")
        == []
    )


def test_a_periodic_rotation_switches_after_each_period() -> None:
    """With `when: now` and a period of 30 days there is a switch every 30 days."""  # R2 R7
    rotation = IssueReserve(when=When.NOW, apply=AfterDays(days=30))
    events = forecast(_pair(rotation), start=START, days=95)
    assert _event_times(events, "apply-reserve") == [START + timedelta(days=30 * cycle) for cycle in (1, 2, 3)]


def test_no_reserve_is_a_warning_then_critical_then_lost() -> None:
    """A warning from the first day, critical from `warnDays` before the expiry, then a lost connection."""  # R5 R13
    events = forecast(_pair(NoReserve()), start=START, days=800)
    assert _event_times(events, "warning") == [START]
    assert _event_times(events, "critical") == [EXPIRES - timedelta(days=30)]
    assert _event_times(events, "connection-lost") == [EXPIRES]
    assert events[-1].at == EXPIRES


def test_a_shorter_reserve_is_reported_to_bound_its_successors() -> None:
    """The warning is given when the shorter reserve is issued: it limits the validity of all successors."""  # R8
    events = forecast(_pair(IssueReserve(validity_days=200)), start=START, days=800)
    warnings = [event for event in events if event.event == "warning"]
    assert [event.at for event in warnings] == [EXPIRES - timedelta(days=60)]
    assert "no later reserve can be valid for more than 200 days" in warnings[0].reason


def test_a_period_that_main_does_not_outlive_is_shortened_and_reported() -> None:
    """If main expires before the period ends, the reserve is applied at the lead before, with a warning."""  # R7
    late = IssueReserve(apply=AfterDays(days=60))
    events = forecast(_pair(late), start=START, days=500)
    assert _event_times(events, "apply-reserve")[0] == EXPIRES - timedelta(days=1)
    assert "before its period of 60 days ends" in next(event.reason for event in events if event.event == "warning")


@given(validity=st.integers(2, 824), lead=st.integers(0, 43200))
@example(validity=824, lead=1440)
@example(validity=47, lead=1440)
@settings(max_examples=examples(30))
def test_a_rotation_is_steady_up_to_the_period_that_the_warning_names(validity: int, lead: int) -> None:
    """With the longest steady period all periods are equal. With one more day, each second one is shorter."""  # R7
    longest = max_steady_days(validity, timedelta(minutes=lead))
    for period in (longest, longest + 1):
        definition = PairDefinition(
            name="berlin",
            host="mdm.example.com",
            main=IssueMain(validity_days=validity),
            reserve=IssueReserve(when=When.NOW, apply=AfterDays(days=max(period, 1))),
            promotion=Promotion(lead_minutes=lead),
        )
        life = foreseen_life(definition, start=START, days=4 * validity)
        times = [START, *_event_times(life.events, "apply-reserve")]
        periods = {after - before for before, after in pairwise(times)}
        is_steady = 0 < period <= longest
        assert (periods == {timedelta(days=period)}) == is_steady
        assert bool(_event_times(life.events, "warning")) == (not is_steady)


def test_824_days_and_a_period_of_726_give_726_and_97() -> None:
    """The warning is in the first run, and says which period is steady."""  # R7
    definition = PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=IssueMain(validity_days=824),
        reserve=IssueReserve(when=When.NOW, apply=AfterDays(days=726)),
    )
    events = forecast(definition, start=START, days=2450)
    times = [START, *_event_times(events, "apply-reserve")]
    assert [round((after - before) / timedelta(days=1)) for before, after in pairwise(times)] == [726, 97, 726, 97, 726]
    first = next(event for event in events if event.event == "warning")
    assert first.at == START
    assert "set it to at most 411" in first.reason


def test_a_raised_generation_is_no_obstacle() -> None:
    """The forecast of a new pair does not depend on `generation`."""  # R10 R13
    definition = PairDefinition(
        name="berlin", host="mdm.example.com", main=IssueMain(generation=3), reserve=IssueReserve(generation=2)
    )
    assert forecast(definition, start=START, days=800) == forecast(_pair(), start=START, days=800)


def test_the_life_has_the_certificates_with_their_time_as_main() -> None:
    """Each certificate has its validity, and is main from one switch to the next."""  # R6 R12
    life = foreseen_life(_pair(), start=START, days=800)
    first, second, third = life.certificates
    assert (first.ordinal, first.stored_at, first.not_before) == (1, START, START - timedelta(minutes=5))
    assert first.not_after == EXPIRES - timedelta(seconds=1)
    assert (first.main_from, first.main_until) == (START, EXPIRES - timedelta(days=1))
    assert (second.main_from, second.main_until) == (first.main_until, third.main_from)
    assert third.main_until is None
    assert life.events == forecast(_pair(), start=START, days=800)
    assert life.alerts == ()


def test_custom_certificates_are_played_by_their_own_dates() -> None:
    """A custom reserve is applied after its period. Afterwards no reserve is issued automatically."""  # R4 R5 R7
    main = OfferedCertificate(sha256="a" * 64, root="c" * 64, not_before=START - timedelta(days=9), not_after=EXPIRES)
    reserve = OfferedCertificate(
        sha256="b" * 64, root="c" * 64, not_before=START - timedelta(days=2), not_after=EXPIRES + timedelta(days=90)
    )
    definition = PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=InstallMain(offered=main),
        reserve=InstallReserve(offered=reserve, apply=AfterDays(days=30)),
    )
    life = foreseen_life(definition, start=START, days=390)
    applied = START + timedelta(days=30)
    assert _event_times(life.events, "issue-main") == _event_times(life.events, "issue-reserve") == [START]
    assert _event_times(life.events, "apply-reserve") == [applied]
    assert [(one.stored_at, one.not_before, one.main_from) for one in life.certificates] == [
        (START, main.not_before, START),
        (START, reserve.not_before, applied),
    ]
    assert [(alert.event, alert.start) for alert in life.alerts] == [("warning", applied)]


def test_alerts_last_until_something_changes() -> None:
    """Without a reserve there is a warning, then a critical notice, then a lost connection until the end."""  # R5 R13
    life = foreseen_life(_pair(NoReserve()), start=START, days=800)
    critical = EXPIRES - timedelta(days=30)
    assert life.alerts == (
        Alert(event=EventName.WARNING, start=START, until=critical),
        Alert(event=EventName.CRITICAL, start=critical, until=EXPIRES),
        Alert(event=EventName.CONNECTION_LOST, start=EXPIRES, until=START + timedelta(days=800)),
    )


def test_a_switch_on_hold_is_reported_and_lost_in_the_end() -> None:
    """A reserve on hold is a warning from its apply time, and critical from main's expiry."""  # R11 R13
    held = PairDefinition(name="berlin", host="mdm.example.com", promotion=Promotion(hold=True))
    life = foreseen_life(held, start=START, days=800)
    assert _event_times(life.events, "apply-reserve") == []
    assert [alert.event for alert in life.alerts] == ["warning", "critical", "connection-lost"]
    assert life.alerts[1].start == EXPIRES


def test_daily_runs_report_a_lasting_loss_once() -> None:
    """A lasting alert is one event, even if many runs report it."""  # R13
    life = foreseen_life(_pair(NoReserve()), start=START, days=800, interval=timedelta(days=1))
    assert len(_event_times(life.events, "connection-lost")) == len(_event_times(life.events, "critical")) == 1


@given(
    validity=st.integers(151, 824),
    before=st.integers(1, 60),
    after=st.none() | st.integers(42, 61),
    days=st.integers(1, 3000),
)
def test_with_automatic_reserves_no_connection_is_ever_lost(
    validity: int, before: int, after: int | None, days: int
) -> None:
    """For any settings, the events are ordered and within the forecast, and no connection is lost."""  # R3 R32
    reserve = IssueReserve(before_days=before)
    if after is not None:
        reserve = IssueReserve(when=When.NOW, before_days=before, apply=AfterDays(days=after))
    definition = PairDefinition(
        name="berlin", host="mdm.example.com", main=IssueMain(validity_days=validity), reserve=reserve
    )
    events = forecast(definition, start=START, days=days)
    assert _event_times(events, "connection-lost") == []
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert all(START <= event.at <= START + timedelta(days=days) for event in events)


@st.composite
def _definitions(draw: st.DrawFn) -> PairDefinition:
    """Return a definition with automatic reserves that all have enough time before their apply time."""
    validity = draw(st.integers(150, 824))
    warn = draw(st.integers(1, 30))
    before = draw(st.integers(2, 60))
    shorter = draw(st.none() | st.integers(150, validity))
    when = draw(st.sampled_from(When))
    # A reserve with `when: now` that is applied at main's expiry has no validity left: the settings refuse it.
    longest = (shorter or validity) - before - warn
    days = st.integers(-(-validity // 20), longest) if when is When.NOW else st.integers(1, before)
    after = draw(days if when is When.NOW else st.none() | days)
    return PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=IssueMain(validity_days=validity),
        reserve=IssueReserve(
            when=when,
            before_days=before,
            validity_days=shorter,
            apply=AfterCurrentExpires() if after is None else AfterDays(days=after),
        ),
        warn_days=warn,
    )


@pytest.mark.parametrize("every", [None, timedelta(days=1)], ids=["when due", "daily"])
@given(definition=_definitions(), days=st.integers(1, 1200))
@settings(max_examples=examples(50))
def test_a_certificate_is_issued_then_distributed_then_applied(
    every: timedelta | None, definition: PairDefinition, days: int
) -> None:
    """Each reserve has these events once, in this order, and no connection is lost."""
    # R3 R11 R15 R16 R32
    life = foreseen_life(definition, start=START, days=days, interval=every)
    assert [event.at for event in life.events] == sorted(event.at for event in life.events)
    assert _event_times(life.events, "connection-lost") == _event_times(life.events, "critical") == []
    issued: dict[int, datetime] = {}
    distributed: dict[int, datetime] = {}
    applied: list[int] = []
    for event in life.events:
        match event.event:
            case "issue-main" | "issue-reserve":
                assert event.certificates[0] not in issued
                issued[event.certificates[0]] = event.at
            case "distribute":
                assert set(event.certificates) <= set(issued), "only issued certificates are distributed"
                distributed |= {one: event.at for one in event.certificates if one not in distributed}
            case "apply-reserve":
                (ordinal,) = event.certificates
                assert ordinal not in applied
                assert issued[ordinal] <= distributed[ordinal] < event.at
                applied.append(ordinal)
    assert applied == sorted(applied)
    assert set(issued) == set(distributed), "issued certificates are distributed at once"


@pytest.mark.parametrize("every", [None, timedelta(days=1)], ids=["when due", "daily"])
@given(definition=_definitions(), days=st.integers(1, 1200))
@settings(max_examples=examples(50))
def test_there_is_always_a_valid_main(every: timedelta | None, definition: PairDefinition, days: int) -> None:
    """Each main follows the previous main without a gap, and is valid for the whole period."""  # R6 R12 R32
    life = foreseen_life(definition, start=START, days=days, interval=every)
    mains = [one for one in life.certificates if one.main_from is not None]
    until: datetime | None = START
    for main in mains:
        assert main.main_from == until
        assert main.main_from is not None
        assert main.not_before <= main.main_from
        assert (main.main_until or life.end) <= main.not_after + timedelta(seconds=1)
        until = main.main_until
    assert until is None
