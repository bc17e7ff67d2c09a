"""Descriptions show the writes of this process, although one of two servers of AWS gets each write late."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest

from ios_mdm.app.own_writes import REMEMBERED_SECONDS, ConsistentStore, OwnWrites
from ios_mdm.app.pair.service import PairService
from ios_mdm.core.pair.secret import Label
from tests.support.memory import MemorySecretStore
from tests.support.pairs import SECRET, World
from tests.support.served import QUIET, WAITS, Server
from tests.support.switching import Armed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.pair.secret import SecretDescription


@dataclass(slots=True, kw_only=True)
class TwoServers(MemorySecretStore):
    """A store with two servers that describe secrets in turn; the second server gets each write late.

    Args:
        lag: number of descriptions after a write until the second server shows it.
        reads: number of descriptions.
    """

    lag: int
    reads: int = 0
    _former: list[tuple[int, SecretDescription | None]] = field(default_factory=list)

    def describe(self, name: str) -> SecretDescription | None:
        """Return the description by the next server."""
        self.reads += 1
        late = (former for at, former in self._former if self.reads - at <= self.lag)
        if self.reads % 2 == 0 and (former := next(late, None)) is not None:
            return former
        return MemorySecretStore.describe(self, name)

    def catch_up(self) -> None:
        """Let both servers show every write."""
        self._former.clear()

    @contextmanager
    def _write(self, operation: str, *arguments: str) -> Iterator[None]:
        self._former.append((self.reads, MemorySecretStore.describe(self, arguments[0])))
        with MemorySecretStore._write(self, operation, *arguments):
            yield


@dataclass(slots=True)
class Late:
    """A server whose pair is on two servers of AWS."""

    store: TwoServers
    server: Server

    @classmethod
    def with_lag(cls, lag: int) -> Late:
        """Return a server; *lag* 0 is for servers of AWS that show each write immediately."""
        world = World()
        store = TwoServers(clock=world.clock, lag=lag)
        consistent = ConsistentStore(store=store, writes=OwnWrites())
        world.store = cast("MemorySecretStore", consistent)
        world.service = PairService(consistent, world.clock, report=world.reports.append)
        return cls(store, Server(armed=Armed(world=world)))

    def life(self) -> None:
        """Run `up` for a new pair, a promotion and a replaced main."""
        wish = replace(WAITS, promotion=replace(WAITS.promotion, schedule=False))
        for step in (QUIET, WAITS, WAITS, wish, "replace"):
            self.store.catch_up()
            self.server.up(self.server.with_another_main(WAITS) if isinstance(step, str) else step)
            self.server.armed.world.later(days=20)


@pytest.mark.parametrize("lag", [4, 12, 24])
def test_a_run_ends_as_without_a_late_server(lag: int) -> None:
    """Row 7: no step is repeated, and the switch is armed."""
    # R30 R36
    prompt, late = Late.with_lag(0), Late.with_lag(lag)
    for one in (prompt, late):
        one.life()
    assert [call[0] for call in late.store.calls] == [call[0] for call in prompt.store.calls]
    assert late.server.labels == prompt.server.labels
    assert late.server.armed.scheduler.schedules.keys() == prompt.server.armed.scheduler.schedules.keys()
    assert late.server.armed.warnings == prompt.server.armed.warnings == []


@dataclass(slots=True)
class Stopwatch:
    """A stopwatch that tests set."""

    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Counting(MemorySecretStore):
    """A store that counts its descriptions."""

    reads: int = 0

    def describe(self, name: str) -> SecretDescription | None:
        """Return the description."""
        self.reads += 1
        return MemorySecretStore.describe(self, name)


def _stores() -> tuple[Counting, ConsistentStore, Stopwatch]:
    """Return a store with a secret, the same store after this process has described the secret, and its stopwatch."""
    store, watch = Counting(), Stopwatch()
    store.create(SECRET, tags={"owner": "a", "team": "mobile"}, description="", kms_key=None)
    store.put(SECRET, "one", "1")
    own = ConsistentStore(store=store, writes=OwnWrites(lambda: watch.seconds))
    own.describe(SECRET)
    store.reads = 0
    return store, own, watch


def test_a_write_that_is_shown_needs_one_description() -> None:
    """Tags that were set or removed, and labels."""
    store, own, _ = _stores()
    own.tag(SECRET, {"owner": "b"})
    own.untag(SECRET, ["team"])
    own.move_label(SECRET, Label.STAGED, to=None, current="one")
    assert own.describe(SECRET) == MemorySecretStore.describe(store, SECRET)
    assert store.reads == 1


def test_a_later_change_by_another_process_is_not_waited_for() -> None:
    """A value that this process has not seen before is no stale value. Two runs at the same time do not wait."""
    store, own, _ = _stores()
    own.tag(SECRET, {"owner": "b"})
    store.tag(SECRET, {"owner": "c"})
    found = own.describe(SECRET)
    assert found is not None
    assert found.tags["owner"] == "c"
    assert store.reads == 1


def test_a_former_value_is_waited_for_only_once() -> None:
    """If another process has restored a value, the write is forgotten after the first description."""
    store, own, _ = _stores()
    own.tag(SECRET, {"owner": "b"})
    own.tag(SECRET, {"owner": "c"})
    store.tag(SECRET, {"owner": "b"})
    found = own.describe(SECRET)
    assert found is not None
    assert found.tags["owner"] == "b"
    assert store.reads > 1
    before = store.reads
    own.describe(SECRET)
    assert store.reads == before + 1


@pytest.mark.parametrize("change", ["tag", "removed tag", "label"])
def test_a_write_is_remembered_for_a_minute(change: str) -> None:
    """Each kind of write that a description does not show is waited for, unless it is older."""
    for seconds, is_repeated in ((REMEMBERED_SECONDS, True), (REMEMBERED_SECONDS + 1, False)):
        store, own, watch = _stores()
        if change == "tag":
            own.tag(SECRET, {"owner": "b"})
            store.tag(SECRET, {"owner": "a"})
        elif change == "removed tag":
            own.untag(SECRET, ["team"])
            store.tag(SECRET, {"team": "mobile"})
        else:
            own.move_label(SECRET, "RESERVE", to="one", current=None)
            store.move_label(SECRET, "RESERVE", to=None, current="one")
        watch.seconds = seconds
        own.describe(SECRET)
        assert (store.reads > 1) == is_repeated


def test_a_secret_that_is_not_shown_is_read_again() -> None:
    """A server of AWS that does not know a new secret does not know its tags either."""
    store, own, _ = _stores()
    own.writes.add_tags("ios-mdm/other", {"owner": "a"})
    assert own.describe("ios-mdm/other") is None
    assert store.reads > 1


def test_a_secret_that_does_not_exist_is_waited_for_only_once() -> None:
    """Another process has deleted the secret. Its removed tags are forgotten, too."""
    store, own, _ = _stores()
    own.untag(SECRET, ["team"])
    own.tag(SECRET, {"owner": "b"})
    store._secrets.clear()
    assert own.describe(SECRET) is None
    before = store.reads
    assert own.describe(SECRET) is None
    assert store.reads == before + 1
