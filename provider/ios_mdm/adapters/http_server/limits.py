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
        connections: open at once, fewer if the process may not open so many files. More of them wait in the queue of
            the operating system and are not refused: a fleet that wakes up at once loses no event. As many requests
            may wait for the handler after their senders hung up.
        backlog: length of that queue; the operating system may shorten it.
        header: bytes of a request's head.
        small: bytes of a body that every connection may send at the same time.
        first: bytes that a connection sends of a longer body before it needs a place, fewer than ``small``.
        large: number of these places: how many connections may send the rest at the same time, up to ``MAX_BODY``.
        patience: seconds for the head of a request in total, then for a small body. A busy machine on which thousands
            of devices answer needs many seconds to send a request after it has connected.
        grace: seconds that the sender of a longer body may be behind ``rate``, also the sender of a small body whose
            answer is known from the head.
        rate: bytes in a second, at least.
        batch: requests that the handler gets at once, at most.
        stop: seconds that a stop waits for the answers to requests that are complete.
    """

    connections: int = 512
    backlog: int = 4096
    header: int = 16 * 1024
    small: int = 64 * 1024
    first: int = 32 * 1024
    large: int = 4
    patience: float = 30.0
    grace: float = 3.0
    rate: int = 256 * 1024
    batch: int = 512
    stop: float = 3.0

    @property
    def descriptors(self) -> int:
        """How many connections the process can open within its limit of open files."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return self.connections
        return max(1, min(self.connections, soft - _RESERVED_DESCRIPTORS))
