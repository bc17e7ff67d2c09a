"""The deadline of a body, with a clock that the tests set."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.http_server.limits import Limits
from ios_mdm.adapters.http_server.pace import Pace
from ios_mdm.core.http import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class _Timer:
    callback: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def fire(self) -> None:
        if not self.is_cancelled:
            self.callback()


class _Loop:
    """Timers that fire when the test advances the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, int, _Timer]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None], /) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self.timers, (self.now + delay, next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Advance the clock, and make each due call at its time."""
        until = self.now + seconds
        while self.timers and self.timers[0][0] <= until:
            when, _, timer = heapq.heappop(self.timers)
            self.now = max(self.now, when)
            timer.fire()
        self.now = until


@pytest.fixture
def loop() -> _Loop:
    """Return a clock at zero."""
    return _Loop()


@pytest.fixture
def ended() -> list[float]:
    """Return the list of times at which the sender was ended."""
    return []


@pytest.fixture
def pace(loop: _Loop, ended: list[float]) -> Pace:
    """Return a pace of 100 bytes per second, started with 3 seconds."""
    one = Pace(loop, 100, lambda: ended.append(loop.now))
    one.start(3)
    return one


@pytest.mark.usefixtures("pace")
def test_a_silent_sender_is_ended_once(loop: _Loop, ended: list[float]) -> None:
    """The sender is ended after the longest allowed pause."""  # R40
    loop.advance(2.5)
    assert ended == []
    loop.advance(100)
    assert ended == [3]


def test_a_sender_that_drips_gains_only_the_time_of_its_bytes(loop: _Loop, ended: list[float], pace: Pace) -> None:
    """The sender sends one byte per second of a body of any length."""  # R40
    for _ in range(10):
        loop.advance(1)
        pace.add(1)
    assert len(ended) == 1
    assert ended[0] == pytest.approx(3.03)


def test_a_sender_at_the_rate_is_never_ended(loop: _Loop, ended: list[float], pace: Pace) -> None:
    """Pauses that are shorter than the allowed pause make no difference."""  # R40
    for _ in range(100):
        loop.advance(2)
        pace.add(200)
    assert ended == []


def test_a_fast_start_gains_no_longer_pause(loop: _Loop, ended: list[float], pace: Pace) -> None:
    """A sender that sends all but the last byte at once is ended as early as other senders."""  # R40
    loop.advance(1)
    pace.add(1_000_000)
    loop.advance(100)
    assert ended == [4]


def test_a_stopped_deadline_does_not_pass(loop: _Loop, ended: list[float], pace: Pace) -> None:
    """A body that waits for its place has no deadline. It gets a full deadline when it is read again."""  # R40
    loop.advance(2)
    pace.stop()
    loop.advance(100)
    pace.start(3)
    loop.advance(2)
    assert ended == []
    loop.advance(2)
    assert ended == [105]


def test_bytes_that_have_arrived_count_after_a_suspension(loop: _Loop, ended: list[float], pace: Pace) -> None:
    """A suspended process first reads the bytes that arrived in the meantime, and does not end the sender."""
    loop.now = 50
    when, _, first = heapq.heappop(loop.timers)
    assert when == 3
    first.fire()
    pace.add(5000)
    loop.advance(2)
    assert ended == []
    loop.advance(2)
    assert ended == [53]


def test_large_bodies_do_not_fill_the_server_for_long() -> None:
    """Each connection sends a large body at the minimum rate. Other senders wait for less than a quarter of an hour."""
    # R40
    limits = Limits()
    assert limits.connections / limits.large * (limits.grace + MAX_BODY / limits.rate) < 15 * 60
    assert limits.large * MAX_BODY <= 16 * 1024 * 1024


def test_a_whole_body_takes_less_than_the_time_of_a_small_one() -> None:
    """The default limits, for an event of maximum size and for an event that arrives in single bytes."""  # R40
    limits = Limits()
    assert limits.grace + MAX_BODY / limits.rate < limits.patience
    assert limits.grace < 5
    assert limits.first < limits.small
