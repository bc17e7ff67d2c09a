"""Possible changes of a stack's definition. Some changes are always followed by an `up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ios_mdm.core.pair.secret import Label
from tests.model.stacks.engine import Run, up
from tests.model.stacks.event import Event
from tests.model.stacks.world import WRONG_FINGERPRINT, WRONG_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.stacks.world import World

__all__ = ["definitions"]


Says = Mapping[str, str | bool | tuple[str, ...] | None]


class Change(NamedTuple):
    """A change of a definition.

    Args:
        kind: as in :class:`Event`.
        text: description of the change.
        says: changed fields of the program.
        place: place of the credentials afterwards; empty if it is unchanged.
    """

    kind: str
    text: str
    says: Says
    place: str = ""


def definitions(world: World, name: str) -> Iterator[Event]:
    """Return each possible change of a definition."""
    stack = world.stacks[name]
    kept = stack.server("berlin")
    for change in _of_certificates(world, name):
        yield Event(kind=change.kind, text=f"`{name}`: the definition says {change.text}", act=_says(name, change.says))
    for change in (*_of_the_server(world, name), *_of_the_state(world, name)):
        place = change.place or stack.place
        if place == stack.place and all(getattr(stack.program, key) == one for key, one in change.says.items()):
            continue
        yield Event(
            kind=change.kind,
            text=f"`{name}`: the definition says {change.text}, up",
            act=_says_and_runs(name, place, change.says),
            stack=name,
            place=place,
            deletes="server" in change.says and not kept.protect,
        )


def _of_the_server(world: World, name: str) -> Iterator[Change]:
    stack = world.stacks[name]
    if stack.program.protect:
        yield Change("unprotect", "protect: false", {"protect": False})
    yield Change("rename", "another name of the server", {"server": "berlin-2"})
    yield Change("remove", "no server", {"server": None})
    pair_id = world.pair_id(stack.place, stack.program.secret)
    if pair_id is not None:
        yield Change("take over", "takeOver with the pair's id", {"take_over": pair_id})
    yield Change("wrong take over", "takeOver with another id", {"take_over": WRONG_ID})


def _of_the_state(world: World, name: str) -> Iterator[Change]:
    """Return the changes with values from the stack's state that identify the pair."""
    pair = world.stacks[name].server("berlin").pair
    if pair is None:
        return
    arn = str(pair.outputs["secretArn"])
    yield Change("lost main", "lostMain with the fingerprint", {"lost_main": pair.main})
    yield Change("wrong lost main", "lostMain with another fingerprint", {"lost_main": WRONG_FINGERPRINT})
    yield Change("moved", "movedFrom", {"moved_from": arn})
    yield Change("moved", "movedFrom, with credentials for the other region", {"moved_from": arn}, "other region")


def _of_certificates(world: World, name: str) -> Iterator[Change]:
    """Return the changes with values that identify certificates of the pair, unless the definition has them already."""
    stack = world.stacks[name]
    main, reserve = (world.root_in_slot(stack.place, stack.program.secret, one) for one in (Label.MAIN, Label.RESERVE))
    if main is not None and main != stack.program.replaced:
        yield Change("replace main", "main.replaceNow", {"replaced": main})
        distrust = (*stack.program.distrust, main)
        text = "main.replaceNow, and distrust of main"
        yield Change("stolen main", text, {"replaced": main, "distrust": distrust})
    if reserve is not None and reserve != stack.program.dismissed:
        yield Change("no reserve", "reserve.none with the fingerprint", {"dismissed": reserve})
    for number, one in world.certificates(stack.place, stack.program.secret):
        if one not in stack.program.distrust:
            distrust = (*stack.program.distrust, one)
            yield Change("distrust", f"distrust of certificate {number}", {"distrust": distrust})


def _says(name: str, changes: Says) -> Callable[[World], Run]:
    def act(world: World) -> Run:
        stack = world.stacks[name]
        world.stacks[name] = replace(stack, program=replace(stack.program, **changes))  # type: ignore[arg-type]
        return Run("changed")

    return act


def _says_and_runs(name: str, place: str, changes: Says) -> Callable[[World], Run]:
    def act(world: World) -> Run:
        _says(name, changes)(world)
        world.stacks[name] = replace(world.stacks[name], place=place)
        if changes.get("lost_main") not in {None, WRONG_FINGERPRINT}:
            world.excused = True
        return up(world, name)

    return act
