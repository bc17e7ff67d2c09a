"""Breadth-first search of every state that the operations of a story can reach."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ios_mdm.core.pair.secret import Label
from tests.model.stacks.checks import complaint
from tests.model.stacks.engine import hooks_on_worlds
from tests.model.stacks.event import Played
from tests.model.stacks.events import events, plain_up
from tests.model.stacks.recovery import recovery_failure
from tests.model.stacks.world import World

if TYPE_CHECKING:
    from tests.model.stacks.event import Event
    from tests.model.stacks.story import Story

__all__ = ["Found", "search", "start"]

Key = tuple[bytes, tuple[tuple[str, int], ...]]
"""Digest of a state; equivalent states have the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The result of a search.

    Args:
        states: number of states, or of those that were reached before the first complaint.
        transitions: number of events that were played.
        trace: the events of a shortest path to the complaint, and the complaint; empty if there is none.
    """

    states: int
    transitions: int
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the trace, one event per line."""
        return "\n".join(f"{number:3}  {event}" for number, event in enumerate(self.trace, start=1))


@dataclass(slots=True)
class Player:
    """Plays each event once for all states that differ only in how often limited events have happened.

    Args:
        first: stack that the pair belongs to if no state has it.
    """

    first: str
    _played: dict[tuple[bytes, str], Played] = field(default_factory=dict)
    _unrecovered: dict[bytes, str] = field(default_factory=dict)

    def play(self, world: World, event: Event) -> Played:
        """Apply an event to a copy of a world. Events with the same text have the same effect."""
        key = (world.content, event.text)
        found = self._played.get(key)
        if found is None:
            after = world.copy()
            run = event.act(after)
            found = self._played[key] = Played(after=after, run=run, complaint=complaint(world, event, run, after))
        used = world.used | ({event.kind: world.used.get(event.kind, 0) + 1} if event.kind else {})
        return replace(found, after=replace(found.after, used=used))

    def recovery_failure(self, world: World) -> str:
        """Return why one `up` does not repair the pair; empty if it does."""
        if world.content not in self._unrecovered:
            self._unrecovered[world.content] = recovery_failure(world, first=self.first, play=self.play)
        return self._unrecovered[world.content]


def search(story: Story, *, most: int) -> Found:
    """Play every event in every state, and stop at the first complaint.

    Args:
        story: bounds of the search.
        most: maximum number of states.

    Raises:
        AssertionError: The story has more states.
    """
    with hooks_on_worlds():
        player = Player(next(iter(story.stacks)))
        first = start(story)
        came_from: dict[Key, tuple[Key, str] | None] = {_key(first): None}
        layer = [first]
        transitions = 0
        while layer:
            after_layer: list[World] = []
            for world in layer:
                for event, one in events(world, story, player.play):
                    transitions += 1
                    text = f"{event.text}: {one.run.word}"
                    found, key = one.complaint, _key(one.after)
                    is_new = key not in came_from
                    if not found and is_new:
                        found = player.recovery_failure(one.after)
                    if found:
                        trace = (*_way(came_from, _key(world)), text, f"=> {found}")
                        return Found(states=len(came_from), transitions=transitions, trace=trace)
                    if is_new:
                        came_from[key] = (_key(world), text)
                        after_layer.append(one.after)
            assert len(came_from) <= most, f"more than {most} states: set narrower bounds"
            layer = after_layer
    return Found(states=len(came_from), transitions=transitions)


def start(story: Story) -> World:
    """Return the world in which a story begins."""
    world = World.new(dict(story.stacks))
    world.remembers = "stale" in story.limits
    if not story.born:
        return world
    first = next(iter(story.stacks))
    begun = Player(first).play(world, plain_up(world, first))
    assert begun.run.word == "changed", begun.run
    assert not begun.complaint, begun.complaint
    world = begun.after.copy()
    world.served = world.root_in_slot(*world.reads, Label.MAIN)
    return world


def _key(world: World) -> Key:
    return world.content, tuple(sorted(world.used.items()))


def _way(came_from: dict[Key, tuple[Key, str] | None], key: Key) -> list[str]:
    found: list[str] = []
    step = came_from[key]
    while step is not None:
        before, text = step
        found.append(text)
        step = came_from[before]
    return found[::-1]
