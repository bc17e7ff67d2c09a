"""Splits DER into its elements.

The functions expect DER that the library has already parsed, such as a certificate or an extension of it. For other
bytes, the result has no meaning, but no function runs longer than its input is long.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Element", "elements", "only_element"]

_LONG_FORM = 0x80


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    Args:
        tag: first octet.
        content: contents octets.
        encoding: the whole element.
    """

    tag: int
    content: bytes
    encoding: bytes


def elements(data: bytes) -> list[Element]:
    """Return the elements that follow each other in *data*.

    Raises:
        ValueError: An element is longer than *data*.
    """
    found, start = [], 0
    while start < len(data):
        header = data[start : start + 2]
        length, body = (header[1], start + 2) if len(header) == 2 else (len(data), start)  # noqa: PLR2004 - tag, length
        if length >= _LONG_FORM and body > start:
            octets = length - _LONG_FORM
            length, body = int.from_bytes(data[body : body + octets], "big"), body + octets
        stop = body + length
        if stop > len(data):
            raise ValueError("an element is longer than its input")
        found.append(Element(header[0], data[body:stop], data[start:stop]))
        start = stop
    return found


def only_element(data: bytes) -> Element:
    """Return the single element that *data* consists of.

    Raises:
        ValueError: *data* is not exactly one element.
    """
    (found,) = elements(data)
    return found
