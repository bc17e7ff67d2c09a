"""Larger bounds for `make test-long`, which sets ``TEST_LONG``. Only this module reads it."""

from __future__ import annotations

import os
from typing import TypeVar

__all__ = ["LONG", "bounds", "examples"]

LONG = bool(os.environ.get("TEST_LONG"))
_TIMES_AS_MANY = 10

T = TypeVar("T")


def bounds(short: T, *, long: T) -> T:
    """Return the bound of a search: *long* in `make test-long`, else *short*."""
    return long if LONG else short


def examples(number: int) -> int:
    """Return the number of examples that Hypothesis tries."""
    return number * _TIMES_AS_MANY if LONG else number
