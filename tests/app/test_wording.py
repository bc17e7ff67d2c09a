"""Tests of the text of a notice."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.wording import notice_text
from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

DUE = datetime(2040, 1, 31, 23, 55, tzinfo=UTC)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time zone to Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def notice(due: datetime | None) -> Notice:
    """Return a notice about this time."""
    return Notice(reason="r", severity=Severity.WARNING, message="main expires on 2040-01-31 23:55 UTC", due=due)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(days=30), "30 days left"),
        (timedelta(days=1, hours=3), "1 day left"),
        (timedelta(hours=3), "0 days left"),
        (timedelta(days=-2, hours=-1), "2 days ago"),
    ],
)
def test_a_time_is_shown_in_local_time_with_the_days_left(before: timedelta, said: str) -> None:
    """The message has the time in UTC. The local time and the days left follow it."""  # R5 R13
    assert notice_text(notice(DUE), DUE - before) == (
        f"main expires on 2040-01-31 23:55 UTC (2040-02-01 00:55 CET here, {said})"
    )


def test_a_time_is_shown_once_if_local_time_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most pipelines run in UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        assert notice_text(notice(DUE), DUE - timedelta(days=3)) == "main expires on 2040-01-31 23:55 UTC (3 days left)"
    time.tzset()


def test_a_notice_without_a_time_is_its_message() -> None:
    """Nothing is added to the message."""
    assert notice_text(notice(None), DUE) == "main expires on 2040-01-31 23:55 UTC"
