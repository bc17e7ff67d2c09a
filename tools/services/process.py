"""Starts, reuses and stops one local service, and requires that it listens on loopback only."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from tools.services import ports, procfs, records
from tools.services.ports import LOOPBACK
from tools.services.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_POLL = 0.05
"""Seconds between two checks of a service that starts or stops."""
_START_LIMIT = 60.0
_STOP_LIMIT = 15.0
_PORT_ATTEMPTS = 3


class ServiceError(Exception):
    """A local service did not start, did not stop, or listens on an address that it must not use."""


class _NotReadyError(Exception):
    """The service has not answered yet."""


class _PortTakenError(Exception):
    """Another process took the port between its choice and the start of the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line with environment variables. Secrets belong in `secrets`: all users can read arguments."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def digest(self) -> str:
        """Return a SHA-256 (64 hex digits) that changes with this command and does not reveal the secrets."""
        known = json.dumps([self.argv, sorted(self.environment.items()), sorted(self.secrets.items())])
        return hashlib.sha256(known.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service: its name, its command for a port, and a path whose HTTP status is below 500 when it is ready."""

    name: str
    command: Callable[[int], Command]
    health: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A service that answers on 127.0.0.1:`port` and writes its output to `log`."""

    name: str
    port: int
    process: procfs.Identity
    log: Path
    reused: bool

    @property
    def url(self) -> str:
        """Root URL without a trailing slash."""
        return f"http://{LOOPBACK}:{self.port}"


def ensure(state: Path, service: Service, *, wished_port: int = 0) -> Running:
    """Start a service, or reuse the running one if its command is the same.

    The service gets its former port, else `wished_port` (0: any port). If that port is taken, it gets a free one.

    Raises:
        ServiceError: The service exited early, did not answer in time, or listens on another address.

    """
    record = records.read(state, service.name)
    if record is not None and record.process is not None and _is_started_here(state, record.process):
        if record.digest == service.command(record.port).digest():
            _wait_until_ready(state, service, record.port, record.process)
            _require_loopback_only(service.name, record.port, record.process)
            return _running(state, service.name, record.port, record.process, reused=True)
        stop(state, service.name)
    wished = record.port if record is not None else wished_port
    for _ in range(_PORT_ATTEMPTS):
        port = wished if wished and ports.is_free(wished) else ports.free_port()
        try:
            process = _start(state, service, port)
        except _PortTakenError:
            continue
        return _running(state, service.name, port, process, reused=False)
    raise ServiceError(
        f"{service.name}: other processes took the chosen port {_PORT_ATTEMPTS} times: run this command again"
    )


def find(state: Path, name: str) -> Running | None:
    """Return the running service with this name, or None if it does not run."""
    record = records.read(state, name)
    if record is None or record.process is None or not _is_started_here(state, record.process):
        return None
    return _running(state, name, record.port, record.process, reused=True)


def stop(state: Path, name: str) -> bool:
    """Stop the service with this name by SIGTERM to its process group, then SIGKILL. Return whether it ran.

    Raises:
        ServiceError: The service still runs after SIGKILL.

    """
    record = records.read(state, name)
    if record is None or record.process is None:
        return False
    ran = _is_started_here(state, record.process)
    if ran:
        _end(name, record.process)
    records.write(state, name, Record(port=record.port))
    return ran


def child_environment(state: Path, command: Command) -> dict[str, str]:
    """Return the environment of a child process. Of the user's shell (credentials, proxies) it has only PATH."""
    basis = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(state), "TMPDIR": str(state), "LANG": "C.UTF-8"}
    return basis | dict(command.environment) | dict(command.secrets)


def _start(state: Path, service: Service, port: int) -> procfs.Identity:
    command = service.command(port)
    log = records.log(state, service.name)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=state,
                env=child_environment(state, command),
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise ServiceError(f"{service.name}: cannot execute {command.argv[0]}: {error.strerror}") from error
    process = procfs.identify(child.pid)
    child.returncode = 0  # the child outlives this program: without a code, Popen warns that it still runs
    if process is None:
        raise _died_early(state, service.name)
    records.write(state, service.name, Record(port=port, digest=command.digest(), process=process))
    try:
        _wait_until_ready(state, service, port, process)
        _require_loopback_only(service.name, port, process)
    except ServiceError:
        stolen = not _is_alive(process) and not ports.is_free(port)
        stop(state, service.name)
        if stolen:
            raise _PortTakenError from None
        raise
    return process


def _wait_until_ready(state: Path, service: Service, port: int, process: procfs.Identity) -> None:
    def probe() -> None:
        if not _is_alive(process):
            raise _died_early(state, service.name)
        if (LOOPBACK, port) not in procfs.listeners(procfs.group(process.pid)):
            raise _NotReadyError
        try:
            answer = httpx.get(f"http://{LOOPBACK}:{port}{service.health}", timeout=5, trust_env=False)
        except httpx.TransportError as error:
            raise _NotReadyError from error
        if answer.is_server_error:
            raise _NotReadyError

    waiting = Retrying(
        stop=stop_after_delay(_START_LIMIT),
        wait=wait_fixed(_POLL),
        retry=retry_if_exception_type(_NotReadyError),
        reraise=True,
    )
    try:
        waiting(probe)
    except _NotReadyError:
        raise ServiceError(
            f"{service.name}: no answer on port {port} after {_START_LIMIT:.0f} s\n{records.tail(state, service.name)}"
        ) from None


def _require_loopback_only(name: str, port: int, process: procfs.Identity) -> None:
    unasked = procfs.listeners(procfs.group(process.pid)) - {(LOOPBACK, port)}
    if unasked:
        raise ServiceError(f"{name} also listens on {sorted(unasked)}, which is not allowed")


def _end(name: str, process: procfs.Identity) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        waiting = Retrying(
            stop=stop_after_delay(_STOP_LIMIT),
            wait=wait_fixed(_POLL),
            retry=retry_if_result(bool),
            retry_error_callback=lambda _: True,
        )
        if not waiting(_remaining, process.pid):
            return
    raise ServiceError(f"{name} (process {process.pid}) still runs after SIGKILL")


def _remaining(leader: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(leader, os.WNOHANG)  # reaps the zombie, if it is a child of this process
    return bool(procfs.group(leader))


def _is_alive(process: procfs.Identity) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return procfs.identify(process.pid) == process


def _is_started_here(state: Path, process: procfs.Identity) -> bool:
    """Return whether the process runs and was started in *state*. A copied record names a process of the original."""
    return _is_alive(process) and procfs.is_in(process.pid, state)


def _running(state: Path, name: str, port: int, process: procfs.Identity, *, reused: bool) -> Running:
    return Running(name=name, port=port, process=process, log=records.log(state, name), reused=reused)


def _died_early(state: Path, name: str) -> ServiceError:
    return ServiceError(f"{name} exited before it was ready. The end of its log:\n{records.tail(state, name)}")
