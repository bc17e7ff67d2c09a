"""Searches every state that the operations of a story lead to, the shortest way first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.pair.secret import Label
from tests.model.stacks.checks import complaint, unrecovered
from tests.model.stacks.engine import played, up
from tests.model.stacks.events import Event, events
from tests.model.stacks.world import World

if TYPE_CHECKING:
    from tests.model.stacks.story import Story

__all__ = ["Found", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found.

    Args:
        states: how many there are, or were reached before the first complaint.
        transitions: how many events were played.
        trace: the events of a shortest way to the complaint, and the complaint; empty if there is none.
    """

    states: int
    transitions: int
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the trace, one event on each line."""
        return "\n".join(f"{number:3}  {event}" for number, event in enumerate(self.trace, start=1))


def search(story: Story, *, most: int) -> Found:
    """Play every event in every state, and stop at the first complaint.

    Args:
        story: the bounds.
        most: a story with more states is too large.

    Raises:
        AssertionError: There are more.
    """
    with played():
        first, *_ = story.stacks
        start = _start(story, first)
        came_from: dict[bytes, tuple[bytes, str] | None] = {start.digest(): None}
        layer = [(start.digest(), start)]
        transitions = 0
        while layer:
            after_layer: list[tuple[bytes, World]] = []
            for key, world in layer:
                for event, after, run in events(world, story):
                    transitions += 1
                    text = f"{event.text}: {run.word}"
                    found = complaint(world, event, run, after)
                    following = after.digest()
                    is_new = following not in came_from
                    if not found and is_new:
                        found = unrecovered(after, first=first)
                    if found:
                        trace = (*_way(came_from, key), text, f"=> {found}")
                        return Found(states=len(came_from), transitions=transitions, trace=trace)
                    if is_new:
                        came_from[following] = (key, text)
                        after_layer.append((following, after))
            assert len(came_from) <= most, f"more than {most} states: set narrower bounds"
            layer = after_layer
    return Found(states=len(came_from), transitions=transitions)


def _start(story: Story, first: str) -> World:
    world = World.new(dict(story.stacks))
    world.remembers = "stale" in story.limits
    if story.born:
        before = world.copied()
        run = up(world, first)
        assert run.word == "changed", run
        event = Event(text="up", act=lambda _world: run, stack=first, place="home")
        found = complaint(before, event, run, world)
        assert not found, found
        place, secret = world.reads
        world.served = world.labelled(place, secret, Label.MAIN)
        world = world.copied()
    return world


def _way(came_from: dict[bytes, tuple[bytes, str] | None], key: bytes) -> list[str]:
    found: list[str] = []
    step = came_from[key]
    while step is not None:
        before, text = step
        found.append(text)
        step = came_from[before]
    return found[::-1]
