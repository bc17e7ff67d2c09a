"""Recognizes UTF-16, in which Windows writes text files."""

from __future__ import annotations

import codecs

__all__ = ["utf16_encoding"]


def utf16_encoding(data: bytes) -> str | None:
    """Return the name of the UTF-16 encoding of a text, or None if the data is not UTF-16.

    UTF-16 without a byte order mark is recognized by the NUL bytes of its ASCII characters.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell's redirection writes it
        return "utf-16"
    even, odd = data[::2], data[1::2]
    if 0 not in even and 2 * odd.count(0) > len(odd):
        return "utf-16-le"
    if 0 not in odd and 2 * even.count(0) > len(even):
        return "utf-16-be"
    return None
