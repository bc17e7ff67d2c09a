"""Crashes the process of a run before, during or after any call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ios_mdm.core.pair.definition import NoReserve
from tests.support.pairs import NOW, SECRET, World, definition

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import PairDefinition

Edge = Literal["before", "after"]


class CrashError(Exception):
    """The process crashes here."""


@dataclass(slots=True)
class Crash:
    """Interrupts a run once, before or after the write of this number."""

    number: int
    edge: Edge
    seen: int = 0

    def __call__(self, operation: str, edge: Edge) -> None:
        """Count the writes, and raise at the selected one."""
        self.seen += edge == "before"
        if (self.seen, edge) == (self.number, self.edge):
            self.number = 0
            raise CrashError(f"{edge} {operation}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A run with another definition or time: *days* after the pair of *before* was created."""

    before: PairDefinition | None
    days: int
    wish: PairDefinition
    labels: dict[str, int | str]
    issued: int


STORIES = {
    "creation": Story(before=None, days=0, wish=definition(), labels={"AWSCURRENT": 1, "RESERVE": 2}, issued=2),
    "promotion and the next reserve": Story(
        before=definition(),
        days=30,
        wish=definition(),
        labels={"AWSPREVIOUS": 1, "AWSCURRENT": 2, "RESERVE": 3},
        issued=1,
    ),
    "a raised generation": Story(
        before=definition(),
        days=1,
        wish=definition(replace(NOW, generation=2)),
        labels={"AWSCURRENT": 1, "RESERVE": 3},
        issued=1,
    ),
    "none": Story(before=definition(), days=1, wish=definition(NoReserve()), labels={"AWSCURRENT": 1}, issued=0),
    "a new main after the connection was lost": Story(
        before=definition(NoReserve()),
        days=400,
        wish=definition(NOW, main_generation=2),
        labels={"AWSPREVIOUS": 1, "AWSCURRENT": 2, "RESERVE": 3},
        issued=2,
    ),
}


def values(world: World) -> dict[str, str]:
    """Return the value of each version."""
    if SECRET not in world.store._secrets:
        return {}
    return {key: version.value for key, version in world.store._secrets[SECRET].versions.items()}
