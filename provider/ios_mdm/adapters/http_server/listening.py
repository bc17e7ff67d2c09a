"""Sockets that listen on one address, each with a queue of connections that wait."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Final

__all__ = ["listening_sockets"]

_CAN_SHARE_PORT: Final = sys.platform == "linux"
"""Whether the operating system distributes connections over the sockets of a port. macOS gives all to one of them."""


def listening_sockets(host: str, port: int, *, backlog: int, queues: int) -> tuple[socket.socket, ...]:
    """Return sockets that do not block and listen on one address.

    Linux limits the queue of a socket to ``net.core.somaxconn``, 4,096 by default. If it is full, the kernel of a
    sender tries again after 1, 3, 7 and 15 seconds, and NanoMDM drops an event that has no connection after 30. A
    connection in a queue has no such deadline. So several sockets share the port.

    Args:
        host: IP address.
        port: port; 0 selects a free port.
        backlog: length of each queue; the operating system may shorten it.
        queues: number of sockets. Only one is returned if the operating system has no shared ports.

    Raises:
        OSError: The address is in use, or is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The first socket gets the option after its bind. Otherwise the port could be shared with another process.
    first = socket.create_server((host, port), family=family, backlog=backlog)
    opened = [first]
    if _CAN_SHARE_PORT:
        address = first.getsockname()[:2]
        with contextlib.suppress(OSError):  # the kernel refuses: the first queue is enough for most fleets
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            while len(opened) < queues:
                opened.append(socket.create_server(address, family=family, backlog=backlog, reuse_port=True))
    for one in opened:
        one.setblocking(False)
    return tuple(opened)
