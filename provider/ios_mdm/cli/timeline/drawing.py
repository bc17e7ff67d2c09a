"""Builds SVG elements as text: deterministic and escaped, without scripts, styles or external references."""

from __future__ import annotations

import html

from ios_mdm.core.pair.forecast import EventName
from ios_mdm.core.text import printable

__all__ = ["element", "line", "number", "rect", "symbol", "text", "width_of", "words"]

_EM = 0.6
"""Width of a character in ems. Most fonts are narrower, so a text is at most as wide as computed with it."""

_SHAPES = {
    EventName.ISSUE_MAIN: '<circle r="4" fill="#1b5499"/>',
    EventName.ISSUE_RESERVE: '<circle r="3.4" fill="#fff" stroke="#1b5499" stroke-width="1.6"/>',
    EventName.DISTRIBUTE: '<rect x="-2.8" y="-2.8" width="5.6" height="5.6" fill="#6b7785"/>',
    EventName.APPLY_RESERVE: '<path d="M0-5.6 5.6 0 0 5.6-5.6 0z" fill="#08704f"/>',
    EventName.WARNING: '<path d="M0-5 5.4 4.4h-10.8z" fill="#d98200"/>',
    EventName.CRITICAL: '<path d="M-2-5h4l3 3v4l-3 3h-4l-3-3v-4z" fill="#c4261d"/>',
    EventName.CONNECTION_LOST: '<path d="M-4.2-4.2 4.2 4.2M4.2-4.2-4.2 4.2" stroke="#8f130c" stroke-width="2.8"/>',
}


def element(name: str, *parts: str, **attributes: str | float) -> str:
    """Return an element with the SVG *parts* as content. An attribute ``stroke_width`` is written ``stroke-width``."""
    written = "".join(f' {key.replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(parts)}</{name}>" if parts else f"<{name}{written}/>"


def words(name: str, content: str, **attributes: str | float) -> str:
    """Return an element with text as content. Browsers show a ``title`` as a tooltip, and screen readers read it."""
    return element(name, _escaped_text(content), **attributes)


def text(content: str, x: float, y: float, **attributes: str | float) -> str:
    """Return a line of text with its baseline at *y*."""
    return words("text", content, x=x, y=y, **attributes)


def rect(x: float, y: float, width: float, height: float, **attributes: str | float) -> str:
    """Return a rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, **attributes)


def line(x: float, top: float, bottom: float, **attributes: str | float) -> str:
    """Return a vertical line."""
    return element("path", d=f"M{number(x)} {number(top)}V{number(bottom)}", **attributes)


def symbol(event: EventName, x: float, y: float, *parts: str) -> str:
    """Return the symbol of an event, with its center at *x* and *y*. Each event has a different shape."""
    return element("g", *parts, _SHAPES[event], transform=f"translate({number(x)} {number(y)})")


def width_of(content: str, size: float) -> float:
    """Return the maximum width of a text in this font size, in pixels."""
    return len(content) * size * _EM


def number(value: float) -> str:
    """Return a coordinate as text, rounded to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _value(value: str | float) -> str:
    return _escaped_text(value) if isinstance(value, str) else number(value)


def _escaped_text(content: str) -> str:
    """Return *content* escaped for XML, without control characters, which XML cannot represent."""
    return html.escape(printable(content, keep="\n"))
