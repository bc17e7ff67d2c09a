"""Draws the validity of main and reserve as bars, with the time of the report and the apply time as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.cli.page.html import Html, fragment, tag, text_html
from ios_mdm.cli.readiness_words import time_text

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.app.readiness.values import Report

__all__ = ["timeline"]

_WIDTH, _HEIGHT = 1000, 60


def timeline(report: Report) -> Html:
    """Return the timeline: a picture, and a list of the events, which has all of its content."""
    events = [tag("li", tag("b", text_html(time_text(event.at))), text_html(event.text)) for event in report.timeline]
    return fragment(tag("h3", text_html("Timeline")), _picture(report), tag("ol", *events))


def _picture(report: Report) -> Html:
    status = report.overview
    bars = [(name, one) for name, one in (("main", status.main), ("reserve", status.reserve)) if one is not None]
    if not bars:
        return Html("")
    times = [event.at for event in report.timeline]
    times += [time for _, one in bars for time in (one.not_before, one.not_after)]
    start, end = min(times), max(times)
    length = (end - start).total_seconds() or 1.0

    def x(time: datetime) -> float:
        return (time - start).total_seconds() / length * _WIDTH

    parts = [tag("title", text_html("Validity of main and reserve. The list below has the same times."))]
    for row, (name, one) in enumerate(bars):
        left, right = x(one.not_before), x(one.not_after)
        parts.append(
            tag(
                "rect",
                class_=f"bar-{name}",
                x=f"{left:.1f}",
                y=str(8 + row * 24),
                width=f"{max(right - left, 1):.1f}",
                height="16",
            )
        )
    parts.append(_line("now", x(status.now)))
    if status.apply_at is not None:
        parts.append(_line("apply", x(status.apply_at)))
    picture = tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", preserveAspectRatio="none", role="img")
    legend = [tag("span", text_html("■ main "), class_="text-main")]
    if status.reserve is not None:
        legend.append(tag("span", text_html("■ reserve "), class_="text-reserve"))
    legend.append(text_html("┆ this report"))
    if status.apply_at is not None:
        legend += [text_html(" "), tag("span", text_html("│ apply time"), class_="critical")]
    return fragment(picture, tag("p", *legend, class_="soft"))


def _line(kind: str, x: float) -> Html:
    return tag("line", class_=kind, x1=f"{x:.1f}", x2=f"{x:.1f}", y1="0", y2=str(_HEIGHT))
