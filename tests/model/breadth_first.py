"""Searches every state that a world can get into, the shortest way first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.model.state import State
    from tests.model.world import World

__all__ = ["Found", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found.

    Args:
        states: how many there are, or were met before the first complaint.
        switched: whether the server presents another certificate in one of them, with a device that is looked at.
        trace: the events of a shortest way to the complaint, and the complaint; empty where there is none.
    """

    states: int
    switched: bool = False
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the trace, an event a line."""
        return "\n".join(f"{number:3}  {event}" for number, event in enumerate(self.trace, start=1))


def search(world: World, *, most: int) -> Found:
    """Go through every state, each once, and stop at the first complaint.

    Args:
        world: what may happen.
        most: a story with more states is no small model any more.

    Raises:
        AssertionError: There are more.
    """
    start = world.start()
    came_from: dict[State, State | None] = {start: None}
    layer = [start]
    while layer:
        after: list[State] = []
        for state in layer:
            for following, event, complaint in world.events(state):
                if complaint:
                    trace = (*_way(world, came_from, state), event, f"=> {complaint}")
                    return Found(states=len(came_from), trace=trace)
                if following not in came_from:
                    came_from[following] = state
                    after.append(following)
        assert len(came_from) <= most, f"more than {most} states: set narrower bounds"
        layer = after
    switched = any(state.served > 1 and state.device is not None for state in came_from)
    return Found(states=len(came_from), switched=switched)


def _way(world: World, came_from: dict[State, State | None], state: State) -> list[str]:
    events: list[str] = []
    before = came_from[state]
    while before is not None:
        events.append(next(event for following, event, _ in world.events(before) if following == state))
        state, before = before, came_from[before]
    return events[::-1]
