"""Starts the child process, exchanges messages with it, and ends it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ios_mdm.adapters.sealed_reader import child
from ios_mdm.core.bundle.sealed import Opened, Refusal
from ios_mdm.errors import InterpreterError

if TYPE_CHECKING:
    from typing import BinaryIO

    from ios_mdm.adapters.sealed_reader.limits import Limits
    from ios_mdm.core.bundle.sealed import SealedKind

__all__ = ["Answer", "ChildProcess", "request", "start"]

_CPU_TOLERANCE = 0.3
"""Seconds by which a killed process can have used less processor time than its limit: the system measures in ticks."""
_START_SECONDS = 60.0
"""Time in which a child must be ready."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer:
    """A complete answer of the child.

    Args:
        result: contents of the file, or the reason why it was not opened.
        is_last: whether the child ends after this answer.
    """

    result: Opened | Refusal
    is_last: bool


def request(kind: SealedKind, data: bytes, password: str | None) -> bytes:
    """Return the message that asks for the contents of a file."""
    secret = (password or "").encode("utf-8", "surrogatepass")
    return child.pack([kind.encode(), b"1" if password is not None else b"", secret, data])


@dataclass(slots=True, kw_only=True, repr=False)
class ChildProcess:
    """A running child."""

    process: subprocess.Popen[bytes]
    source: BinaryIO
    sink: BinaryIO
    limits: Limits
    is_late: bool = False

    def answer(self, message: bytes) -> Answer | None:
        """Return the answer to a request; None if there is no complete and valid answer."""
        parts = self.parts(message, seconds=self.limits.wall)
        result = None if parts is None else _result(parts[1:])
        return None if parts is None or result is None else Answer(result=result, is_last=parts[0] != child.MORE)

    def parts(self, message: bytes, *, seconds: float) -> list[bytes] | None:
        """Return the parts of the answer to a request within some seconds; None if there is no complete answer."""
        timer = threading.Timer(seconds, self._kill_late)
        timer.daemon = True
        timer.start()
        try:
            self.sink.write(message)
            self.sink.flush()
            return child.read_parts(self.source)
        except OSError:
            return None
        finally:
            timer.cancel()
            timer.join()

    def end(self) -> bool:
        """End the process, and return whether it had reached a limit of time."""
        self._kill()
        self._close()
        if sys.platform == "win32":
            self.process.wait()
            return self.is_late
        try:
            _, status, usage = os.wait4(self.process.pid, 0)
        except ChildProcessError:  # another part of this process waited for it
            self.process.wait()
            return self.is_late
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.is_late or usage.ru_utime + usage.ru_stime > self.limits.cpu - _CPU_TOLERANCE

    def leave(self) -> None:
        """Close the pipes of a process that belongs to another process."""
        self._close()
        self.process.returncode = 0  # so that the object does not warn about a running process

    def _kill_late(self) -> None:
        self.is_late = True
        self._kill()

    def _kill(self) -> None:
        # Popen.kill() waits for a process that has ended, and the used processor time would be lost.
        if sys.platform == "win32":
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)

    def _close(self) -> None:
        for pipe in (self.sink, self.source):
            with contextlib.suppress(OSError):
                pipe.close()


def start(limits: Limits, system_root: str | None) -> ChildProcess:
    """Start a child, and wait until it is ready.

    Raises:
        InterpreterError: The child cannot start.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise InterpreterError(
            "a PFX or an encrypted key is read by a separate Python process, and the path of the Python interpreter is "
            "unknown: run ios-mdm from an ordinary installation of Python, or use unencrypted PEM"
        )
    numbers = (str(limits.cpu), str(limits.spent), str(limits.memory))
    command = (sys.executable, "-I", "-S", str(Path(child.__file__)), *numbers, *_library_folders())
    environment = {} if system_root is None else {"SYSTEMROOT": system_root}
    try:
        process = subprocess.Popen(  # noqa: S603 - the interpreter of this process and a file of this package
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a panic of the library quotes the password
            env=environment,
            close_fds=True,
        )
    except OSError as error:
        reason = error.strerror
    else:
        source, sink = cast("BinaryIO", process.stdout), cast("BinaryIO", process.stdin)
        started = ChildProcess(process=process, source=source, sink=sink, limits=limits)
        if started.parts(b"", seconds=_START_SECONDS) == [child.MORE, child.OK]:
            return started
        started.end()
        reason = "it ended before it was ready"
    raise InterpreterError(
        f"a PFX or an encrypted key is read by a separate Python process, which cannot start ({reason}): check that "
        f"{sys.executable} runs and imports cryptography"
    )


@cache
def _library_folders() -> tuple[str, ...]:
    """Return the folders from which this process imports the library, without importing it."""
    specs = (importlib.util.find_spec(name) for name in ("cryptography", "_cffi_backend"))
    origins = [Path(spec.origin) for spec in specs if spec is not None and spec.origin is not None]
    folders = [str(one.parent.parent if one.stem == "__init__" else one.parent) for one in origins]
    return tuple(dict.fromkeys(folders))


def _result(parts: list[bytes]) -> Opened | Refusal | None:
    """Return the meaning of an answer, or None if it is invalid."""
    if parts[:1] != [child.OK]:
        text = b"".join(parts).decode("ascii", "replace")
        return Refusal(text) if text in set(Refusal) else None
    key, *rest = parts[1:] or [b""]
    if len(rest) % 2:
        return None
    names = (name.decode("utf-8", "replace") or None for name in rest[1::2])
    return Opened(key=key or None, certificates=tuple(zip(rest[::2], names, strict=True)))
