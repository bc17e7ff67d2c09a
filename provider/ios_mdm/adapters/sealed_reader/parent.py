"""Starts the child process that opens PFX files and encrypted keys, and exchanges messages with it.

One child serves all files of a process. It is started for the first file, and replaced after it ended.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ios_mdm.adapters.sealed_reader import child
from ios_mdm.core.bundle.sealed import Opened, Refusal, SealedKind
from ios_mdm.errors import InterpreterError

if TYPE_CHECKING:
    from subprocess import Popen
    from typing import BinaryIO

__all__ = ["ChildReader", "Limits", "shared_reader"]


_CPU_TOLERANCE = 0.3
"""Seconds by which a killed process can have used less processor time than its limit: the system measures in ticks."""

_START_SECONDS = 60.0
"""Time in which a child must be ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the child.

    Args:
        cpu: processor time in whole seconds after which the system kills the child.
        spent: processor time in seconds after which the child is replaced. Each file has at least ``cpu - spent``.
        memory: bytes of address space.
        wall: seconds for one file, after which the parent kills the child, also on systems without the other limits.
    """

    cpu: int = 12
    spent: float = 4.0
    memory: int = 512 << 20
    wall: float = 60.0


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
    _child: _Child | None = field(default=None, init=False)
    _process_id: int = field(default_factory=os.getpid, init=False)

    def open(self, kind: SealedKind, data: bytes, password: str | None) -> Opened | Refusal:
        """Return the contents of a part, or the reason why it cannot be opened.

        Raises:
            InterpreterError: The child cannot start on this machine.
        """
        secret = (password or "").encode("utf-8", "surrogatepass")
        request = child.pack([kind.encode(), b"1" if password is not None else b"", secret, data])
        self._leave_after_fork()
        with self._lock:
            is_fresh = self._child is None
            answer = self._exchange(request)
            if answer is None and not is_fresh:  # the child ended earlier, for example because it was killed
                answer = self._exchange(request)
        return Refusal.FAILURE if answer is None else answer

    def close(self) -> None:
        """End the child."""
        self._leave_after_fork()
        with self._lock:
            if self._child is not None:
                self._child.end()
                self._child = None

    def _exchange(self, request: bytes) -> Opened | Refusal | None:
        """Return the answer of the child; None if it ended without an answer, or if its answer is invalid."""
        current = self._child or _start(self.limits, self.system_root)
        # The child is used again only after a complete answer, also if an exception interrupts the exchange.
        self._child = None
        parts = None
        try:
            parts = current.answer(request, seconds=self.limits.wall)
            answer = None if parts is None else _contents(parts[1:])
            if parts is not None and answer is not None and parts[0] == child.MORE:
                self._child = current
        finally:
            if self._child is None:
                reached_limit = current.end()
        if answer is None and self._child is None and reached_limit:
            return Refusal.LIMIT
        return answer

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


@dataclass(slots=True, kw_only=True, repr=False)
class _Child:
    """A running child."""

    process: Popen[bytes]
    source: BinaryIO
    sink: BinaryIO
    limits: Limits
    is_late: bool = False

    def answer(self, request: bytes, *, seconds: float) -> list[bytes] | None:
        """Return the parts of the answer to a request within some seconds; None if there is no complete answer."""
        timer = threading.Timer(seconds, self._kill_late)
        timer.daemon = True
        timer.start()
        try:
            self.sink.write(request)
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


def _start(limits: Limits, system_root: str | None) -> _Child:
    """Start a child, and wait until it is ready.

    Raises:
        InterpreterError: The child cannot start.
    """
    import subprocess

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
        started = _Child(process=process, source=source, sink=sink, limits=limits)
        if started.answer(b"", seconds=_START_SECONDS) == [child.MORE, child.OK]:
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


def _contents(parts: list[bytes]) -> Opened | Refusal | None:
    """Return the meaning of an answer, or None if it is invalid."""
    if parts[:1] != [child.OK]:
        text = b"".join(parts).decode("ascii", "replace")
        return Refusal(text) if text in set(Refusal) else None
    key, *rest = parts[1:] or [b""]
    if len(rest) % 2:
        return None
    names = (name.decode("utf-8", "replace") or None for name in rest[1::2])
    return Opened(key=key or None, certificates=tuple(zip(rest[::2], names, strict=True)))
