"""Passes complete requests to a handler in another thread. One call gets all requests that wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

from ios_mdm.core.http import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.ports import HttpHandler

__all__ = ["Work"]

_log = logging.getLogger(__name__)


class Work:
    """The requests that are not answered yet.

    Attributes:
        on_answers: function that is called in the loop's thread after requests are answered.
        unanswered: number of these requests.
    """

    def __init__(self, handler: HttpHandler, loop: asyncio.AbstractEventLoop, batch: int) -> None:
        self._handler = handler
        self._loop = loop
        self._batch = batch
        self._waiting: queue.SimpleQueue[tuple[Request, Callable[[Response], None]] | None] = queue.SimpleQueue()
        self.on_answers: Callable[[], None] = lambda: None
        self.unanswered = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # A daemon, so that a handler that hangs does not delay the end of the process. Its write is one transaction.
        self._thread = threading.Thread(target=self._handle, name="handler", daemon=True)

    def start(self) -> None:
        """Start to take requests."""
        self._thread.start()

    def add(self, request: Request, respond: Callable[[Response], None]) -> None:
        """Queue *request* for the handler; *respond* is called with the answer in the loop's thread."""
        self.unanswered += 1
        self._idle.clear()
        self._waiting.put((request, respond))

    async def wait_until_finished(self) -> None:
        """Wait until all requests are answered."""
        await self._idle.wait()

    def close(self) -> None:
        """Let the thread end after the requests that are queued."""
        self._waiting.put(None)

    def _handle(self) -> None:
        while (taken := self._next_batch()) is not None:
            try:
                responses = self._handler.answers([request for request, _ in taken])
            except Exception:  # noqa: BLE001 - one bad batch must not end the thread; the error is logged
                _log.exception("a handler failed")
                responses = [Response(status=500, text="failed")] * len(taken)
            with contextlib.suppress(RuntimeError):  # the loop is closed: the connections do not exist any more
                self._loop.call_soon_threadsafe(self._respond, [one for _, one in taken], responses)

    def _next_batch(self) -> list[tuple[Request, Callable[[Response], None]]] | None:
        """Wait for a request; return all requests that wait then, or None after the last one."""
        one = self._waiting.get()
        if one is None:
            return None
        taken = [one]
        while len(taken) < self._batch:
            try:
                one = self._waiting.get_nowait()
            except queue.Empty:
                break
            if one is None:
                self._waiting.put(None)
                break
            taken.append(one)
        return taken

    def _respond(self, waiting: Sequence[Callable[[Response], None]], responses: Sequence[Response]) -> None:
        for respond, response in zip(waiting, responses, strict=True):
            respond(response)
        self.unanswered -= len(waiting)
        if self.unanswered == 0:
            self._idle.set()
        self.on_answers()
