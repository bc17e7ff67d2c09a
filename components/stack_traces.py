"""Keeps what Pulumi stores of a program's call stack short."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["short_stack_traces"]

_FRAMES = 9
"""Five of the SDK and of the resource's own constructor; then those that declared the resource."""


@contextmanager
def short_stack_traces() -> Iterator[None]:
    """Let Pulumi store the nearest frames only of each resource that is declared meanwhile.

    The SDK takes the whole call stack of each declaration, those of Python's event loop included, and the engine stores
    it: 1.4 KB for each resource. ``sys.tracebacklimit`` is Python's own limit for that. An exception is printed later,
    when the former limit is back.
    """
    former = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = _FRAMES if former is None else min(former, _FRAMES)
    try:
        yield
    finally:
        if former is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = former
