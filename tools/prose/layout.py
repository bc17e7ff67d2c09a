"""The layout of Markdown: one sentence per source line, and the length of a line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tools.prose.text import Finding, without_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.prose.markdown_source import Page

__all__ = ["LAYOUT_RULES", "MAX_LINE_LENGTH", "layout_findings"]

LINE_LENGTH = "line-length"
SENTENCE_PER_LINE = "sentence-per-line"
LAYOUT_RULES = (LINE_LENGTH, SENTENCE_PER_LINE)

MAX_LINE_LENGTH = 160
"""Characters of a line without its URLs."""

_SHOWN = 30
"""Characters of a line that a finding quotes."""

_RUN_IN = re.compile(r"\*\*[^*]+\*\*[.:]?\s+")
_SENTENCE = re.compile(r"[.!?][)\"'*_`]*\s+(?=[(\"'*_`\[]*(?:[A-Z]|`))")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|approx|resp|No|St|Dr|Inc|Ltd)|\b[A-Z])\.\s*$")
_END = re.compile(r".*[.!?:·][)\"'*_`\]]*(?:\s{2}|\\|<br>)?\s*")


def layout_findings(page: Page) -> Iterator[Finding]:
    """Return the lines that are too long, hold two sentences, or end within a sentence."""
    for number, line in page.long_lines:
        if len(line) > MAX_LINE_LENGTH:
            phrase = f"{len(line)} characters"
            yield _finding(LINE_LENGTH, number, phrase, f"at most {MAX_LINE_LENGTH} characters")
    for text in page.paragraphs:
        for number, line in text.lines[:-1]:
            if _END.fullmatch(without_code(line)) is None:
                yield _finding(SENTENCE_PER_LINE, number, f"…{line[-_SHOWN:]}", "the whole sentence on one line")
        for number, line in text.lines:
            prose = _RUN_IN.sub("", without_code(line), count=1)
            ends = [match for match in _SENTENCE.finditer(prose) if not _ABBREVIATION.search(prose[: match.end()])]
            if ends:
                phrase = line[-(len(prose) - ends[0].end()) :][:_SHOWN]
                yield _finding(SENTENCE_PER_LINE, number, f"{phrase}…", "this sentence on the next line")


def _finding(rule: str, number: int, phrase: str, write: str) -> Finding:
    return Finding(rule=rule, line=number, last_line=number, phrase=phrase, write=write)
