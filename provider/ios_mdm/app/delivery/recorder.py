"""Records commands in the ledger while the next commands are sent."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

__all__ = ["Recorder"]

MAX_WAITING: Final = 8
"""Writes that may wait. If the run is interrupted, these commands are repeated, which has no effect."""


class Recorder:
    """Runs writes one after the other in a thread, and waits for all of them when its block ends."""

    def __enter__(self) -> Self:
        """Start the thread with the first write."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: deque[Future[None]] = deque()
        return self

    def write(self, action: Callable[[], None]) -> None:
        """Run *action* after the writes before it. Raises the error of an earlier write."""
        self._waiting.append(self._pool.submit(action))
        while len(self._waiting) > MAX_WAITING or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()

    def flush(self) -> None:
        """Wait for all writes. Raises the first error."""
        while self._waiting:
            self._waiting.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all writes. Raises their first error, unless the block has raised one."""
        try:
            if kind is None:
                self.flush()
        finally:
            self._pool.shutdown(wait=True)
