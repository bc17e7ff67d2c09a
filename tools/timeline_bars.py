"""Draws the certificates of a pair as bars of text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVE: Final = "░"
MAIN: Final = "█"
FORMER: Final = "·"

_NAME_WIDTH = 16
_MEANINGS = {RESERVE: "reserve", MAIN: "main", FORMER: "former main, still trusted"}
_STYLES = {RESERVE: "yellow", MAIN: "green", FORMER: "dim"}


@dataclass(slots=True)
class Bar:
    """One certificate: its validity, and the time in which it is main."""

    name: str
    start: datetime
    end: datetime
    main_from: datetime | None = None
    main_until: datetime | None = None

    def mark(self, moment: datetime) -> str:
        """Return the character for the role of the certificate at a time."""
        if not self.start <= moment <= self.end:
            return " "
        if self.main_from is None or moment < self.main_from:
            return RESERVE
        return MAIN if self.main_until is None or moment < self.main_until else FORMER


def bar_chart(bars: Iterable[Bar], *, width: int = 76) -> Text:
    """Return a row for each certificate, the months, and the legend. The text has colors on a terminal.

    Args:
        bars: At least one bar.
        width: Number of characters from the first start to the last end.
    """
    listed = list(bars)
    start, end = min(bar.start for bar in listed), max(bar.end for bar in listed)
    column = (end - start) / width
    rows = [(bar.name, "".join(bar.mark(start + column * (at + 0.5)) for at in range(width))) for bar in listed]
    axis = [" "] * width
    for year in range(start.year, end.year + 1):
        for month in (1, 7):
            label = f"{year}-{month:02}"
            place = round((datetime(year, month, 1, tzinfo=UTC) - start) / column)
            if 0 <= place <= width - len(label):
                axis[place : place + len(label)] = label
    seen = {mark for _, row in rows for mark in row}
    legend = "   ".join(f"{mark} {meaning}" for mark, meaning in _MEANINGS.items() if mark in seen)
    lines = (*rows, ("", "".join(axis)), ("", legend))
    text = Text("\n".join(f"  {name:<{_NAME_WIDTH}}{row}".rstrip() for name, row in lines))
    for mark, style in _STYLES.items():
        text.highlight_regex(f"{mark}+", style)
    return text
