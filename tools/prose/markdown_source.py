"""Texts of a Markdown page, without code blocks and HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.prose.text import Kind, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.prose.text import Line

__all__ = ["Page", "read_page"]

_FENCE = re.compile(r"\s*(?:>\s*)?(?P<fence>`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?-->")
_HEADING = re.compile(r"#{1,6}\s+(?P<text>.*)")
_ITEM = re.compile(r"(?:[-*+]|\d+[.)])\s+(?:\[[ x]\]\s+)?")
_TARGET = re.compile(r"(?<=\])\([^)\s]*\)")
_DEFINITION = re.compile(r"\[[^\]]+\]:\s")
_RULE = re.compile(r"\|?[\s:|-]+\|[\s:|-]*")


@dataclass(slots=True)
class Page:
    """The prose of a page.

    Args:
        texts: headings, paragraphs, list items and table cells.
        paragraphs: paragraphs and list items only: the layout rules concern these.
        long_lines: the lines whose length counts, without comments and URLs.
    """

    texts: list[Text] = field(default_factory=list)
    paragraphs: list[Text] = field(default_factory=list)
    long_lines: list[Line] = field(default_factory=list)


def read_page(lines: list[str]) -> Page:
    """Return the prose of a Markdown page."""
    page = Page()
    block: list[Line] = []
    prose = dict(_prose_lines(lines))
    for number, line in prose.items():
        text = line.strip().lstrip(">").strip()
        if text.startswith("|"):
            _close(page, block)
            page.texts += _cells(number, text, is_head=_RULE.fullmatch(prose.get(number + 1, "").strip()) is not None)
            continue
        heading = _HEADING.fullmatch(text)
        if heading is not None:
            _close(page, block)
            page.texts.append(Text(Kind.HEADING, ((number, heading["text"]),)))
            continue
        if not text or text.startswith("<") or _DEFINITION.match(text):
            _close(page, block)
            continue
        page.long_lines.append((number, _without_urls(line)))
        item = _ITEM.match(text)
        if item is not None:
            _close(page, block)
            text = text[item.end() :]
        block.append((number, _TARGET.sub("", text)))
    _close(page, block)
    return page


def _prose_lines(lines: list[str]) -> Iterator[Line]:
    """Return each line; those of code blocks are empty, and comments are removed."""
    fence = ""
    is_comment = False
    for number, line in enumerate(lines, 1):
        match = _FENCE.match(line)
        if match is not None and (not fence or match["fence"].startswith(fence)):
            fence = "" if fence else match["fence"]
            yield number, ""
            continue
        text = "" if fence else _COMMENT.sub("", line).rstrip()
        if is_comment:
            is_comment, text = "-->" not in text, text.partition("-->")[2]
        elif "<!--" in text:
            is_comment, text = True, text.partition("<!--")[0]
        yield number, text


def _close(page: Page, block: list[Line]) -> None:
    if block:
        text = Text(Kind.PAGE, tuple(block))
        page.texts.append(text)
        page.paragraphs.append(text)
        block.clear()


def _cells(number: int, row: str, *, is_head: bool) -> Iterator[Text]:
    kind = Kind.HEADING if is_head else Kind.PAGE
    for cell in re.split(r"(?<!\\)\|", _TARGET.sub("", row)):
        if cell.strip(" :-"):
            yield Text(kind, ((number, cell.strip()),))


def _without_urls(line: str) -> str:
    return re.sub(r"\w+://\S+", "", _TARGET.sub("", line)).rstrip()
