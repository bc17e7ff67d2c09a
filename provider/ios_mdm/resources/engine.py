"""Shows messages in the user's terminal from the process of a dynamic provider."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING

import grpc
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.proto.engine_pb2_grpc import EngineStub

from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["progress", "show_message", "warning"]

_TIMEOUT = 5.0


def show_message(server: str, severity: Severity, message: str) -> None:
    """Show a message as a line of the engine with this severity, or on stderr if there is no engine."""
    line = printable(f"{server}: {message}", keep="\n")
    engine = _engine(sys.argv[-1]) if len(sys.argv) > 1 else None
    if engine is not None:
        level = engine_pb2.INFO if severity is Severity.NOTICE else engine_pb2.WARNING
        prefix = "CRITICAL: " if severity is Severity.CRITICAL else ""
        try:
            engine.Log(engine_pb2.LogRequest(severity=level, message=prefix + line), timeout=_TIMEOUT)
        except grpc.RpcError:
            pass  # stderr is the documented way
        else:
            return
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the engine shows a provider's stderr


def progress(server: str) -> Callable[[str], None]:
    """Return a function that shows a line of progress about *server*."""
    return lambda line: show_message(server, Severity.NOTICE, line)


def warning(server: str) -> Callable[[str], None]:
    """Return a function that shows a warning about *server*."""
    return lambda line: show_message(server, Severity.WARNING, line)


@lru_cache(maxsize=1)
def _engine(address: str) -> EngineStub | None:
    """Return a connection to the engine; None if *address* is not ``host:port``.

    Pulumi passes the address as the last argument of a provider's process, which is not documented.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return None
    return EngineStub(grpc.insecure_channel(address))
