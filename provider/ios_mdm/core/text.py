"""Makes untrusted text safe to show: a name in a certificate or a device's answer may contain terminal commands."""

from __future__ import annotations

__all__ = ["one_line", "printable"]


def printable(text: str, *, mark: str = "?", keep: str = "", longest: int | None = None) -> str:
    """Return *text* without control characters and other characters that are not printable.

    Args:
        text: untrusted text.
        mark: replacement of each removed character.
        keep: characters that stay, for example a line feed if the text may have several lines.
        longest: maximum number of characters; a longer text is cut off and ends with an ellipsis. None for no limit.
    """
    return _cut("".join(one if one.isprintable() or one in keep else mark for one in text), longest)


def one_line(text: str, *, longest: int) -> str:
    """Return *text* in one line with single spaces; beyond *longest* characters it is cut off with an ellipsis."""
    return _cut(" ".join(printable(text, mark=" ").split()), longest)


def _cut(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"
