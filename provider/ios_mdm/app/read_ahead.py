"""Reads from AWS ahead of the checks of a run, for many servers at the same time.

The engine calls ``check`` of one resource after the other. Without reading ahead, a run without changes waits for AWS
at least once for each server.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.schedule import Kind, queue_name, role_name, schedule_names
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ios_mdm.app.pair.reader import PairReader
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.ports import Prerequisites, Scheduler

__all__ = ["ReadAhead", "Reading", "read_server"]

_MAX_SERVERS_AT_ONCE = 16
"""Number of servers that are read at the same time. IAM throttles earlier than other services."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Selects the reads for one server.

    Args:
        server: name of the server.
        secret: name of the pair's secret.
        region: AWS region; None for the region of the environment.
        host: connection address without its port; empty if there are no endpoints.
        endpoints: ``host:port`` of each endpoint whose certificate is checked.
        alarms: whether the server has schedules for alarms.
        role: whether the provider manages the role of the schedules.
        queue: whether the provider manages the queue of the schedules.
    """

    server: str
    secret: str
    region: str | None = None
    host: str = ""
    endpoints: tuple[str, ...] = ()
    alarms: bool = False
    role: bool = True
    queue: bool = True


class ReadAhead(Generic[T]):
    """Results of the reads ahead of one process, by run and secret.

    A result is never older than the run that takes it, because it was read for that run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run = ""
        self._found: dict[str, Future[T]] = {}
        self._taken: set[tuple[str, str]] = set()

    def start(self, run: str, readings: Sequence[Reading], read: Callable[[Reading], T]) -> None:
        """Start the reads for the servers of a run, except for those that were started or taken before.

        Args:
            run: id of the run. Results for an earlier run are dropped.
            readings: one for each server, in the expected order of the checks.
            read: makes the reads for one server.
        """
        with self._lock:
            self._begin_run(run)
            asked = {secret for secret, _ in self._taken} | self._found.keys()
            work = [(reading, Future[T]()) for reading in readings if reading.secret not in asked]
            self._found |= {reading.secret: future for reading, future in work}
        waiting = iter(work)
        for _ in range(min(_MAX_SERVERS_AT_ONCE, len(work))):
            # Threads of an executor keep the process alive until they end; daemon threads do not.
            threading.Thread(target=self._read, args=(waiting, read), name="read-ahead", daemon=True).start()

    def take(self, run: str, secret: str, reader: str) -> T | None:
        """Wait for the result for a secret and return it; None if no read was started for it, or if it was dropped.

        Args:
            run: id of the caller's run; empty for none.
            secret: name of the secret.
            reader: name of the caller; each reader gets a result once.
        """
        if not run:
            return None
        with self._lock:
            self._begin_run(run)
            future = None if (secret, reader) in self._taken else self._found.get(secret)
            self._taken.add((secret, reader))
        return None if future is None else future.result()

    def drop(self, secret: str) -> None:
        """Drop the result for a secret, before the secret is changed."""
        with self._lock:
            self._found.pop(secret, None)

    def _begin_run(self, run: str) -> None:
        if run != self._run:
            self._run, self._found, self._taken = run, {}, set()

    def _read(self, waiting: Iterator[tuple[Reading, Future[T]]], read: Callable[[Reading], T]) -> None:
        while True:
            with self._lock:
                reading, future = next(waiting, (None, None))
            if reading is None or future is None:
                return
            try:
                future.set_result(read(reading))
            except Exception as error:  # noqa: BLE001 - raised by `take`
                future.set_exception(error)


def read_server(reading: Reading, pairs: PairReader, scheduler: Scheduler, prerequisites: Prerequisites) -> None:
    """Make the same reads as the check of this server. The adapters cache the answers and the errors."""
    try:
        observed = pairs.observe(reading.secret)
    except StoreError:
        return
    if observed is None or observed.is_deleted:
        return
    for read in _reads(reading, observed, pairs, scheduler, prerequisites):
        with suppress(StoreError):
            read()


def _reads(
    reading: Reading, observed: ObservedPair, pairs: PairReader, scheduler: Scheduler, prerequisites: Prerequisites
) -> Iterator[Callable[[], object]]:
    name = schedule_names(reading.server, reading.secret)
    kinds = [Kind.PROMOTE] if observed.armed is not None else []
    kinds += [Kind.OVERDUE, Kind.EXPIRY] if reading.alarms else []
    for kind in kinds:
        yield partial(scheduler.get, name[kind])
    if kinds and reading.role:
        # The result is not used, so the documents can be empty: the check compares the right ones.
        role = role_name(reading.server, reading.secret, Home.of_arn(observed.arn).region)
        yield partial(prerequisites.role_problems, role, trust="{}", policy="{}", boundary=None)
    if kinds and reading.queue:
        yield partial(prerequisites.queue_exists, queue_name(reading.server, reading.secret))
    yield partial(pairs.served_certificates, observed, reading.host, reading.endpoints)
