"""Something that may happen, and what came of it."""

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
    """Something that may happen.

    Args:
        text: in words.
        act: changes a world.
        kind: of which only so many may happen; empty for no limit.
        stack: whose operation it is; None if it is none.
        place: of the operation's credentials; empty as above.
        deletes: whether the definition or the command says that the stack's pair is to be deleted.
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
        after: the world after it.
        run: how it ended.
        complaint: what it did that it must not do; empty if nothing.
    """

    after: World
    run: Run
    complaint: str


Play = Callable[["World", Event], Played]
"""Lets an event happen in a world, which is not changed."""
