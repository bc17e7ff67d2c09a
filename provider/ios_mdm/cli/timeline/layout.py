"""Layout of the timeline: time scale, ticks, lanes of certificates, marks of events and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from ios_mdm.cli.timeline.drawing import width_of
from ios_mdm.core.pair.forecast import EventName
from ios_mdm.core.times import LAST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ios_mdm.core.pair.forecast import Event, ForeseenCertificate

__all__ = ["EVENTS", "LEFT", "LINE", "RIGHT", "SMALL", "WIDTH", "Mark", "Scale", "labels", "lanes", "marks"]

WIDTH = 900
LEFT, RIGHT = 28, 764
"""Positions of the start and the end of time. The last labels extend into the space right of the end."""
SMALL, LINE = 10.5, 13
"""Font size and line height of labels."""

EVENTS = (
    EventName.CONNECTION_LOST,
    EventName.CRITICAL,
    EventName.WARNING,
    EventName.ISSUE_MAIN,
    EventName.APPLY_RESERVE,
    EventName.ISSUE_RESERVE,
    EventName.DISTRIBUTE,
)
"""Priority of events, highest first: for the symbol of a mark with several events, and for labels if space is short."""

_NUMBERED = {EventName.ISSUE_MAIN, EventName.ISSUE_RESERVE, EventName.APPLY_RESERVE}
"""Events whose label shows the number of the certificate."""
_SAME = 8
"""Events closer than this many pixels share a mark, which has a label of several lines."""
_MAX_DEPTH = 220
"""Maximum height of the labels below the marks, in pixels. Events without a label are in the titles of the marks."""
_MAX_LINES = 8
_GAP = 5
_SYMBOL = 12
_YEAR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps times to horizontal positions: *start* is at the left, *end* at the right."""

    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        """Return the position of *at*. A time outside the scale has the position of start or end."""
        part = (min(max(at, self.start), self.end) - self.start) / (self.end - self.start)
        return round(LEFT + part * (RIGHT - LEFT), 1)

    def ticks(self) -> Iterator[tuple[datetime, str]]:
        """Yield evenly spaced dates with their names. The distance leaves room for the names."""
        room = (self.end - self.start).days * 72 / (RIGHT - LEFT)
        days = next((step for step in (1, 2, 7, 14) if step >= room), None)
        dates = self._months(room) if days is None else self._days(days)
        for date, name in takewhile(lambda one: one[0] <= self.end, dates):
            if date >= self.start:
                yield date, name

    def _days(self, step: int) -> Iterator[tuple[datetime, str]]:
        midnight = self.start.replace(hour=0, minute=0, second=0)
        for tick in range((self.end - midnight).days // step + 1):
            date = midnight + timedelta(days=tick * step)
            yield date, f"{date:%Y-%m-%d}"

    def _months(self, room: float) -> Iterator[tuple[datetime, str]]:
        step = next((step for step in (1, 2, 3, 6, 12, 24, 60, 120) if step * 30 >= room), 240)
        first = (self.start.year * _YEAR + self.start.month - 1) // step * step
        for month in range(max(first, _YEAR), (LAST.year + 1) * _YEAR, step):
            date = self.start.replace(year=month // _YEAR, month=month % _YEAR + 1, day=1, hour=0, minute=0, second=0)
            yield date, f"{date:%Y}" if step >= _YEAR else f"{date:%Y-%m}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Events at one position.

    Args:
        x: Position of the first event.
        events: At least one event, ordered by time.
    """

    x: float
    events: tuple[Event, ...]

    @property
    def event(self) -> EventName:
        """The event whose symbol is drawn."""
        return min((event.event for event in self.events), key=EVENTS.index)

    def without(self, name: EventName) -> Mark | None:
        """Return the mark without the events called *name*, or None if it has no other event."""
        events = tuple(event for event in self.events if event.event is not name)
        return Mark(x=self.x, events=events) if events else None

    @property
    def lines(self) -> tuple[tuple[EventName | None, str], ...]:
        """Lines of the label, each with its event and text. The event is None for a line that shows a time."""
        found: list[tuple[EventName | None, str]] = []
        time = ""
        for event in self.events:
            before, time = time, f"{event.at:%Y-%m-%d %H:%M}"
            if time != before:
                found.append((None, time))
            certificates = "".join(f" {ordinal}" for ordinal in event.certificates)
            found.append((event.event, f"{event.event}{certificates if event.event in _NUMBERED else ''}"))
        if len(found) > _MAX_LINES:
            found[_MAX_LINES - 1 :] = [(None, "and more")]
        return tuple(found)

    @property
    def width(self) -> float:
        """Maximum width of the label, in pixels."""
        return max(width_of(words, SMALL) + (0 if event is None else _SYMBOL) for event, words in self.lines)

    @property
    def height(self) -> float:
        """Height of the label, in pixels."""
        return len(self.lines) * LINE


def marks(events: Sequence[Event], scale: Scale) -> tuple[Mark, ...]:
    """Return the marks of *events*, from left to right."""
    found: list[Mark] = []
    for event in events:
        x = scale.x(event.at)
        if found and x - found[-1].x < _SAME:
            found[-1] = Mark(x=found[-1].x, events=(*found[-1].events, event))
        else:
            found.append(Mark(x=x, events=(event,)))
    return tuple(found)


def labels(found: Sequence[Mark], top: float) -> tuple[tuple[Mark, float], ...]:
    """Return the marks that have room for a label, from left to right, each with the top of its label.

    No label is above *top*. A label is at the right of the line of its mark, and below each label of a later mark that
    it would overlap, so that no line crosses a label. If space is short, labels omit the event *distribute*, and marks
    with alerts get their labels first.
    """
    hung = _placed_labels(found, top)
    if hung is not None:
        return hung
    shorter = [short for mark in found if (short := mark.without(EventName.DISTRIBUTE)) is not None]
    chosen: list[Mark] = []
    hung = ()
    for mark in sorted(shorter, key=lambda mark: EVENTS.index(mark.event)):
        tried = sorted([*chosen, mark], key=lambda mark: mark.x)
        fitting = _placed_labels(tried, top)
        if fitting is not None:
            chosen, hung = tried, fitting
    return hung


def _placed_labels(found: Sequence[Mark], top: float) -> tuple[tuple[Mark, float], ...] | None:
    """Return all marks with the tops of their labels, or None if a label is below the maximum height."""
    hung: list[tuple[Mark, float]] = []
    for mark in reversed(found):
        right = mark.x + mark.width + _SYMBOL
        y = max([top, *(below + other.height + _GAP for other, below in hung if other.x < right)])
        if y + mark.height > top + _MAX_DEPTH:
            return None
        hung.append((mark, y))
    return tuple(reversed(hung))


def lanes(certificates: Sequence[ForeseenCertificate]) -> dict[int, int]:
    """Return the lane number of each certificate, by ordinal. The bars in a lane do not overlap."""
    free: list[datetime] = []
    found: dict[int, int] = {}
    for one in certificates:
        lane = next((number for number, until in enumerate(free) if until < one.stored_at), len(free))
        free[lane : lane + 1] = [one.not_after]
        found[one.ordinal] = lane
    return found
