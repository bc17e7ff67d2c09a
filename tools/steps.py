"""What every step of the bootstrap shares: it reports, keeps a log, fails with one line, and runs one at a time."""

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
"""Seconds between two lines about a step that lasts."""

_HINTS = (
    ("No space left on device", "the disk is full; make room"),
    ("REQUIRE THEIR HASHES", "the pinned requirements are inconsistent; run `make lock`"),
    ("HASHES FROM THE REQUIREMENTS", "a downloaded package is not the pinned one; check the package index in use"),
    ("checksum mismatch", "a downloaded module is not the pinned one; check GOPROXY"),
    ("dial tcp", "the Go module proxy cannot be reached; check the network and GOPROXY"),
    ("403 Forbidden", "the Go module proxy refused a module; check GOPROXY"),
    ("NewConnectionError", "the Python package index cannot be reached; check the network and pip's settings"),
    ("No matching distribution", "a pinned package is not offered for this Python and platform"),
    ("signal: killed", "it was killed, mostly for want of memory"),
)
"""What a log says, and what it means to the person who reads our one line."""


class BootstrapError(Exception):
    """The bootstrap cannot go on; the message is the one line that the user sees."""


def say(subject: str, text: str) -> None:
    """Print one line about *subject*."""
    print(f"  {subject:<16} {text}", flush=True)


def duration(seconds: float) -> str:
    """*seconds* for a person: ``0.4s``, ``38s``, ``2m05s``."""
    if seconds < 10:  # noqa: PLR2004 - below ten, a tenth matters
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def digest(*parts: bytes | str) -> str:
    """A short name that changes when any of *parts* changes."""
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
    """Run a command that may last, and return what it printed, errors included.

    While it lasts a line every fifteen seconds says so; *progress* makes its words from the output so far.

    Raises:
        BootstrapError: the command failed; the message names its log.
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
        raise BootstrapError(f"{subject} failed: {_reason(text)}. The log is {log}")
    return text


def _reason(text: str) -> str:
    """Why a command failed that printed *text*: what is known about it, else its last line."""
    for mark, meaning in _HINTS:
        if mark in text:
            return f"{meaning}, then run this again"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it printed nothing"


def pip_environment() -> dict[str, str]:
    """The environment of every pip: the user's, but what it keeps it keeps in our cache."""
    return {**os.environ, "PIP_CACHE_DIR": str(cache_dir() / "pip")}


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Let one bootstrap at a time work on the cache directory; a second one waits and says so."""
    path = cache_dir() / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file stays: removing it while another process waits for it would let two in. The lock ends with the process.
    with path.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("bootstrap", "another one is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
