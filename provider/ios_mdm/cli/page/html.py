"""Builds HTML as text. Only :func:`text_html` makes HTML of a text, so a text from outside cannot become markup."""

from __future__ import annotations

import html
from typing import NewType

from ios_mdm.core.text import printable

__all__ = ["Html", "fragment", "tag", "text_html"]

Html = NewType("Html", str)
"""HTML in which each text is escaped."""

_VOID = frozenset({"link", "meta"})
"""Elements without an end tag. In SVG, a browser does not close an element without it."""


def text_html(text: str) -> Html:
    """Return a text as HTML, without control characters and without marks that change the direction of writing."""
    return Html(html.escape(printable(text, keep="\n")))


def fragment(*parts: Html) -> Html:
    """Return the parts one after the other."""
    return Html("".join(parts))


def tag(element: str, /, *parts: Html, **attributes: str) -> Html:
    """Return an element.

    Args:
        element: name of the element.
        parts: its content.
        attributes: values by name; an empty value is left out. ``class_`` stands for ``class``, and ``data_label`` for
            ``data-label``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text_html(value)}"' for key, value in attributes.items() if value
    )
    end = "" if element in _VOID else f"</{element}>"
    return Html(f"<{element}{written}>{''.join(parts)}{end}")
