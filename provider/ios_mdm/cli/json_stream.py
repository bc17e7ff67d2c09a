"""Writes JSON with long arrays whose items are computed while they are printed, so that memory stays flat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["json_parts"]

_INDENT = "  "


def json_parts(value: object, indent: str = "\n") -> Iterator[str]:
    """Yield the parts of the JSON of a value, in the form of ``json.dumps(value, indent=2)``.

    Args:
        value: a value that JSON can represent. An iterator becomes an array.
        indent: line feed and indentation of the value.
    """
    if isinstance(value, Mapping):
        items = ((f"{json.dumps(key)}: ", one) for key, one in value.items())
        yield from _container("{", "}", items, indent)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        yield from _container("[", "]", (("", one) for one in value), indent)
    else:
        yield json.dumps(value)


def _container(opening: str, closing: str, items: Iterable[tuple[str, object]], indent: str) -> Iterator[str]:
    start, inner = opening, f"{indent}{_INDENT}"
    for prefix, one in items:
        if one is None or isinstance(one, str | int | float):
            yield f"{start}{inner}{prefix}{json.dumps(one)}"
        else:
            yield f"{start}{inner}{prefix}"
            yield from json_parts(one, inner)
        start = ","
    yield opening + closing if start == opening else f"{indent}{closing}"
