"""A thread that works on enrollment ids, so that the answers to the webhook do not wait for the MDM server."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["MAX_WAITING", "Background"]

MAX_WAITING: Final = 100_000
"""Maximum number of devices that wait. They take about 20 MB."""

_log = logging.getLogger(__name__)


class Background:
    """Collects enrollment ids, and passes all that wait to a function in another thread.

    The thread runs within a ``with`` block. At the end of the block, the function gets the ids that still wait. If it
    does not return in time, they are left to the next `up`.

    Args:
        work: gets the ids, each once. It is called in one thread.
        gather: seconds in which further ids are gathered for one call.
        patience: maximum number of seconds that the end of the block waits for the function.
    """

    def __init__(self, work: Callable[[Sequence[str]], None], *, gather: float = 0.5, patience: float = 10.0) -> None:
        self._work = work
        self._gather = gather
        self._patience = patience
        self._waiting: dict[str, None] = {}
        self._change = threading.Condition()
        self._stop = threading.Event()
        # A daemon, so that a call to an MDM server that hangs does not delay the end of the process.
        self._thread = threading.Thread(target=self._run, name="new-devices", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the work that waits, or leave it to the next `up`."""
        with self._change:
            self._stop.set()
            self._change.notify()
        self._thread.join(self._patience)
        if self._thread.is_alive():
            _log.error("the profile may not be sent to the last new devices. The next `pulumi up` sends it")

    def add(self, enrollment_ids: Iterable[str]) -> None:
        """Add devices to those that wait. It returns at once."""
        with self._change:
            new = [one for one in enrollment_ids if one not in self._waiting]
            room = MAX_WAITING - len(self._waiting)
            self._waiting |= dict.fromkeys(new[:room])
            self._change.notify()
        if len(new) > room:
            _log.error(
                "the profile is not sent to %d new devices, because %d devices wait. The next `pulumi up` sends it",
                len(new) - room,
                MAX_WAITING,
            )

    def _run(self) -> None:
        while ids := self._next():
            try:
                self._work(ids)
            except Exception:  # noqa: BLE001 - one bad call must not end the thread; the error is logged
                _log.exception("the profile is not sent to %d new devices. The next `pulumi up` sends it", len(ids))

    def _next(self) -> Sequence[str]:
        """Wait for devices; return all that wait then. Return none at the end of the block."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._stop.is_set())
        if not self._stop.is_set():
            self._stop.wait(self._gather)
        with self._change:
            ids = list(self._waiting)
            self._waiting.clear()
        return ids
