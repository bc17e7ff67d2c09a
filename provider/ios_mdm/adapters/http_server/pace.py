"""The deadline of a body, which each received byte extends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pace", "Timer", "Timers"]


class Timer(Protocol):
    """A call at a later time."""

    def cancel(self) -> object:
        """Cancel the call."""


class Timers(Protocol):
    """The clock and the timers of an event loop."""

    def time(self) -> float:
        """Return the time in seconds."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer:
        """Call *callback* after *delay* seconds."""


class Pace:
    """Ends a sender that falls behind the minimum rate.

    Args:
        timers: the clock of the deadline.
        rate: number of bytes that extend the deadline by one second.
        end: function that ends the sender, called at most once for each start.
    """

    def __init__(self, timers: Timers, rate: int, end: Callable[[], None]) -> None:
        self._timers = timers
        self._rate = rate
        self._end = end
        self._longest = 0.0
        self._deadline = 0.0
        self._is_overdue = False
        self._timer: Timer | None = None

    def start(self, seconds: float) -> None:
        """Set the deadline of a sender to *seconds* from now. After each received byte, it is at most that far away."""
        self.stop()
        self._longest = seconds
        self._deadline = self._timers.time() + seconds
        self._wait(seconds)

    def add(self, received: int) -> None:
        """Extend the deadline by the time that *received* bytes take at the minimum rate."""
        latest = self._timers.time() + self._longest
        self._deadline = min(self._deadline + received / self._rate, latest)
        self._is_overdue = False

    def stop(self) -> None:
        """Remove the deadline."""
        self._is_overdue = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        self._timer = self._timers.call_later(seconds, self._check)

    def _check(self) -> None:
        left = self._deadline - self._timers.time()
        if left > 0:
            self._wait(left)
        elif self._is_overdue:
            self.stop()
            self._end()
        else:  # the process might have been suspended: first read the bytes that have arrived
            self._is_overdue = True
            self._wait(0)
