"""Makes untrusted text safe to show: a name in a certificate or a device's answer may contain terminal commands."""

from __future__ import annotations

__all__ = ["one_line", "printable"]


def printable(text: str, *, mark: str = "?", keep: str = "", limit: int | None = None) -> str:
    """Return *text* without control characters and other characters that are not printable.

    Args:
        text: untrusted text.
        mark: replacement of each removed character.
        keep: characters that stay, for example a line feed if the text may have several lines.
        limit: maximum number of characters; a longer text is cut off and ends with an ellipsis. None for no limit.
    """
    if text.isprintable():  # most texts are, and the search by character takes 20 times as long
        return _cut(text, limit)
    return _cut("".join(one if one.isprintable() or one in keep else mark for one in text), limit)


def one_line(text: str, *, limit: int) -> str:
    """Return *text* in one line with single spaces; beyond *limit* characters it is cut off with an ellipsis."""
    return _cut(" ".join(printable(text, mark=" ").split()), limit)


def _cut(text: str, limit: int | None) -> str:
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"
