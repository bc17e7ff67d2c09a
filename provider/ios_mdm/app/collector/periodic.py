"""A thread that calls a function at intervals."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Periodic"]

_log = logging.getLogger(__name__)


class Periodic:
    """Calls a function at the start of a ``with`` block, and again after each interval, in another thread.

    Args:
        work: the function. An exception is logged, and does not end the thread.
        wait: waits for the interval; returns True, also before its end, if the process stops.
        patience: maximum number of seconds that the end of the block waits for the function.
    """

    def __init__(self, work: Callable[[], None], wait: Callable[[], bool], *, patience: float = 10.0) -> None:
        self._work = work
        self._wait = wait
        self._patience = patience
        # A daemon, so that a service that hangs does not delay the end of the process.
        self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the function. The caller has stopped the process before."""
        self._thread.join(self._patience)

    def _run(self) -> None:
        is_stopped = False
        while not is_stopped:
            try:
                self._work()
            except Exception:  # noqa: BLE001 - the next call may succeed; the error is logged
                _log.exception("a periodic task failed")
            is_stopped = self._wait()
