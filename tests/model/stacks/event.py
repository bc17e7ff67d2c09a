"""A possible event, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.model.stacks.engine import Run
    from tests.model.stacks.world import World

__all__ = ["Event", "Play", "Played"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A possible event.

    Args:
        text: description of the event.
        act: function that changes a world.
        kind: kind for the limits of a story; empty if the event is not limited.
        stack: stack of the operation; None if the event is no operation of a stack.
        place: place of the operation's credentials; empty if the event is no operation of a stack.
        deletes: whether the definition or the command deletes the stack's pair.
    """

    text: str
    act: Callable[[World], Run]
    kind: str = ""
    stack: str | None = None
    place: str = ""
    deletes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """An event that happened.

    Args:
        after: the world after the event.
        run: its result.
        complaint: the violated invariant; empty if there is none.
    """

    after: World
    run: Run
    complaint: str


Play = Callable[["World", Event], Played]
"""Applies an event to a copy of a world."""
