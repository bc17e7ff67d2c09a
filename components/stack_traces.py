"""Shortens the call stacks of a program that Pulumi stores."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["short_stack_traces"]

_FRAMES = 9
"""Five frames of the SDK and of the constructor of the resource, then four frames that declare the resource."""


@contextmanager
def short_stack_traces() -> Iterator[None]:
    """Limit the call stack that Pulumi stores for each declaration in this context to the nearest frames.

    The SDK passes the whole call stack of each declaration, including the frames of Python's event loop, to the engine,
    which stores it: 1.4 KB for each resource. The limit is set in ``sys.tracebacklimit``. The former limit is restored
    before an exception is printed.
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
