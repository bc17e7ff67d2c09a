"""Draws a forecast as one picture with a row per server, to paste into a change request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.cli.timeline.drawing import element, line, number, rect, symbol, text, width_of, words
from ios_mdm.cli.timeline.layout import EVENTS, LEFT, LINE, RIGHT, SMALL, WIDTH, Mark, Scale, labels, lanes, marks
from ios_mdm.core.pair.forecast import EventName
from ios_mdm.core.pair.windows import warning_window
from ios_mdm.core.times import shifted_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from ios_mdm.core.pair.forecast import ForeseenCertificate, Life

__all__ = ["Row", "timeline_svg"]

_INK, _GREY, _RULE, _THREAD, _APPLY = "#1d2733", "#5a6775", "#dde3ea", "#9aa6b3", "#08704f"
_FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_WINDOW = "#fff3bf"
_BANDS: Mapping[EventName, str] = {
    EventName.WARNING: "#ffdfa8",
    EventName.CRITICAL: "#ffbdb5",
    EventName.CONNECTION_LOST: "#d59993",
}


class _Part(StrEnum):
    """Role of a certificate during a part of its validity."""

    MAIN = "main"
    RESERVE = "reserve"
    FORMER = "former main, still trusted"


_BARS: Mapping[_Part, tuple[str, str]] = {
    _Part.MAIN: ("#1b5499", "#1b5499"),
    _Part.RESERVE: ("url(#timeline-reserve)", "#6f9dd3"),
    _Part.FORMER: ("#eef1f5", "#b4bfca"),
}
"""Fill and stroke of the parts of a bar."""
_HATCHED = element(
    "defs",
    element(
        "pattern",
        rect(0, 0, 6, 6, fill="#eaf2fb"),
        line(1.5, 0, 6, stroke="#a3c3ea", stroke_width=2.5),
        id="timeline-reserve",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    ),
)
_LEGEND: Sequence[tuple[str, str, str]] = (
    *((*_BARS[part], part) for part in _Part),
    (_WINDOW, _RULE, "warning window of main"),
    (_BANDS[EventName.WARNING], _RULE, "warning"),
    (_BANDS[EventName.CRITICAL], _RULE, "critical"),
    (_BANDS[EventName.CONNECTION_LOST], _RULE, "no valid main"),
)
"""Fill, stroke and meaning of each bar and shade."""
_RIM: Mapping[str, str | float] = {"stroke": "#fff", "stroke_width": 3, "paint_order": "stroke"}
"""White outline of a text, so that lines below the text do not cross it."""


_MAX_DESCRIBED_EVENTS = 12
"""Maximum number of events in the title of a mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A server in the picture.

    Args:
        name: Name of the server.
        address: Its connection address.
        warn_days: Setting ``warnDays``; None for the default.
        life: Forecast of the pair.
    """

    name: str
    address: str
    warn_days: int | None
    life: Life


def timeline_svg(rows: Sequence[Row]) -> str:
    """Return the picture as an SVG document. The same *rows* (at least one) give the same document."""
    scale = Scale(start=min(row.life.start for row in rows), end=max(row.life.end for row in rows))
    span = f"{scale.start:%Y-%m-%d %H:%M} to {scale.end:%Y-%m-%d %H:%M} UTC"
    y, hidden, drawn = 96.0, 0, list[str]()
    for row in rows:
        parts, y, without = _row(row, scale, y)
        drawn += parts
        hidden += without
    legend, below = _legend(y, {event.event for row in rows for event in row.life.events}, drawn)
    note = "Forecast for new pairs, if pulumi up runs whenever a change is due. All times are UTC."
    if hidden:
        note += f" Marks without a label (no room): {hidden}."
    height = below + 40
    body = (
        words("title", f"Certificates of {', '.join(row.name for row in rows)}", id="timeline-title"),
        words("desc", _description(rows, span), id="timeline-desc"),
        _HATCHED,
        rect(0.5, 0.5, WIDTH - 1, height - 1, rx=8, fill="#fff", stroke=_RULE),
        text("Main and reserve certificates", LEFT, 31, font_size=15, font_weight=600),
        text(span, LEFT, 48, fill=_GREY),
        *_axis(scale, y - 34),
        *drawn,
        *legend,
        text(note, LEFT, below + 22, fill=_GREY),
    )
    svg = element(
        "svg",
        "\n",
        *(f"{part}\n" for part in body),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {number(height)}",
        width=WIDTH,
        height=height,
        role="img",
        aria_labelledby="timeline-title timeline-desc",
        font_family=_FONTS,
        font_size=SMALL,
        fill=_INK,
    )
    return f"{svg}\n"


def _description(rows: Sequence[Row], span: str) -> str:
    """Return the description of the picture for screen readers."""
    sentences = [f"From {span}."]
    for row in rows:
        sentences.append(f"{row.name} ({row.address}):")
        for one in row.life.certificates:
            main = "" if one.main_from is None else f", main from {one.main_from:%Y-%m-%d %H:%M}"
            sentences.append(
                f"certificate {one.ordinal}, valid from {one.not_before:%Y-%m-%d} to {one.not_after:%Y-%m-%d}{main}."
            )
        sentences += [f"{one.event} from {one.start:%Y-%m-%d} to {one.until:%Y-%m-%d}." for one in row.life.alerts]
    return " ".join(sentences)


def _axis(scale: Scale, bottom: float) -> Iterator[str]:
    """Yield a line and a date for each tick."""
    for date, name in scale.ticks():
        x = scale.x(date)
        yield line(x, 62, bottom, stroke=_RULE)
        yield text(name, x + 4, 71, fill=_GREY)


def _row(row: Row, scale: Scale, top: float) -> tuple[list[str], float, int]:
    """Return the parts of a server's row, the top of the next row, and the number of marks without a label."""
    life, lane_of = row.life, lanes(row.life.certificates)
    bars, count = top + 12, max(lane_of.values()) + 1
    height = max(4.0, min(22.0, 400 / count))
    axis = bars + count * height + 8
    found = marks(life.events, scale)
    labeled = labels(found, axis + 14)
    name = words("tspan", row.name, font_size=13, font_weight=600)
    heading = element("text", name, words("tspan", row.address, dx=8, fill=_GREY), x=LEFT, y=top, **_RIM)
    parts = [heading, *_bands(row, scale, bars - 4, axis)]
    switches = [scale.x(event.at) for event in life.events if event.event is EventName.APPLY_RESERVE]
    parts += [line(x, bars - 4, axis, stroke=_APPLY, stroke_dasharray="3 2") for x in switches]
    for one in life.certificates:
        parts += _bar(one, scale, bars + lane_of[one.ordinal] * height, height - 4 if height > LINE else height - 1)
    parts.append(element("path", d=f"M{LEFT} {number(axis)}H{RIGHT}", stroke=_THREAD))
    parts += [line(mark.x, axis, y + mark.height - 3, stroke=_THREAD) for mark, y in labeled]
    for mark in sorted(found, key=lambda mark: -EVENTS.index(mark.event)):
        parts.append(symbol(mark.event, mark.x, axis, words("title", _tooltip(mark))))
    for mark, y in labeled:
        parts += _label(mark, y)
    return parts, max([axis, *(y + mark.height for mark, y in labeled)]) + 38, len(found) - len(labeled)


def _tooltip(mark: Mark) -> str:
    """Return the title of a mark, which browsers show as a tooltip."""
    lines = [
        f"{event.at:%Y-%m-%d %H:%M} {event.event}: {event.reason}" for event in mark.events[:_MAX_DESCRIBED_EVENTS]
    ]
    more = [f"and {len(mark.events) - _MAX_DESCRIBED_EVENTS} more"] if len(mark.events) > _MAX_DESCRIBED_EVENTS else []
    return "\n".join([*lines, *more])


def _bands(row: Row, scale: Scale, top: float, bottom: float) -> Iterator[str]:
    """Yield the shades behind the bars: the warning window of each main, and the times with alerts."""
    bands: list[tuple[str, datetime, datetime]] = []
    for one in row.life.certificates:
        if one.main_from is not None:
            until = min(one.not_after, one.main_until or one.not_after)
            window = warning_window(row.warn_days, one.not_after - one.not_before)
            bands.append((_WINDOW, max(shifted_time(one.not_after, -window), one.main_from), until))
    bands += [(_BANDS[alert.event], alert.start, alert.until) for alert in row.life.alerts]
    for fill, start, until in bands:
        left, right = scale.x(start), scale.x(until)
        if left < right:
            yield rect(left, top, right - left, bottom - top, fill=fill)


def _bar(one: ForeseenCertificate, scale: Scale, y: float, height: float) -> Iterator[str]:
    """Yield the bar of a certificate: a part per role, and its number in the first part that has room."""
    came, ends = one.stored_at, one.not_after
    promoted, replaced = one.main_from or ends, one.main_until or ends
    spans = {
        _Part.MAIN: (min(promoted, ends), min(replaced, ends)),
        _Part.FORMER: (min(replaced, ends), ends),
        _Part.RESERVE: (came, min(promoted, ends)),
    }
    places = {
        part: (scale.x(start), scale.x(end)) for part, (start, end) in spans.items() if scale.x(start) < scale.x(end)
    }
    title = f"certificate {one.ordinal}, valid from {one.not_before:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M}"
    bars = [
        rect(left, y, right - left, height, fill=_BARS[part][0], stroke=_BARS[part][1])
        for part, (left, right) in places.items()
    ]
    yield element("g", words("title", title), *bars)
    if height < LINE:
        return
    base = y + height / 2 + 3.7
    if ends > scale.end:
        yield text(f"→ {ends:%Y-%m-%d}", RIGHT + 6, base, fill=_GREY)
    for name in (
        f"certificate {one.ordinal}, valid to {ends:%Y-%m-%d}",
        f"certificate {one.ordinal}",
        f"{one.ordinal}",
    ):
        for part, (left, right) in places.items():
            if width_of(name, SMALL) + 10 <= right - left:
                yield _certificate_name(name, left + 6, base, part)
                return


def _certificate_name(name: str, x: float, y: float, part: _Part) -> str:
    if part is _Part.RESERVE:
        return text(name, x, y, **{**_RIM, "stroke": "#eaf2fb"})
    return text(name, x, y, fill="#fff" if part is _Part.MAIN else _INK)


def _label(mark: Mark, top: float) -> Iterator[str]:
    for index, (event, content) in enumerate(mark.lines):
        y = top + index * LINE + 9
        if event is not None:
            yield symbol(event, mark.x + 9, y - 3.7)
            yield text(content, mark.x + 17, y, **_RIM)
        else:
            yield text(content, mark.x + 4, y, fill=_GREY, **_RIM)


def _legend(top: float, events: AbstractSet[EventName], parts_drawn: Sequence[str]) -> tuple[list[str], float]:
    """Return the legend of the colors and symbols in the picture, and the bottom of the legend."""
    parts = [element("path", d=f"M{LEFT} {number(top - 22)}H{WIDTH - LEFT}", stroke=_RULE)]
    x, y = float(LEFT), top
    for fill, stroke, name in _LEGEND:
        if any(f'fill="{fill}"' in part for part in parts_drawn):
            parts += [rect(x, y - 9, 16, 10, fill=fill, stroke=stroke), text(name, x + 22, y)]
            x += 34 + width_of(name, SMALL)
    x, y = float(LEFT), y + 20
    for event in (event for event in reversed(EVENTS) if event in events):
        parts += [symbol(event, x + 8, y - 4), text(event, x + 22, y)]
        x += 34 + width_of(event, SMALL)
    return parts, y
