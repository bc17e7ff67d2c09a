"""Text from outside, made safe to show: a name in a certificate or a device's answer may hold what a terminal obeys."""

from __future__ import annotations

__all__ = ["one_line", "printable"]


def printable(text: str, *, mark: str = "?", keep: str = "", longest: int | None = None) -> str:
    """Return *text* without control characters and others that are not printable.

    Args:
        text: from anywhere.
        mark: what each of those characters becomes.
        keep: those that stay, for example a line feed where the text may have lines.
        longest: the most characters; a longer text is cut off and ends with an ellipsis. None for any number.
    """
    return _cut("".join(one if one.isprintable() or one in keep else mark for one in text), longest)


def one_line(text: str, *, longest: int) -> str:
    """Return *text* as words with one space between them, at most *longest* characters: cut off, with an ellipsis."""
    return _cut(" ".join(printable(text, mark=" ").split()), longest)


def _cut(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"
