"""Records the logs of a channel, and the peers, timeouts and ends of its connections."""

from __future__ import annotations

import logging
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.address import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SocketLog", "recorded_logs", "watched_sockets"]


@dataclass(slots=True)
class SocketLog:
    """The record of the sockets that connected somewhere.

    Args:
        clients: sockets that connected.
        strangers: host names and addresses outside this machine. A connection to them is refused.
        unlimited: operations without a timeout.
    """

    clients: list[socket.socket] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    unlimited: list[str] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Number of sockets that are not closed."""
        return sum(one.fileno() != -1 for one in self.clients)


class WatchedSocket(socket.socket):
    """A socket that records its use after it connects."""

    log: SocketLog

    def connect(self, address: Any) -> None:
        """Record the peer and connect, or refuse a peer outside this machine."""
        if self.family != socket.AF_UNIX and not is_loopback(str(address[0])):
            self.log.strangers.append(str(address[0]))
            raise ConnectionRefusedError
        self.log.clients.append(self)
        self._record("connect")
        super().connect(address)

    def sendall(self, *arguments: Any) -> None:
        """Record whether there is a timeout, and send."""
        self._record("sendall")
        super().sendall(*arguments)

    def send(self, *arguments: Any) -> int:
        """Record whether there is a timeout, and send."""
        self._record("send")
        return super().send(*arguments)

    def recv(self, *arguments: Any) -> bytes:
        """Record whether there is a timeout, and receive."""
        self._record("recv")
        return super().recv(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        """Record whether there is a timeout, and receive."""
        self._record("recv_into")
        return super().recv_into(*arguments)

    def _record(self, operation: str) -> None:
        if any(one is self for one in self.log.clients) and self.gettimeout() is None:
            self.log.unlimited.append(operation)


@contextmanager
def watched_sockets() -> Iterator[SocketLog]:
    """Record the client sockets of this process until the block ends. Sockets of servers do not count."""
    log = SocketLog()
    resolve = socket.getaddrinfo

    def resolve_loopback(host: Any, *arguments: Any, **options: Any) -> Any:
        if host is not None and not is_loopback(host.decode() if isinstance(host, bytes) else str(host)):
            log.strangers.append(str(host))
            raise socket.gaierror
        return resolve(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", type("Watched", (WatchedSocket,), {"log": log}))
        patch.setattr(socket, "getaddrinfo", resolve_loopback)
        yield log


@contextmanager
def recorded_logs() -> Iterator[list[str]]:
    """Yield the lines of all loggers, at every level."""
    lines: list[str] = []

    class Recorder(logging.Handler):
        """Keeps the text of each record."""

        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root, recorder = logging.getLogger(), Recorder(level=logging.NOTSET)
    before = root.level
    root.addHandler(recorder)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(recorder)
        root.setLevel(before)
