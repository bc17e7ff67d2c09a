"""Reads of Secrets Manager that lag behind the last write: a run ends as it does without them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.pair.service import PairService
from ios_mdm.core.pair.definition import AfterDays, IssueReserve, When
from ios_mdm.core.pair.layout import ANNOUNCED_TAG
from tests.app.test_pair_service import SECRET, World, definition
from tests.app.test_sent_before_applied import QUIET, WAITS, Server
from tests.app.test_switching import Armed
from tests.support.memory import MemorySecretStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.secret import SecretDescription

SOON = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=40), generation=2))


@dataclass(slots=True, kw_only=True)
class Lagging(MemorySecretStore):
    """A store whose next reads after a write show the secret as it was before that write.

    Args:
        lag: number of these reads.
        left: number of them that are still to come.
    """

    lag: int
    left: int = 0
    _former: dict[str, SecretDescription | None] = field(default_factory=dict)

    def describe(self, name: str) -> SecretDescription | None:
        """Return the description; the former one while reads lag."""
        found = MemorySecretStore.describe(self, name)
        if self.left == 0 or name not in self._former:
            return found
        self.left -= 1
        return self._former[name]

    @contextmanager
    def _write(self, operation: str, *arguments: str) -> Iterator[None]:
        self._former[arguments[0]] = MemorySecretStore.describe(self, arguments[0])
        with MemorySecretStore._write(self, operation, *arguments):
            yield
        self.left = self.lag


def lagging(lag: int) -> Server:
    """Return a server whose reads lag."""
    world = World()
    world.store = Lagging(clock=world.clock, lag=lag)
    world.service = PairService(world.store, world.clock, report=world.reports.append)
    return Server(armed=Armed(world=world))


def up(server: Server, wish: PairDefinition) -> None:
    """Run, some time after the last run: reads no longer lag."""
    store = server.armed.world.store
    assert isinstance(store, Lagging)
    store.left = 0
    server.up(wish)


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
    up(server, server.replaced(WAITS))


LIVES = (_new, _another_reserve, _promoted_by_a_run, _main_replaced)


@pytest.mark.parametrize("lag", [1, 2, 5, 9])
@pytest.mark.parametrize("live", LIVES, ids=lambda live: live.__name__.strip("_"))
def test_a_run_ends_as_without_lagging_reads(live: Callable[[Server], None], lag: int) -> None:
    """No run takes a lagging read for another run, and no switch is disarmed for it."""  # R30 R36
    prompt, late = lagging(0), lagging(lag)
    live(prompt)
    live(late)
    assert late.labels == prompt.labels
    assert late.armed.scheduler.schedules.keys() == prompt.armed.scheduler.schedules.keys()
    assert late.armed.warnings == []
    assert _keys(late) == _keys(prompt)


def _keys(server: Server) -> dict[str, str]:
    """Return the tags, without digests and fingerprints, which are random."""
    found = MemorySecretStore.describe(server.armed.world.store, SECRET)
    assert found is not None
    return {key: value.partition("sha256=")[0] for key, value in found.tags.items() if key != ANNOUNCED_TAG}
