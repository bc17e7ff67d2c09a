"""Reports the progress of long work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress"]

FIRST: Final = 2.0
INTERVAL: Final = 10.0
"""Seconds until the first line, and between the later lines."""


class Progress:
    """Reports a number of devices after 2 seconds, and then every 10 seconds.

    Args:
        report: receives each line.
        monotonic: returns seconds, as ``time.monotonic``.
    """

    def __init__(self, report: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._monotonic = monotonic
        self._next = monotonic() + FIRST

    def show(self, line: Callable[[], str]) -> None:
        """Report a line if it is time for one."""
        now = self._monotonic()
        if now >= self._next:
            self._next = now + INTERVAL
            self._report(line())
