"""Limits for the senders of requests."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

__all__ = ["Limits"]

_RESERVED_DESCRIPTORS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits for senders. The defaults bound the bodies in memory to 80 MiB.

    Args:
        connections: maximum number of open connections, less if the process can open fewer files. Further connections
            wait in queues of the operating system and are not refused, so a fleet that wakes up at once loses no
            event. The same number of requests can wait for the handler after their senders closed the connection.
        backlog: length of a queue; the operating system may shorten it.
        queues: number of queues. With the defaults of Linux, they take 32,768 connections. One sender has at most
            28,232 connections to a port at the same time (``net.ipv4.ip_local_port_range``).
        header: maximum size of a request's head (start line and headers), in bytes.
        small: maximum size of a small body, in bytes. All connections can send small bodies at the same time.
        first: bytes of a large body that a connection can send before it needs a place; less than ``small``.
        large: number of places: how many connections can send the rest of a large body, up to ``MAX_BODY``, at the same
            time.
        patience: seconds for the whole head of a request, and again for a small body. A busy machine on which
            thousands of devices answer needs many seconds to send a request after it has connected.
        grace: seconds that the sender of a large body may be behind ``rate``. The same applies to a small body whose
            answer is known from the head.
        rate: minimum rate of a large body, in bytes per second.
        batch: maximum number of requests that the handler gets in one call.
        stop: seconds that a stop waits for the answers to requests that have arrived.
    """

    connections: int = 512
    backlog: int = 4096
    queues: int = 8
    header: int = 16 * 1024
    small: int = 64 * 1024
    first: int = 32 * 1024
    large: int = 8
    patience: float = 30.0
    grace: float = 3.0
    rate: int = 256 * 1024
    batch: int = 512
    stop: float = 3.0

    @property
    def descriptors(self) -> int:
        """Maximum number of connections within the limit of open files of this process."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return self.connections
        return max(1, min(self.connections, soft - _RESERVED_DESCRIPTORS))
