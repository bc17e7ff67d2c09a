"""Shortens the call stacks that Pulumi stores of a program."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["short_stack_traces"]

_FRAMES = 9
"""Five frames of the SDK and of the resource's own constructor; then the frames that declare the resource."""


@contextmanager
def short_stack_traces() -> Iterator[None]:
    """Let Pulumi store only the nearest frames of each declaration in this context.

    The SDK passes the whole call stack of each declaration to the engine, including the frames of Python's event loop,
    and the engine stores it: 1.4 KB for each resource. ``sys.tracebacklimit`` is Python's own limit of frames. The
    former limit is restored before an exception is printed.
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
