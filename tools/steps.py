"""Functions that all steps of the bootstrap use: progress lines, logs, errors, and a lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import time
from typing import TYPE_CHECKING

from tools.toolchain import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

REPORT_EVERY = 15.0
"""Seconds between two progress lines of a step."""

_HINTS = (
    ("No space left on device", "the disk is full: free some space"),
    ("REQUIRE THEIR HASHES", "the pinned requirements are inconsistent: run `make lock`"),
    ("HASHES FROM THE REQUIREMENTS", "a downloaded package is not the pinned one: check the package index"),
    ("checksum mismatch", "a downloaded module is not the pinned one: check GOPROXY"),
    ("dial tcp", "the Go module proxy cannot be reached: check the network and GOPROXY"),
    ("403 Forbidden", "the Go module proxy refused a module: check GOPROXY"),
    ("NewConnectionError", "the Python package index cannot be reached: check the network and pip's settings"),
    (
        "No matching distribution",
        "the index lacks a pinned package for this Python and platform: check the package index",
    ),
    ("signal: killed", "the process was killed, probably because the memory was full: free some memory"),
)
"""Text in a log, and the error and advice for the user."""


class BootstrapError(Exception):
    """The bootstrap failed. The message is the line that the user sees."""


def say(subject: str, text: str) -> None:
    """Print one line about *subject*."""
    print(f"  {subject:<16} {text}", flush=True)


def duration(seconds: float) -> str:
    """Return *seconds* in a readable form: ``0.4s``, ``38s``, ``2m05s``."""
    if seconds < 10:  # noqa: PLR2004 - tenths are shown below ten seconds
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def digest(*parts: bytes | str) -> str:
    """Return a name of 16 hex digits that changes if any of *parts* changes."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)  # the length keeps ("a", "bc") apart from ("ab", "c")
    return whole.hexdigest()[:16]


def run(
    subject: str,
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    progress: Callable[[str], str] | None = None,
) -> str:
    """Run a command, and return its stdout and stderr.

    Every fifteen seconds a line shows the progress. *progress* returns its text from the output so far.

    Raises:
        BootstrapError: The command failed. The message names its log.
    """
    log = cache_dir() / "log" / f"{subject.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(REPORT_EVERY)
                    break
                words = progress(log.read_text(encoding="utf-8", errors="replace")) if progress else "working"
                say(subject, f"… {words}, {duration(time.monotonic() - started)}")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    text = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode:
        raise BootstrapError(f"{subject} failed: {_reason(text)}. Log: {log}")
    return text


def _reason(text: str) -> str:
    """Return the reason of a failure from the output of the command: a known reason, or the last line."""
    for mark, meaning in _HINTS:
        if mark in text:
            return f"{meaning}, then run this command again"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "the command printed nothing"


def pip_environment() -> dict[str, str]:
    """Return the environment of pip: the user's variables, but pip's cache is in the cache directory."""
    return {**os.environ, "PIP_CACHE_DIR": str(cache_dir() / "pip")}


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Lock the cache directory. A second bootstrap prints a line and waits."""
    path = cache_dir() / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file is never removed: a removal while another process waits lets two processes in.
    with path.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("bootstrap", "another bootstrap is running; waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
