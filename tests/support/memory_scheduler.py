"""Schedules, roles and queues in memory, with AWS's semantics, for fast tests of the switch."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.schedule import ROLE_PATH
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ios_mdm.core.pair.schedule import Schedule

__all__ = ["MemoryPrerequisites", "MemoryScheduler"]

_HOME = Home(account="123456789012", region="eu-west-1")


@dataclass(slots=True, kw_only=True)
class MemoryScheduler:
    """A ``Scheduler`` without AWS.

    Args:
        down: whether every call fails.
        fail: as in :class:`tests.support.memory.MemorySecretStore`.
        calls: the writes in order: operation and name.
        schedules: schedules by name.
    """

    down: bool = False
    fail: Callable[[str, Literal["before", "after"]], None] | None = None
    calls: list[tuple[str, ...]] = field(default_factory=list)
    schedules: dict[str, Schedule] = field(default_factory=dict)

    def get(self, name: str) -> Schedule | None:
        """Return the schedule, or None if it does not exist."""
        self._answer()
        return self.schedules.get(name)

    def put(self, schedule: Schedule) -> None:
        """Create the schedule, or replace the schedule with the same name."""
        self._answer()
        with _write(self.fail, self.calls, "put_schedule", schedule.name):
            self.schedules[schedule.name] = schedule

    def delete(self, name: str) -> None:
        """Delete the schedule. A missing schedule is not an error."""
        self._answer()
        with _write(self.fail, self.calls, "delete_schedule", name):
            self.schedules.pop(name, None)

    def _answer(self) -> None:
        if self.down:
            raise StoreError("no answer from Scheduler")


@dataclass(slots=True, kw_only=True)
class MemoryPrerequisites:
    """``Prerequisites`` without AWS.

    Args:
        down: as in :class:`MemoryScheduler`.
        fail: as in :class:`MemoryScheduler`.
        calls: as in :class:`MemoryScheduler`.
        place: account and region of its roles and queues.
        roles: trust policy, permissions policy and boundary, by name.
        queues: names of the queues.
    """

    down: bool = False
    fail: Callable[[str, Literal["before", "after"]], None] | None = None
    calls: list[tuple[str, ...]] = field(default_factory=list)
    place: Home = _HOME
    roles: dict[str, tuple[str, str, str | None]] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)

    def ensure_role(self, name: str, *, trust: str, policy: str, boundary: str | None) -> str:
        """Create the role, or update it to these documents; return its ARN."""
        if self.down:
            raise StoreError("no answer from IAM")
        found = self.roles.get(name)
        if found is None or _meant(*found) != _meant(trust, policy, boundary):
            with _write(self.fail, self.calls, "ensure_role", name):
                self.roles[name] = (trust, policy, boundary)
        return f"arn:aws:iam::{self.place.account}:role{ROLE_PATH}{name}"

    def role_problems(self, name: str, *, trust: str, policy: str, boundary: str | None) -> tuple[str, ...]:
        """Return the differences of the role."""
        if self.down:
            raise StoreError("no answer from IAM")
        found = self.roles.get(name)
        if found is None:
            return (f"the role {name} is missing",)
        pairs = zip(_meant(*found), _meant(trust, policy, boundary), strict=True)
        parts = zip(("trust policy", "policy", "permissions boundary"), pairs, strict=True)
        return tuple(f"the {part} of the role {name} differs" for part, (has, wanted) in parts if has != wanted)

    def delete_role(self, name: str) -> None:
        """Delete the role. A missing role is not an error."""
        with _write(self.fail, self.calls, "delete_role", name):
            self.roles.pop(name, None)

    def queue_exists(self, name: str) -> bool:
        """Return whether there is a queue of this name."""
        if self.down:
            raise StoreError("no answer from SQS")
        return name in self.queues

    def queue_messages(self, name: str) -> int:
        """Return 0: no schedule acts here."""
        del name
        if self.down:
            raise StoreError("no answer from SQS")
        return 0

    def ensure_queue(self, name: str) -> str:
        """Create the queue, unless it exists; return its ARN."""
        if self.down:
            raise StoreError("no answer from SQS")
        if name not in self.queues:
            with _write(self.fail, self.calls, "ensure_queue", name):
                self.queues.add(name)
        return f"arn:aws:sqs:{self.place.region}:{self.place.account}:{name}"

    def delete_queue(self, name: str) -> None:
        """Delete the queue. A missing queue is not an error."""
        with _write(self.fail, self.calls, "delete_queue", name):
            self.queues.discard(name)


def _meant(trust: str, policy: str, boundary: str | None) -> tuple[object, object, str | None]:
    return json.loads(trust), json.loads(policy), boundary


@contextmanager
def _write(
    fail: Callable[[str, Literal["before", "after"]], None] | None,
    calls: list[tuple[str, ...]],
    operation: str,
    name: str,
) -> Iterator[None]:
    if fail is not None:
        fail(operation, "before")
    yield
    calls.append((operation, name))
    if fail is not None:
        fail(operation, "after")
