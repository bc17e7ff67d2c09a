"""A log that no sender of refused requests can fill."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LimitedHandler"]

_PERIOD: Final = timedelta(minutes=1)
_MAX_KINDS: Final = 64
"""Maximum number of different warnings in a minute."""
_OTHERS: Final = "other warnings"


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes each warning at most once in a minute, and the number of its repetitions after that minute.

    Records of other levels are always written.

    Args:
        stream: receives the lines.
        now: returns the time, aware UTC.
    """

    def __init__(self, stream: TextIO, now: Callable[[], datetime]) -> None:
        super().__init__(stream)
        self._now = now
        self._first: dict[str, datetime] = {}
        self._repetitions: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it as a repetition."""
        now = self._now()
        self._write_repetitions([line for line, first in self._first.items() if not first <= now < first + _PERIOD])
        if record.levelno != logging.WARNING:
            super().emit(record)
            return
        line = record.getMessage()
        if line not in self._first and len(self._first) >= _MAX_KINDS:
            line = _OTHERS
        if line in self._first:
            self._repetitions[line] = self._repetitions.get(line, 0) + 1
            return
        self._first[line] = now
        super().emit(record)

    def close(self) -> None:
        """Write the numbers of all repetitions."""
        self.acquire()
        try:
            self._write_repetitions(list(self._first))
        finally:
            self.release()
        super().close()

    def _write_repetitions(self, lines: list[str]) -> None:
        """Write and forget the repetitions of these lines."""
        for line in lines:
            first = self._first.pop(line)
            if count := self._repetitions.pop(line, 0):
                text = f"{line} ({count} more since {first:%H:%M:%S} UTC)"
                super().emit(logging.makeLogRecord({"msg": text, "levelno": logging.WARNING, "levelname": "WARNING"}))
