"""What may happen: operations of the engine, of AWS, of the server, and of an administrator."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import LabelMovedError
from tests.model.stacks.engine import Lives, Run, destroy, refresh, up
from tests.model.stacks.world import COPY, DAYS, LOST, WRONG_FINGERPRINT, WRONG_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.stacks.story import Story
    from tests.model.stacks.world import Program, World

__all__ = ["Event", "events"]

MAX_TRIES = 60
"""More writes than a run has."""
STALE_READS = 12
_TEXTS = {
    "death": "up, which dies after write",
    "half": "up, and the MDM server is down at command",
    "stale": "up with a stale read, number",
}


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


def events(world: World, story: Story) -> Iterator[tuple[Event, World, Run]]:
    """Return each event that may happen now, with the world after it and how it ended."""
    for event in (*_of_the_world(world, story), *_of_stacks(world)):
        if event.kind and world.used.get(event.kind, 0) >= story.limits.get(event.kind, 0):
            continue
        after = world.copied()
        if event.kind:
            after.used[event.kind] = after.used.get(event.kind, 0) + 1
        yield event, after, event.act(after)
    yield from _many(world, story)
    if world.used.get("between", 0) < story.limits.get("between", 0):
        yield from _between(world)


def _of_the_world(world: World, story: Story) -> Iterator[Event]:
    """Time, AWS, the server, and administrators."""
    if world.moment + 1 < min(story.days, len(DAYS)):
        yield Event(text="time passes to a day after the apply time", act=_time_passes)
    for place, there in world.places.items():
        for name, schedule in sorted(there.scheduler.schedules.items()):
            if schedule.at <= world.now:
                yield Event(text=f"the schedule {name} fires in {place}", act=_fires(place, name))
    main = world.labelled(*world.reads, Label.MAIN)
    if main is not None and main != world.served:
        yield Event(text="the server loads main", act=_loads)
    place, secret = world.reads
    if world.places[place].store.secret(secret) is None:
        return
    yield Event(kind="lose", text="an administrator deletes the secret for good", act=_loses)
    yield Event(kind="restore", text="the secret is lost and restored from a backup", act=_restores)
    if place == "home":
        yield Event(kind="replica", text="the secret is copied to another region, with its tags", act=_replicates)
        if world.places["other region"].store.secret(secret) is not None:
            yield Event(kind="reads", text="the server reads the copy in the other region", act=_reads_the_copy)
    yield Event(kind="copy", text="the secret is copied to the prefix `copy`, with its tags", act=_copies)


def _of_stacks(world: World) -> Iterator[Event]:
    for name, stack in world.stacks.items():
        yield from _of_stack(world, name)
        for other in (place for place in world.places if place != stack.place):
            yield from _elsewhere(name, other)
        if stack.program.server == "berlin":
            yield from _of_definition(world, name)


def _of_stack(world: World, name: str) -> Iterator[Event]:
    """What a stack does with its definition as it is."""
    stack, place = world.stacks[name], world.stacks[name].place
    program = stack.program
    kept = None if program.server is None else stack.server(program.server).pair
    deletes = any(key != program.server and not one.protect for key, one in stack.servers.items())
    yield Event(text=f"`{name}`: up", act=_ups(name), stack=name, place=place, deletes=deletes)
    yield Event(kind="refresh", text=f"`{name}`: refresh", act=_refreshes(name), stack=name, place=place)
    for alone in ("pair", "profile"):
        text = f"`{name}`: up with nothing but the {alone}"
        yield Event(kind="alone", text=text, act=_ups(name, alone=alone), stack=name, place=place)
    yield Event(kind="destroy", text=f"`{name}`: destroy", act=_destroys(name), stack=name, place=place, deletes=True)
    if kept is not None:
        text = f"`{name}`: up with --replace of the pair"
        yield Event(kind="replace", text=text, act=_ups(name, is_replaced=True), stack=name, place=place)
        text = f"`{name}`: state delete of the pair"
        yield Event(kind="state delete", text=text, act=_forgets(name), stack=name, place=place)


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


def _of_definition(world: World, name: str) -> Iterator[Event]:
    """A changed definition, and the `up` with it."""
    stack, program = world.stacks[name], world.stacks[name].program
    kept = stack.server("berlin")
    changes: list[tuple[str, str, str, dict[str, str | bool | None]]] = []
    if program.protect:
        changes.append(("unprotect", "protect: false", stack.place, {"protect": False}))
    changes.append(("rename", "another name of the server", stack.place, {"server": "berlin-2"}))
    changes.append(("remove", "no server", stack.place, {"server": None}))
    pair_id = world.pair_id(stack.place, program.secret)
    if pair_id is not None:
        changes.append(("take over", "takeOver with the pair's id", stack.place, {"take_over": pair_id}))
    changes.append(("wrong take over", "takeOver with another id", stack.place, {"take_over": WRONG_ID}))
    if kept.pair is not None:
        outputs = kept.pair.outputs
        arn, main = str(outputs["secretArn"]), outputs["certificates"][outputs["desired"]["main"]]["sha256"]
        changes.append(("lost main", "lostMain with the fingerprint", stack.place, {"lost_main": main}))
        changes.append(
            ("wrong lost main", "lostMain with another fingerprint", stack.place, {"lost_main": WRONG_FINGERPRINT})
        )
        changes.append(("moved", "movedFrom", stack.place, {"moved_from": arn}))
        changes.append(
            ("moved", "movedFrom, with credentials for the other region", "other region", {"moved_from": arn})
        )
    for kind, text, place, change in changes:
        if place == stack.place and all(getattr(program, key) == value for key, value in change.items()):
            continue
        yield Event(
            kind=kind,
            text=f"`{name}`: the definition says {text}, up",
            act=_says(name, place, change),
            stack=name,
            place=place,
            deletes="server" in change and not kept.protect,
        )


def _many(world: World, story: Story) -> Iterator[tuple[Event, World, Run]]:
    """Runs that die after each of their writes, whose delivery fails after each device, or whose reads are stale."""
    for kind, name in product(("death", "half", "stale"), world.stacks):
        if world.used.get(kind, 0) >= story.limits.get(kind, 0):
            continue
        for number in range(1, MAX_TRIES):
            after = world.copied()
            after.used[kind] = after.used.get(kind, 0) + 1
            match kind:
                case "death":
                    run = up(after, name, lives=Lives(number))
                    if run.word != "died":
                        break
                case "half":
                    run = up(after, name, calls=number - 1)
                    if run.word != "failed":
                        break
                case _:
                    run = up(after, name, stale=number)
                    if number > STALE_READS:
                        break
            text = f"`{name}`: {_TEXTS[kind]} {number}"
            yield Event(kind=kind, text=text, act=_ups(name), stack=name, place=world.stacks[name].place), after, run


def _between(world: World) -> Iterator[tuple[Event, World, Run]]:
    """A run between two writes of another stack's, which does not know of it. A create says what it takes over."""
    for name, other in product(world.stacks, world.stacks):
        if name == other:
            continue
        for number in range(1, MAX_TRIES):
            after = world.copied()
            after.used["between"] = after.used.get("between", 0) + 1
            lives = Lives(number)
            lives.other = partial(_takes_over, after, other)
            run = up(after, name, lives=lives)
            if lives.left is not None:
                break
            text = f"`{name}`: up, and `{other}`: takeOver, up after its write {number}"
            yield Event(kind="between", text=text, act=_ups(name)), after, run


def _takes_over(world: World, name: str) -> Run:
    stack = world.stacks[name]
    pair_id = world.pair_id(stack.place, stack.program.secret)
    if stack.server(str(stack.program.server)).pair is None:
        world.stacks[name] = replace(stack, program=replace(stack.program, take_over=pair_id))
    return up(world, name)


def _ups(name: str, **options: object) -> Callable[[World], Run]:
    return lambda world: up(world, name, **options)  # type: ignore[arg-type]


def _destroys(name: str, place: str | None = None) -> Callable[[World], Run]:
    return lambda world: destroy(world, name, place=place)


def _refreshes(name: str, place: str | None = None) -> Callable[[World], Run]:
    return lambda world: refresh(world, name, place=place)


def _says(name: str, place: str, changes: dict[str, str | bool | None]) -> Callable[[World], Run]:
    def act(world: World) -> Run:
        stack = world.stacks[name]
        program: Program = replace(stack.program, **changes)  # type: ignore[arg-type]
        world.stacks[name] = replace(stack, program=program, place=place)
        if changes.get("lost_main") not in {None, WRONG_FINGERPRINT}:
            world.excused = True
        return up(world, name)

    return act


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


def _time_passes(world: World) -> Run:
    world.moment += 1
    return Run("changed")


def _fires(place: str, name: str) -> Callable[[World], Run]:
    """AWS carries out the call of a schedule once, and deletes the schedule."""

    def act(world: World) -> Run:
        there = world.places[place]
        call = json.loads(there.scheduler.schedules.pop(name).input)
        found = [key for key, one in there.store._secrets.items() if one.arn == call["SecretId"]]
        if found and there.store.holder(found[0], Label.MAIN) is not None:
            try:
                there.store.move_label(
                    found[0], call["VersionStage"], to=call["MoveToVersionId"], current=call["RemoveFromVersionId"]
                )
            except LabelMovedError:
                return Run("failed", "the label is elsewhere")
            there.store.calls.clear()
        return Run("changed")

    return act


def _loads(world: World) -> Run:
    world.served = world.labelled(*world.reads, Label.MAIN)
    return Run("changed")


def _loses(world: World) -> Run:
    place, secret = world.reads
    world.places[place].store.lose(secret)
    return Run("changed")


def _restores(world: World) -> Run:
    place, secret = world.reads
    store = world.places[place].store
    found = store.secret(secret)
    assert found is not None
    store.lose(secret)
    store.place_copy(secret, found)
    return Run("changed")


def _replicates(world: World) -> Run:
    secret = world.reads[1]
    found = world.places["home"].store.secret(secret)
    assert found is not None
    world.places["other region"].store.place_copy(secret, found)
    world.holders["other region", secret] = COPY
    return Run("changed")


def _reads_the_copy(world: World) -> Run:
    world.reads = ("other region", world.reads[1])
    return Run("changed")


def _copies(world: World) -> Run:
    place, secret = world.reads
    found = world.places[place].store.secret(secret)
    assert found is not None
    world.places[place].store.place_copy("copy/berlin", found)
    world.holders[place, "copy/berlin"] = COPY
    return Run("changed")
