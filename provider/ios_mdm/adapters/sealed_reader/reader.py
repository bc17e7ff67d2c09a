"""Opens PFX files and encrypted keys in a child process.

One child serves all files of a process. It is started for the first file, and replaced after it ended.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from ios_mdm.adapters.sealed_reader.limits import Limits
from ios_mdm.core.bundle.sealed import Refusal

if TYPE_CHECKING:
    from ios_mdm.adapters.sealed_reader.process import ChildProcess
    from ios_mdm.core.bundle.sealed import Opened, SealedKind

__all__ = ["ChildReader", "shared_reader"]


@dataclass(slots=True, kw_only=True, repr=False)
class ChildReader:
    """Opens encrypted parts in a child process. Implements ``SealedReader``.

    Args:
        limits: limits of the child.
        system_root: folder of Windows, which Python needs there in the environment; None on other systems.
    """

    limits: Limits = field(default_factory=Limits)
    system_root: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _child: ChildProcess | None = field(default=None, init=False)
    _process_id: int = field(default_factory=os.getpid, init=False)

    def open(self, kind: SealedKind, data: bytes, password: str | None) -> Opened | Refusal:
        """Return the contents of a part, or the reason why it cannot be opened.

        Raises:
            InterpreterError: The child cannot start on this machine.
        """
        from ios_mdm.adapters.sealed_reader import process

        message = process.request(kind, data, password)
        self._leave_after_fork()
        with self._lock:
            is_fresh = self._child is None
            answer = self._exchange(message)
            if answer is None and not is_fresh:  # the child ended earlier, for example because it was killed
                answer = self._exchange(message)
        return Refusal.FAILURE if answer is None else answer

    def close(self) -> None:
        """End the child."""
        self._leave_after_fork()
        with self._lock:
            if self._child is not None:
                self._child.end()
                self._child = None

    def _exchange(self, message: bytes) -> Opened | Refusal | None:
        """Return the answer of the child; None if it ended without an answer, or if its answer is invalid."""
        from ios_mdm.adapters.sealed_reader import process

        current = self._child or process.start(self.limits, self.system_root)
        # The child is used again only after a complete answer, also if an exception interrupts the exchange.
        self._child = None
        answer = None
        try:
            answer = current.answer(message)
            if answer is not None and not answer.is_last:
                self._child = current
        finally:
            reached_limit = self._child is None and current.end()
        if answer is not None:
            return answer.result
        return Refusal.LIMIT if reached_limit else None

    def _leave_after_fork(self) -> None:
        """In a process that was forked, leave the child to the original process."""
        if self._process_id == os.getpid():
            return
        if self._child is not None:
            self._child.leave()
        self._lock, self._child, self._process_id = threading.Lock(), None, os.getpid()


@cache
def shared_reader(system_root: str | None) -> ChildReader:
    """Return the reader of this process. Its child starts for the first file and ends with the process."""
    reader = ChildReader(system_root=system_root)
    atexit.register(reader.close)
    return reader
