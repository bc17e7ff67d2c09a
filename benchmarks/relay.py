"""A relay on loopback that delays each call of an emulator, so that it answers as late as AWS does.

The relay passes bytes on and keeps connections open, so it takes less CPU time than a proxy that parses HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Relay", "delaying_relay"]

_REQUEST: Final = b" HTTP/1.1\r\n"
"""End of the first line of a request. An answer starts with the version."""
_CHUNK = 65_536


@dataclass(slots=True, kw_only=True)
class Relay:
    """A running relay.

    Args:
        target: URL of the service.
        url: URL of the relay.
        delay: seconds that are added to each call.
        calls: number of calls.
    """

    target: str
    url: str = ""
    delay: float = 0.0
    calls: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side closes it."""
        service = urlsplit(self.target)
        service_reader, service_writer = await asyncio.open_connection(service.hostname, service.port)
        requests = asyncio.create_task(self._pass_requests(reader, service_writer))
        with contextlib.suppress(OSError, asyncio.CancelledError):  # canceled if the relay stops first
            while answer := await service_reader.read(_CHUNK):
                writer.write(answer)
        requests.cancel()
        service_writer.close()
        writer.close()

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while request := await reader.read(_CHUNK):
                self.calls += request.count(_REQUEST)
                # Head and body of a call arrive together, so the delay of both is the delay of the call.
                loop.call_later(self.delay, writer.write, request)
        loop.call_later(self.delay, writer.close)


@contextlib.contextmanager
def delaying_relay(target: str) -> Iterator[Relay]:
    """Run a relay in front of the service at *target*, in a thread."""
    relay, started = Relay(target=target), Future[Callable[[], object]]()

    async def run() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set_result(partial(loop.call_soon_threadsafe, stopped.set))
        await stopped.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="relay", daemon=True)
    thread.start()
    stop = started.result()
    try:
        yield relay
    finally:
        stop()
        thread.join()
