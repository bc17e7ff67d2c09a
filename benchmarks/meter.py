"""Measures a command with all descendants. It runs in a separate process, so that it can wait for the descendants.

``python -m benchmarks.meter [--roles=SECONDS] COMMAND…`` runs COMMAND with its output on stderr, and prints one JSON
object.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SAMPLE_SECONDS", "Measured", "measure"]

_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphaned descendants become children of this process, which counts their CPU time."""
_ROLES = "--roles="
SAMPLE_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
_LIMIT = 1_200.0
"""Seconds after which a command is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Cost of a command.

    Args:
        code: Exit code of the command.
        cpu: CPU seconds (user and system) of the command and all descendants.
        wall: Seconds until the last process exited.
        roles: CPU seconds per kind of process. They are sampled, so they are slightly too low.
        memory: Peak resident bytes of the largest process of each kind, sampled.
        output: Output of the command, stdout and stderr.
    """

    code: int
    cpu: float
    wall: float
    roles: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    output: str = ""


def measure(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    roles: bool = False,
    interval: float = SAMPLE_SECONDS,
) -> Measured:
    """Run *command* under a new meter process, and return its cost.

    Args:
        command: Program and arguments.
        cwd: Working directory.
        environment: Complete environment.
        roles: Whether CPU and memory are also measured per kind of process, which takes some CPU time.
        interval: Seconds between two samples.
    """
    meter = [sys.executable, "-P", str(Path(__file__).resolve()), *([f"{_ROLES}{interval}"] if roles else []), *command]
    done = subprocess.run(meter, cwd=cwd, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the meter failed: {done.stderr[-2000:]}")
    return Measured(**{**json.loads(done.stdout), "output": done.stderr})


def main(arguments: Sequence[str]) -> int:
    """Measure the command in *arguments*, and print its cost."""
    command = list(arguments)
    sampler = _Sampler(float(command[0].removeprefix(_ROLES))) if command[0].startswith(_ROLES) else None
    command = command[1:] if sampler else command
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, _LIMIT)
    if sampler:
        sampler.start()
    code = child.wait()
    with contextlib.suppress(ChildProcessError):
        while True:  # remaining descendants exit after the engine
            os.wait()
    wall = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    roles, memory = sampler.stop() if sampler else ({}, {})
    found = Measured(code=code, cpu=cpu, wall=wall, roles=roles, memory=memory)
    print(json.dumps({key: value for key, value in asdict(found).items() if key != "output"}))
    return 0


class _Sampler(threading.Thread):
    """Samples CPU time and memory of each descendant."""

    def __init__(self, interval: float) -> None:
        super().__init__(daemon=True)
        self._every = interval
        self._ended = threading.Event()
        self._used: dict[int, tuple[str, float]] = {}
        self._memory: dict[int, int] = {}

    def run(self) -> None:
        """Sample until :meth:`stop` is called."""
        while not self._ended.wait(self._every):
            self._sample()

    def stop(self) -> tuple[dict[str, float], dict[str, int]]:
        """Return the CPU seconds per role, and the peak memory of the largest process per role in bytes."""
        self._ended.set()
        self.join()
        total: dict[str, float] = {}
        memory: dict[str, int] = {}
        for pid, (role, seconds) in self._used.items():
            total[role] = total.get(role, 0.0) + seconds
            memory[role] = max(memory.get(role, 0), self._memory.get(pid, 0))
        return {role: round(seconds, 2) for role, seconds in sorted(total.items())}, dict(sorted(memory.items()))

    def _sample(self) -> None:
        stats = dict(filter(None, map(_stat, filter(str.isdecimal, os.listdir("/proc")))))  # noqa: PTH208 - the fastest way
        ours, me = set(), os.getpid()
        for pid in stats:
            line, seen = pid, set()
            while line in stats and line not in seen and line != me:
                seen.add(line)
                line = stats[line][0]
            if line == me and pid != me:
                ours.add(pid)
        for pid in ours:
            before = self._used.get(pid, ("", 0.0))[1]
            self._used[pid] = (_role(pid) or self._used.get(pid, ("other", 0.0))[0], max(before, stats[pid][1]))
            # The last value is the peak of the process. It restarts at zero when a forked process runs its program.
            self._memory[pid] = _peak(pid) or self._memory.get(pid, 0)


def _stat(name: str) -> tuple[int, tuple[int, float]] | None:
    try:
        text = Path("/proc", name, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(name), (int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS)


def _peak(pid: int) -> int:
    """Return the peak resident memory of a process in bytes, or 0 if it has exited."""
    try:
        lines = Path("/proc", str(pid), "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _role(pid: int) -> str:
    try:
        command = Path("/proc", str(pid), "cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for mark, role in (
        ("pulumi-language-python-exec", "program"),
        ("libexec/host.py", "language host"),
        ("pulumi-language-python", "language host"),
        ("pulumi.dynamic", "provider"),
        ("pulumi-resource-pulumi-python", "provider"),
        ("-m\0ios_mdm", "command line"),
    ):
        if mark in command:
            return role
    return "engine" if Path(command.partition("\0")[0]).name == "pulumi" else "other" if command else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
