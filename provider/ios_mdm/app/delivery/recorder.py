"""Records commands in the ledger while the next commands are sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future
    from datetime import datetime
    from types import TracebackType

    from ios_mdm.core.ledger.values import EnqueuedCommand, Publication
    from ios_mdm.ports import Ledger

__all__ = ["Recorder"]

MIN_WAITING: Final = 16
"""Commands that wait until a write begins, because each write waits for the disk."""
MAX_WAITING: Final = 64
"""Commands that may wait for a write. If the run is killed, they are repeated, which has no effect."""


class Recorder:
    """Writes in a thread, and waits for all writes when its block ends.

    All commands that are queued during a write are recorded by the next one. So a slow disk or network does not make
    the run slower.

    Args:
        ledger: the ledger.
        publication: the published profile.
    """

    def __init__(self, ledger: Ledger, publication: Publication) -> None:
        self._ledger = ledger
        self._publication = publication
        self._commands: list[EnqueuedCommand] = []
        self._asked: list[str] = []
        self._asked_at: datetime | None = None
        self._waiting = 0
        self._write: Future[None] | None = None

    def __enter__(self) -> Self:
        """Start the thread with the first write."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        return self

    def record(self, command: EnqueuedCommand) -> None:
        """Record a command that installs the profile. Raises the error of an earlier write."""
        self._commands.append(command)
        self._advance()

    def record_asked(self, enrollment_ids: Iterable[str], *, at: datetime) -> None:
        """Record that a CertificateList was queued for devices. Raises the error of an earlier write."""
        self._asked += enrollment_ids
        self._asked_at = at
        self._advance()

    def _advance(self) -> None:
        self._waiting += 1
        is_idle = self._write is None or self._write.done()
        if self._waiting >= (MIN_WAITING if is_idle else MAX_WAITING):
            self._begin_write()

    def _begin_write(self) -> None:
        """Wait for the last write, then record everything that waits."""
        if self._write is not None:
            self._write.result()
        self._write = self._pool.submit(self._record_all, self._commands, self._asked, self._asked_at)
        self._commands, self._asked, self._asked_at, self._waiting = [], [], None, 0

    def _record_all(self, commands: list[EnqueuedCommand], asked: list[str], asked_at: datetime | None) -> None:
        if commands:
            self._ledger.record_commands(commands, publication=self._publication)
        if asked_at is not None:
            self._ledger.record_asked(asked, at=asked_at)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all writes. Raises their first error, unless the block has raised one."""
        try:
            self._begin_write()
            if self._write is not None:
                self._write.result()
        except Exception:
            if kind is None:
                raise
        finally:
            self._pool.shutdown(wait=True)
