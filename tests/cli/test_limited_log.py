"""The log of the collector: one line for each warning in a minute, and the number of repetitions."""

from __future__ import annotations

import io
import logging
from datetime import UTC, datetime, timedelta

import pytest

from ios_mdm.cli.limited_log import LimitedHandler

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Log:
    """A log with a clock that tests set."""

    def __init__(self) -> None:
        self.now = START
        self.stream = io.StringIO()
        self.handler = LimitedHandler(self.stream, lambda: self.now)

    def add(self, text: str, level: int = logging.WARNING) -> None:
        """Log a line."""
        self.handler.handle(logging.makeLogRecord({"msg": "%s", "args": (text,), "levelno": level}))

    @property
    def lines(self) -> list[str]:
        """The lines of the log."""
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log() -> Log:
    """An empty log."""
    return Log()


def test_a_warning_is_written_once_in_a_minute(log: Log) -> None:
    """The next line after that minute has the number of repetitions before it."""
    for seconds in (0, 1, 59):
        log.now = START + timedelta(seconds=seconds)
        log.add("a")
        log.add("b")
    assert log.lines == ["a", "b"]
    log.now = START + timedelta(seconds=60)
    log.add("c")
    assert log.lines == ["a", "b", "a (2 more since 12:00:00 UTC)", "b (2 more since 12:00:00 UTC)", "c"]
    log.add("a")
    assert log.lines[-1] == "a"


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_records_of_other_levels_are_always_written(log: Log, level: int) -> None:
    """Each lost event and each recorded event has a line."""
    for _ in range(3):
        log.add("a", level)
    assert log.lines == ["a"] * 3


def test_the_number_of_different_warnings_is_limited(log: Log) -> None:
    """Warnings whose text a sender can choose do not fill the log."""
    for number in range(1000):
        log.add(f"a {number}")
    assert len(log.lines) == 65
    log.handler.close()
    assert log.lines[65:] == ["other warnings (935 more since 12:00:00 UTC)"]


def test_repetitions_are_written_at_the_end(log: Log) -> None:
    """No repetition is lost in a stop."""
    log.add("a")
    log.add("a")
    log.handler.close()
    assert log.lines == ["a", "a (1 more since 12:00:00 UTC)"]


def test_a_clock_that_goes_back_hides_no_warning(log: Log) -> None:
    """The time of the first line is then in the future."""
    log.add("a")
    log.now = START - timedelta(hours=1)
    log.add("a")
    assert log.lines == ["a", "a"]
