"""Breadth-first search of every state that a model can reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.model.state import State
    from tests.model.world import World

__all__ = ["Found", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The result of a search.

    Args:
        states: number of states, or of those that were reached before the first complaint.
        switched: whether the server presents another certificate in one of them, while a device is checked.
        trace: the events of a shortest path to the complaint, and the complaint; empty if there is none.
    """

    states: int
    switched: bool = False
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the trace, one event per line."""
        return "\n".join(f"{number:3}  {event}" for number, event in enumerate(self.trace, start=1))


def search(world: World, *, most: int) -> Found:
    """Visit every state once, and stop at the first complaint.

    Args:
        world: model of the possible events.
        most: maximum number of states.

    Raises:
        AssertionError: The model has more states.
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
