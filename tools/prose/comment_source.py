"""Comments of sources that are not Python: Makefile, YAML, TOML, shell and Go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tools.prose.text import Kind, Text, paragraphs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.prose.text import Line

__all__ = ["comment_texts"]

_HASH = re.compile(r"(?:^|(?<=\s))#+(?!!)\s?(?P<text>.*)")
_SLASHES = re.compile(r"(?:^|(?<=\s))//\s?(?P<text>.*)")
_OPT_OUT = re.compile(r"\s*(?:#|//)?\s*prose: allow.*")
_DIRECTIVE = re.compile(r"(?:shellcheck|yaml-language-server|nolint|noqa)\b.*")


def comment_texts(lines: list[str], *, slashes: bool = False) -> Iterator[Text]:
    """Return the comments of a file; successive lines that are comments only are one text.

    Args:
        lines: the lines of the file.
        slashes: comments start with ``//``, not with ``#``.
    """
    marker = _SLASHES if slashes else _HASH
    block: list[Line] = []
    for number, line in enumerate(lines, 1):
        match = marker.search(line)
        is_alone = match is not None and not line[: match.start()].strip()
        if block and not is_alone:
            yield from _texts(block)
            block = []
        if match is not None:
            block.append((number, _DIRECTIVE.sub("", _OPT_OUT.sub("", match["text"]))))
            if not is_alone:
                yield from _texts(block)
                block = []
    yield from _texts(block)


def _texts(block: list[Line]) -> Iterator[Text]:
    return (Text(Kind.COMMENT, part) for part in paragraphs(block))
