"""Listens, accepts connections up to a limit, and stops within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from tornado.http1connection import HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.iostream import IOStream
from tornado.netutil import add_accept_handler

from ios_mdm.adapters.http_server.exchange import Exchange
from ios_mdm.adapters.http_server.limits import Limits
from ios_mdm.adapters.http_server.listening import listening_sockets
from ios_mdm.adapters.http_server.work import Work
from ios_mdm.core.http import MAX_BODY
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from tornado.httputil import HTTPConnection

    from ios_mdm.ports import HttpHandler

__all__ = ["HttpServer"]

_CHECK_SECONDS: Final = 0.01
_IDLE_CHECKS: Final = 3
"""Number of checks without unread bytes after which a stopping server is idle. Between two, a request is parsed."""


class HttpServer:
    """Listens as soon as it is constructed, and answers requests inside a ``with`` block.

    Each connection carries one request. Otherwise a sender could use an idle connection while it is being closed, and
    NanoMDM sends an event only once. The end of the block takes little more than ``limits.stop`` seconds.

    Args:
        handler: answers the requests. It is called in one thread, each time with all requests that wait.
        host: IP address to listen on.
        port: port to listen on; 0 selects a free port.
        limits: limits for senders.

    Raises:
        DefinitionError: The address is in use, or is not an address of this machine.
    """

    def __init__(self, handler: HttpHandler, *, host: str, port: int = 0, limits: Limits | None = None) -> None:
        self._handler = handler
        self._limits = limits or Limits()
        try:
            self._sockets = listening_sockets(host, port, backlog=self._limits.backlog, queues=self._limits.queues)
        except OSError as error:
            raise DefinitionError(
                f"cannot listen on {host} port {port} ({error.strerror}): choose another address or port"
            ) from error
        name, self.port = self._sockets[0].getsockname()[:2]
        self.address = f"[{name}]:{self.port}" if ":" in name else f"{name}:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._work = Work(handler, self._loop, self._limits.batch)
        self._thread = threading.Thread(target=self._run, name="http")

    def __enter__(self) -> Self:
        """Start to answer requests."""
        self._work.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer the requests that are complete, and close all connections."""
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Answer the requests that have arrived, and then close all connections. The end of the block waits for it."""
        with contextlib.suppress(RuntimeError):  # the server has stopped
            self._loop.call_soon_threadsafe(self._stop.set)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        with contextlib.ExitStack() as stack:
            for one in self._sockets:
                stack.enter_context(one)
            connections = _Connections(self._sockets, self._handler, self._work, self._limits)
            connections.resume()
            await self._stop.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finish(connections), self._limits.stop)
            connections.pause()
            await connections.close()
            self._work.close()

    async def _finish(self, connections: _Connections) -> None:
        """Wait until all requests that have arrived are answered."""
        idle = 0
        while idle < _IDLE_CHECKS:
            await asyncio.sleep(_CHECK_SECONDS)
            await self._work.wait_until_finished()
            idle = 0 if connections.has_unread_bytes() else idle + 1


class _Connections(HTTPServerConnectionDelegate):
    """Accepts connections up to the limit, and gives each request to a new ``Exchange``."""

    def __init__(self, listening: Sequence[socket.socket], handler: HttpHandler, work: Work, limits: Limits) -> None:
        self._listening = deque(listening)
        self._handler = handler
        self._work = work
        self._limits = limits
        self._max_open = limits.descriptors
        self._places = asyncio.Semaphore(limits.large)
        self._open: set[HTTP1ServerConnection] = set()
        self._remove: list[Callable[[], None]] = []
        self._is_paused = True
        work.on_answers = self._accept_next
        self._parameters = HTTP1ConnectionParameters(
            no_keep_alive=True,
            chunk_size=limits.first,
            max_header_size=limits.header,
            header_timeout=limits.patience,
            max_body_size=MAX_BODY,
        )

    def resume(self) -> None:
        """Accept connections."""
        self._is_paused = False
        self._listening.rotate()  # the first socket can take all places, so each of them is the first in turn
        self._remove = [add_accept_handler(one, self._accept) for one in self._listening]

    def pause(self) -> None:
        """Accept no more connections."""
        self._is_paused = True
        self._stop_accepting()

    def has_unread_bytes(self) -> bool:
        """Return whether a connection waits in a queue, or an open one has received bytes that are not read yet."""
        streams = (one.stream for one in self._open)
        poll = select.poll()
        for one in (*self._listening, *(stream.socket for stream in streams if not stream.closed())):
            poll.register(one, select.POLLIN)
        return bool(poll.poll(0))

    async def close(self) -> None:
        """Close all connections."""
        closing = asyncio.gather(*(one.close() for one in tuple(self._open)))
        for _ in range(len(self._open)):  # requests that wait for a handler that hangs keep their places
            self._places.release()
        await closing

    def _accept(self, connected: socket.socket, _address: object) -> None:
        stream = IOStream(connected, max_buffer_size=2 * self._limits.small, read_chunk_size=self._limits.first)
        connection = HTTP1ServerConnection(stream, self._parameters)
        self._open.add(connection)
        connection.start_serving(self)
        if self._is_full:
            self._stop_accepting()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return the delegate of a new request. Only the first request of a connection gets an answer."""
        assert isinstance(server_conn, HTTP1ServerConnection)  # noqa: S101 - this class creates no other type
        if server_conn.stream.closed():
            return HTTPMessageDelegate()
        return Exchange(request_conn, self._handler, self._work, self._limits, self._places)

    def on_close(self, server_conn: object) -> None:
        """Accept the next connection in place of the closed one."""
        self._open.discard(server_conn)
        self._accept_next()

    @property
    def _is_full(self) -> bool:
        """Whether open connections, or requests whose senders closed the connection early, have reached the limit."""
        return max(len(self._open), self._work.unanswered) >= self._max_open

    def _stop_accepting(self) -> None:
        for remove in self._remove:
            remove()
        self._remove.clear()

    def _accept_next(self) -> None:
        if not self._remove and not self._is_paused and not self._is_full:
            self.resume()
