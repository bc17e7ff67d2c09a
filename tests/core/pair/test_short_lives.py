"""The life of a pair for each validity from 7 to 825 days: renewed in time, and not renewed (R5, R49)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.definition import InstallMain, IssueMain, IssueReserve, NoReserve, PairDefinition
from ios_mdm.core.pair.forecast import Alert, EventName, foreseen_life
from ios_mdm.core.pair.windows import (
    critical_time,
    reserve_time,
    reserve_window,
    validity,
    warning_window,
    window_text,
)
from tests.support.lifecycle import facts
from tests.support.long import examples
from tests.support.renewals import custom_life, interval, renewed_certificate

START = datetime(2040, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
LIVES = st.integers(7, 825)


def _custom_pair(days: int) -> PairDefinition:
    main = InstallMain(offered=renewed_certificate(1, issued=START, days=days))
    return PairDefinition(name="berlin", host="mdm.example.com", main=main)


def _issued_pair(days: int, *, none: bool = False) -> PairDefinition:
    main, reserve = IssueMain(validity_days=days), NoReserve() if none else None
    return PairDefinition(name="berlin", host="mdm.example.com", main=main, reserve=reserve)


@pytest.mark.parametrize(
    ("days", "reserve", "warning"),
    [
        (825, 60 * DAY, 30 * DAY),
        (397, 60 * DAY, 30 * DAY),
        (180, 60 * DAY, 30 * DAY),
        (179, 179 * DAY / 3, 179 * DAY / 6),
        (90, 30 * DAY, 15 * DAY),
        (47, timedelta(days=15, hours=16), timedelta(days=7, hours=20)),
        (7, timedelta(days=2, hours=8), timedelta(days=1, hours=4)),
        (1, timedelta(hours=8), timedelta(hours=4)),
    ],
)
def test_the_default_windows_are_shares_of_the_validity(days: int, reserve: timedelta, warning: timedelta) -> None:
    """A third of main's validity, at most 60 days, and a sixth, at most 30 days."""  # R3 R5 R49
    assert (reserve_window(None, days * DAY), warning_window(None, days * DAY)) == (reserve, warning)
    assert (reserve_window(50, days * DAY), warning_window(20, days * DAY)) == (50 * DAY, 20 * DAY)
    main = facts(1, days=days)
    assert validity(main) == days * DAY
    assert critical_time(_issued_pair(days), main) == expiry(main) - warning


def test_windows_are_whole_seconds() -> None:
    """The validity of a custom certificate can be any number of seconds. Stored times have no fractions."""  # R49
    assert (reserve_window(None, 100 * SECOND), warning_window(None, 100 * SECOND)) == (33 * SECOND, 16 * SECOND)


def test_the_windows_are_those_of_the_certificate_and_not_of_the_definition() -> None:
    """The definition describes the next main. Main has the windows that follow from its validity."""  # R1 R49
    present = facts(1, days=47)
    definition = _issued_pair(397)
    assert critical_time(definition, present) == expiry(present) - 47 * DAY / 6
    assert reserve_time(IssueReserve(), present) == expiry(present) - 47 * DAY / 3


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (60 * DAY, "60 days"),
        (timedelta(days=15, hours=16), "15 days and 16 hours"),
        (timedelta(days=1, hours=1), "1 day and 1 hour"),
        (timedelta(hours=8, minutes=59), "8 hours"),
        (timedelta(minutes=59), "0 hours"),
    ],
)
def test_a_window_is_shown_in_days_and_hours(window: timedelta, text: str) -> None:
    """Minutes are dropped."""
    assert window_text(window) == text


@given(days=st.integers(7, 824))
@example(days=7)
@example(days=47)
@example(days=100)
@settings(max_examples=examples(12), derandomize=True)
def test_an_issued_pair_passes_through_its_year_without_a_warning(days: int) -> None:
    """A reserve is issued in time, with runs whenever a change is due and with daily runs."""  # R3 R12 R49
    for every in (None, DAY):
        life = foreseen_life(_issued_pair(days), start=START, days=400, interval=every)
        assert life.alerts == ()


@given(days=LIVES, share=st.floats(0, 1))
@example(days=7, share=0)
@example(days=47, share=0)
@example(days=47, share=1)
@example(days=100, share=0)
@example(days=101, share=0)
@example(days=825, share=0)
@settings(max_examples=examples(12), derandomize=True, deadline=None)
def test_a_custom_pair_that_is_renewed_in_time_never_has_a_warning(days: int, share: float) -> None:
    """The next certificate is installed in the last run before the warning window, or earlier."""
    # R5 R12 R49
    latest = warning_window(None, days * DAY) + interval(days)
    left = latest + share * max(reserve_window(None, days * DAY) - latest, timedelta())
    length = min(400, 8 * days) * DAY if days <= 100 else 3 * days * DAY
    runs = list(custom_life(days, length=length, renewals=99, left=left))
    assert [(run.at, notice.message) for run in runs for notice in run.notices if notice.severity != "notice"] == []
    assert len({run.main.sha256 for run in runs}) >= length // (days * DAY)
    assert all(run.at < expiry(run.main) for run in runs)


@given(days=LIVES, renewals=st.integers(0, 2))
@example(days=7, renewals=0)
@example(days=47, renewals=1)
@example(days=100, renewals=0)
@example(days=101, renewals=0)
@example(days=825, renewals=0)
@settings(max_examples=examples(12), derandomize=True, deadline=None)
def test_a_custom_pair_that_is_no_longer_renewed_is_reported_then_critical_before_the_expiry(
    days: int, renewals: int
) -> None:
    """A notice (short lives) or a warning as soon as no reserve waits, then critical in the whole warning window."""
    # R5 R49
    runs = custom_life(days, length=3 * days * DAY, renewals=renewals, left=reserve_window(None, days * DAY))
    last = [run for run in runs if run.main.ordinal == renewals + 1 and run.at < expiry(run.main)]
    main = last[0].main
    found = [{one.severity for one in run.notices if one.reason == "no-reserve"} for run in last]
    window = critical_time(_custom_pair(days), main)
    assert expiry(main) - window >= DAY
    before = Severity.NOTICE if days <= 100 else Severity.WARNING
    assert found == [{Severity.CRITICAL if run.at >= window else before} for run in last]
    assert {Severity.CRITICAL} in found
    assert {before} in found


@given(days=LIVES)
@example(days=7)
@example(days=100)
@example(days=101)
@settings(max_examples=examples(40), derandomize=True)
def test_the_forecast_of_a_pair_that_is_not_renewed(days: int) -> None:
    """A short-lived custom main has no alert before the warning window. An issued main without a reserve has one."""
    # R5 R13 R49
    custom = foreseen_life(_custom_pair(days), start=START, days=900)
    end = START + days * DAY
    window = end - warning_window(None, days * DAY)
    critical = (
        Alert(event=EventName.CRITICAL, start=window, until=end),
        Alert(event=EventName.CONNECTION_LOST, start=end, until=custom.end),
    )
    warned = Alert(event=EventName.WARNING, start=START, until=window)
    assert custom.alerts == (critical if days <= 100 else (warned, *critical))
    if days <= 824:
        issued = foreseen_life(_issued_pair(days, none=True), start=START, days=900)
        assert [alert.event for alert in issued.alerts] == ["warning", "critical", "connection-lost"]
