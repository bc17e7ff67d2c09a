"""Splits DER into its elements.

The functions expect DER that the library has already parsed, such as a certificate or an extension of it. For other
bytes, the result has no meaning, but no function runs longer than its input is long.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Element", "bounds", "elements", "only_element"]

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


def bounds(data: bytes, start: int) -> tuple[int, int]:
    """Return the start and the end of the contents of the element that starts at *start*.

    Raises:
        ValueError: The element is longer than *data*.
    """
    body = start + 2
    length = data[start + 1] if body <= len(data) else len(data)
    if length >= _LONG_FORM:
        octets = length - _LONG_FORM
        length, body = int.from_bytes(data[body : body + octets], "big"), body + octets
    if body + length > len(data):
        raise ValueError("an element is longer than its input")
    return body, body + length


def elements(data: bytes) -> list[Element]:
    """Return the elements that follow each other in *data*.

    Raises:
        ValueError: An element is longer than *data*.
    """
    found, start = [], 0
    while start < len(data):
        body, stop = bounds(data, start)
        found.append(Element(data[start], data[body:stop], data[start:stop]))
        start = stop
    return found


def only_element(data: bytes) -> Element:
    """Return the single element that *data* consists of.

    Raises:
        ValueError: *data* is not exactly one element.
    """
    (found,) = elements(data)
    return found
