"""A piece of prose with the lines that it comes from."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Finding", "Kind", "Line", "Text", "paragraphs", "without_code"]

Line = tuple[int, str]
"""Line number in the file, counted from 1, and the text of the line."""

_CODE = re.compile(r"``.+?``|`[^`]+`|\w+://[^\s)>\"']+|(?<!\w)(?P<quote>['\"])\w+(?P=quote)(?!\w)")
_SECTION = re.compile(r"(?:Args|Attributes|Raises|Returns|Yields|Example|Examples|Note):$")
_LABEL = re.compile(r"\*{0,2}\w+(?: \([^)]*\))?: +")
_ITEM = re.compile(r"(?:[-*+•]|\d+[.)]) +")


class Kind(Enum):
    """Where a text stands."""

    COMMENT = "comment"
    DOCSTRING = "docstring"
    MESSAGE = "message"
    """A string literal, or the docstring of a command, which is its help."""
    PAGE = "page"
    HEADING = "heading"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A phrase or a name that breaks a rule.

    Args:
        rule: name of the rule.
        line: number of the first line of the phrase.
        last_line: number of its last line.
        closing: line after whose end an opt-out also counts: the last line of a string.
        phrase: the phrase as the file has it.
        write: the replacement, as a noun phrase.
    """

    rule: str
    line: int
    last_line: int
    closing: int | None = None
    phrase: str
    write: str

    def report_line(self, path: str) -> str:
        """Return the line of output."""
        return f'{path}:{self.line}: {self.rule}: "{self.phrase}". Write {self.write} instead.'


@dataclass(frozen=True)
class Text:
    """A paragraph, a comment, a list item, a table cell or a string literal.

    Args:
        kind: where it stands.
        lines: its lines without indentation and markers; at least one.
        closing: number of the last line of the string literal that holds it; None for other texts.
    """

    kind: Kind
    lines: tuple[Line, ...]
    closing: int | None = None

    @cached_property
    def prose(self) -> str:
        """The lines, joined by spaces; code, URLs and quoted words have as many characters, which are no words."""
        return without_code(self.raw)

    @cached_property
    def raw(self) -> str:
        """The lines, joined by spaces."""
        return " ".join(line for _, line in self.lines)

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((len(line) + 1 for _, line in self.lines[:-1]), initial=0))

    def finding(self, rule: str, start: int, end: int, write: str) -> Finding:
        """Return the finding for the characters from *start* to *end* of the joined lines."""
        return Finding(
            rule=rule,
            line=self._line_at(start),
            last_line=self._line_at(max(start, end - 1)),
            closing=self.closing,
            phrase=self.raw[start:end],
            write=write,
        )

    def _line_at(self, offset: int) -> int:
        return self.lines[bisect_right(self._starts, offset) - 1][0]


def without_code(text: str) -> str:
    """Return *text* with each code span, URL and quoted word replaced by as many characters that are no words."""
    return _CODE.sub(lambda match: "`" + "_" * (len(match[0]) - 2) + "`", text)


def paragraphs(lines: Iterable[Line]) -> Iterator[tuple[Line, ...]]:
    """Split the lines of a docstring, a string or a comment: at blank lines, headings, labels and list markers."""
    block: list[Line] = []
    for number, line in lines:
        text = line.strip()
        if not text or _SECTION.match(text):
            if block:
                yield tuple(block)
            block = []
            continue
        marker = _LABEL.match(text) or _ITEM.match(text)
        if marker is not None:
            if block:
                yield tuple(block)
            block = []
            text = text[marker.end() :]
        block.append((number, text))
    if block:
        yield tuple(block)
