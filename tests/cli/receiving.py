"""The command line of `ios-mdm receive`, and a wait for its effects."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["eventually", "receive_command"]


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds; fail after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the condition does not hold"
        time.sleep(0.01)


def receive_command(*arguments: str) -> list[str]:
    """Return the command line of the collector."""
    return [sys.executable, "-m", "ios_mdm", "receive", *arguments]
