"""Events of stacks: operations of the engine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import count, product
from typing import TYPE_CHECKING, Literal

from tests.model.stacks.definitions import definitions
from tests.model.stacks.engine import Lives, Run, destroy, refresh, up
from tests.model.stacks.event import Event
from tests.model.stacks.outside import outside
from tests.model.stacks.world import LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.stacks.event import Play, Played
    from tests.model.stacks.story import Story
    from tests.model.stacks.world import World

__all__ = ["events", "plain_up"]

Edge = Literal["before", "after"]
_TEXTS = {
    "death": "up, which crashes after write",
    "half": "up, and the MDM server is down at command",
    "stale": "up with a stale read, number",
    "between": "up, and after its write",
    "again": "up, and after its write",
    "last write": "up, and before its write",
    "last write of another": "up, and before its write",
    "half destroy": "destroy, which crashes after write",
    "stale replace": "up with --replace of the pair, and a stale read, number",
}
_OF_ANOTHER = {"between", "last write of another"}
"""Two stacks have a run in these kinds; in all other kinds it is one stack."""


def events(world: World, story: Story, play: Play) -> Iterator[tuple[Event, Played]]:
    """Apply each possible event."""
    for event in (*outside(world, story), *_of_stacks(world)):
        if _is_left(world, story, event.kind):
            yield event, play(world, event)
    for kind, name, other in product(_TEXTS, world.stacks, world.stacks):
        if (kind in _OF_ANOTHER) == (name == other) or not _is_left(world, story, kind):
            continue
        for number in count(1):
            event = _disturbed_run(world, kind, name, other, number)
            played = play(world, event)
            if played.run.word == "unreached":
                break
            yield event, played


def _is_left(world: World, story: Story, kind: str) -> bool:
    """Return whether the story allows another event of this kind."""
    return not kind or world.used.get(kind, 0) < story.limits.get(kind, 0)


def _of_stacks(world: World) -> Iterator[Event]:
    for name, stack in world.stacks.items():
        yield from _of_stack(world, name)
        for other in (place for place in world.places if place != stack.place):
            yield from _elsewhere(name, other)
        if stack.program.server == "berlin":
            yield from definitions(world, name)


def plain_up(world: World, name: str) -> Event:
    """Return an `up` with the current definition and credentials."""
    stack = world.stacks[name]
    deletes = any(key != stack.program.server and not one.protect for key, one in stack.servers.items())
    return Event(text=f"`{name}`: up", act=_ups(name), stack=name, place=stack.place, deletes=deletes)


def _of_stack(world: World, name: str) -> Iterator[Event]:
    """Yield the events of a stack with its current definition."""
    stack, place = world.stacks[name], world.stacks[name].place
    program = stack.program
    kept = None if program.server is None else stack.server(program.server).pair
    yield plain_up(world, name)
    yield Event(kind="refresh", text=f"`{name}`: refresh", act=_refreshes(name), stack=name, place=place)
    for alone in ("pair", "profile"):
        text = f"`{name}`: up of the {alone} only"
        yield Event(kind="alone", text=text, act=_ups(name, alone=alone), stack=name, place=place)
    yield _destroy(world, name, "destroy", _destroys(name))
    if kept is not None:
        text = f"`{name}`: up with --replace of the pair"
        yield Event(kind="replace", text=text, act=_ups(name, is_replaced=True), stack=name, place=place)
        text = f"`{name}`: state delete of the pair"
        yield Event(kind="state delete", text=text, act=_forgets(name), stack=name, place=place)


def _destroy(world: World, name: str, text: str, act: Callable[[World], Run], kind: str = "destroy") -> Event:
    place = world.stacks[name].place
    return Event(kind=kind, text=f"`{name}`: {text}", act=act, stack=name, place=place, deletes=True)


def _elsewhere(name: str, other: str) -> Iterator[Event]:
    for text, act in (
        ("up", _ups(name, place=other)),
        ("refresh", _refreshes(name, other)),
        ("destroy", _destroys(name, other)),
    ):
        yield Event(
            kind="elsewhere",
            text=f"`{name}`: {text} with credentials for {other}",
            act=act,
            stack=name,
            place=other,
            deletes=text == "destroy",
        )


def _disturbed_run(world: World, kind: str, name: str, other: str, number: int) -> Event:
    """Return an `up` that is disturbed at a write, read or command of this number.

    The run crashes, or reads data from before the last write, or the MDM server is down, or a second run happens:
    either the stack *other* takes the pair over, or a second program has the same state and definition. Right before a
    write, the first run has decided from its reads what to write: it writes its tags last, so they win.
    """
    text, place = f"`{name}`: {_TEXTS[kind]} {number}", world.stacks[name].place
    match kind:
        case "half":
            act = _ups(name, calls=number - 1)
        case "stale":
            act = _ups(name, stale=number)
        case "death":
            act = _dies(name, number)
        case "half destroy":
            return _destroy(world, name, f"{_TEXTS[kind]} {number}", _destroys(name, number=number), kind)
        case "again" | "last write":
            text = f"{text}, a second program with the same state: up"
            act = _is_repeated(name, number, "after" if kind == "again" else "before")
        case "stale replace":
            act = _ups(name, is_replaced=True, stale=number)
        case _:
            text = f"{text}, `{other}`: takeOver, up"
            edge: Edge = "after" if kind == "between" else "before"
            return Event(kind=kind, text=text, act=_is_overtaken(name, other, number, edge))
    return Event(kind=kind, text=text, act=act, stack=name, place=place)


def _dies(name: str, number: int) -> Callable[[World], Run]:
    return lambda world: up(world, name, lives=Lives(number))


def _is_repeated(name: str, number: int, edge: Edge) -> Callable[[World], Run]:
    """Run the second program to its end. The first program then continues, and saves its state last."""
    return lambda world: up(world, name, lives=Lives(number, partial(up, world, name), edge))


def _is_overtaken(name: str, other: str, number: int, edge: Edge) -> Callable[[World], Run]:
    """Let the definition of the other stack take the pair over; its `up` creates the resource."""
    return lambda world: up(world, name, lives=Lives(number, partial(_takes_over, world, other), edge))


def _takes_over(world: World, name: str) -> Run:
    stack = world.stacks[name]
    pair_id = world.pair_id(stack.place, stack.program.secret)
    if stack.server(str(stack.program.server)).pair is None:
        world.stacks[name] = replace(stack, program=replace(stack.program, take_over=pair_id))
    return up(world, name)


def _ups(name: str, **options: object) -> Callable[[World], Run]:
    return lambda world: up(world, name, **options)  # type: ignore[arg-type]


def _destroys(name: str, place: str | None = None, *, number: int | None = None) -> Callable[[World], Run]:
    return lambda world: destroy(world, name, place=place, lives=Lives(number))


def _refreshes(name: str, place: str | None = None) -> Callable[[World], Run]:
    return lambda world: refresh(world, name, place=place)


def _forgets(name: str) -> Callable[[World], Run]:
    def act(world: World) -> Run:
        stack = world.stacks[name]
        assert stack.program.server is not None
        world.stacks[name] = stack.with_server(stack.program.server, pair=None, profile=None)
        for key, holder in tuple(world.holders.items()):
            if holder == name and key[1] == stack.program.secret:
                world.holders[key] = LOST
        return Run("changed")

    return act
