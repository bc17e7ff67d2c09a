"""With stale reads of Secrets Manager, a run ends like one without them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest

from ios_mdm.app.own_writes import ConsistentStore, OwnWrites
from ios_mdm.app.pair.found_certificates import value_digest
from ios_mdm.app.pair.service import PairService
from ios_mdm.core.pair.definition import AfterDays, IssueReserve, When
from ios_mdm.core.pair.layout import ANNOUNCED_TAG, RESOURCE_ID_TAG
from tests.support.memory import MemorySecretStore
from tests.support.pairs import SECRET, World, definition
from tests.support.served import QUIET, WAITS, Server
from tests.support.switching import Armed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.secret import SecretDescription

SOON = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=40), generation=2))


@dataclass(slots=True, kw_only=True)
class Lagging(MemorySecretStore):
    """A store whose next reads after a write, of each kind, show the secret before that write.

    Args:
        lag: number of stale reads of each kind after a write.
        left: number of stale reads that are still to be made, by operation.
    """

    lag: int
    left: dict[str, int] = field(default_factory=dict)
    _former: dict[str, SecretDescription | None] = field(default_factory=dict)
    _former_versions: dict[str, frozenset[str]] = field(default_factory=dict)

    def describe(self, name: str) -> SecretDescription | None:
        """Return the description; the former one while reads are stale."""
        found = MemorySecretStore.describe(self, name)
        return self._former[name] if self._is_late("describe", name) else found

    def read(self, name: str, version_id: str) -> str | None:
        """Return the value; None for a version that was just stored, while reads are stale."""
        found = MemorySecretStore.read(self, name, version_id)
        is_new = version_id not in self._former_versions.get(name, ())
        return None if is_new and self._is_late("read", name) else found

    def version_ids(self, name: str) -> Sequence[str]:
        """Return the ids of all versions, except one that was just stored, while reads are stale."""
        found = MemorySecretStore.version_ids(self, name)
        return sorted(self._former_versions[name]) if self._is_late("version_ids", name) else found

    def _is_late(self, operation: str, name: str) -> bool:
        if self.left.get(operation, 0) == 0 or name not in self._former:
            return False
        self.left[operation] -= 1
        return True

    @contextmanager
    def _write(self, operation: str, *arguments: str) -> Iterator[None]:
        name = arguments[0]
        self._former[name] = MemorySecretStore.describe(self, name)
        self._former_versions[name] = frozenset(self._secrets[name].versions if name in self._secrets else ())
        with MemorySecretStore._write(self, operation, *arguments):
            yield
        # A stored value may be missing in reads even after the next write.
        self.left = dict.fromkeys(("describe", "read", "version_ids"), self.lag)


def lagging(lag: int) -> Server:
    """Return a server whose reads are stale."""
    world = World()
    consistent = ConsistentStore(store=Lagging(clock=world.clock, lag=lag), writes=OwnWrites())
    world.store = cast("MemorySecretStore", consistent)
    world.service = PairService(consistent, world.clock, report=world.reports.append)
    return Server(armed=Armed(world=world))


def up(server: Server, wish: PairDefinition) -> None:
    """Make a run, some time after the last run, so that reads are no longer stale."""
    _catch_up(server)
    server.up(wish)


def _catch_up(server: Server) -> None:
    """Let reads show every write."""
    store: object = server.armed.world.store
    assert isinstance(store, ConsistentStore)
    assert isinstance(store.store, Lagging)
    store.store.left.clear()


def _new(server: Server) -> None:
    up(server, WAITS)


def _another_reserve(server: Server) -> None:
    up(server, WAITS)
    up(server, SOON)


def _promoted_by_a_run(server: Server) -> None:
    wish = replace(WAITS, promotion=replace(WAITS.promotion, schedule=False))
    up(server, wish)
    server.armed.world.later(days=31)
    up(server, wish)
    up(server, wish)


def _main_replaced(server: Server) -> None:
    up(server, QUIET)
    up(server, WAITS)
    up(server, server.with_another_main(WAITS))


LIVES = (_new, _another_reserve, _promoted_by_a_run, _main_replaced)


@pytest.mark.parametrize("lag", [1, 2, 5, 9])
@pytest.mark.parametrize("live", LIVES, ids=lambda live: live.__name__.strip("_"))
def test_a_run_ends_as_without_lagging_reads(live: Callable[[Server], None], lag: int) -> None:
    """A stale read is not mistaken for a change by another run, and disarms no switch."""  # R30 R36
    prompt, late = lagging(0), lagging(lag)
    live(prompt)
    live(late)
    assert late.labels == prompt.labels
    assert late.armed.scheduler.schedules.keys() == prompt.armed.scheduler.schedules.keys()
    assert late.armed.warnings == []
    assert _keys(late) == _keys(prompt)
    assert _issue_reports(late) == _issue_reports(prompt), "a value that reads do not show yet is not stored again"
    assert _is_announced(late)


def test_a_take_over_ends_when_reads_show_it() -> None:
    """The delivery that follows needs the new owner of the pair."""  # R34
    world = lagging(2).armed.world
    world.apply()
    request = replace(world.request(), take_over=world.pair_id, new_resource_id="7c" * 16)
    world.service.claim(request)
    found = world.store.describe(SECRET)
    assert found is not None
    assert found.tags[RESOURCE_ID_TAG] == "7c" * 16


def _keys(server: Server) -> dict[str, str]:
    """Return the tags without digests and fingerprints, which are random."""
    _catch_up(server)
    found = server.armed.world.store.describe(SECRET)
    assert found is not None
    return {
        key: value.partition("sha256=")[0].partition("profile:")[0]
        for key, value in found.tags.items()
        if key != ANNOUNCED_TAG
    }


def _issue_reports(server: Server) -> list[str]:
    """Return the reports about issued certificates."""
    return [line for line in server.armed.world.reports if line.startswith("issuing certificate")]


def _is_announced(server: Server) -> bool:
    """Return whether the announcement is that of the value that was stored last."""
    _catch_up(server)
    number, digest = server.armed.world.tags[ANNOUNCED_TAG].split()
    return digest == value_digest(server.armed.world.value(int(number)))
