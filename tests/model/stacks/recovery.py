"""Checks whether one `up` repairs a pair in every state."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ios_mdm.core.pair.schedule import Kind, schedule_names
from ios_mdm.core.pair.secret import Label
from tests.model.stacks.checks import SECRETS
from tests.model.stacks.events import plain_up
from tests.model.stacks.world import COPY, LOST, WRONG_FINGERPRINT, WRONG_ID

if TYPE_CHECKING:
    from tests.model.stacks.event import Play, Played
    from tests.model.stacks.world import Program, World

__all__ = ["recovery_failure"]

_VALUE = re.compile(r"`(takeOver|movedFrom|lostMain)(?:: ([^`]+))?`")


def recovery_failure(world: World, *, first: str, play: Play) -> str:
    """Return why one `up` does not repair the pair that the server reads; empty if it does.

    No more faults happen. A value that a refusal names is written into the definition, unless the pair belongs to the
    stack already. A second `up` must find no pending changes. If the first `up` applied a reserve that was due, the
    second `up` issues the next reserve, as after a promotion by a schedule, and a third `up` must find no pending
    changes.

    Args:
        world: world, which is not changed.
        first: stack that the pair belongs to if no state has it.
        play: applies an event to a copy of a world.
    """
    holder = world.holders.get(world.reads)
    name = first if holder in {None, LOST, COPY} else str(holder)
    stack = world.stacks[name]
    if stack.program.server is None or stack.program.secret != world.reads[1]:
        return ""
    if stack.server(stack.program.server).pair is not None and holder not in {name, COPY}:
        return ""  # the stack now has another pair in another place
    before = world.copy()
    before.stacks[name] = replace(stack, place=world.reads[0], program=_without_mistakes(stack.program))
    done = _up(before, name, play)
    if done.run.word in {"refused", "failed"}:
        said = dict(_VALUE.findall(done.run.message))
        if (holder == name and "takeOver" in said) or (holder is None and said):
            return f"`{name}` is refused its own pair: {done.run.message}"
        before = done.after.copy()
        _write_values(before, name, said)
        if "distrust lists" in done.run.message:
            stack = before.stacks[name]
            before.stacks[name] = replace(stack, program=replace(stack.program, distrust=()))
        done = _up(before, name, play)
    if done.run.word not in {"changed", "unchanged", "protected"}:
        return f"`{name}`: up is {done.run.word}: {done.run.message}"
    if _is_applied(before, done.after):
        done = _up(done.after, name, play)
    again = _up(done.after, name, play)
    if again.run.word not in {"unchanged", "protected"} or again.run.writes:
        return f"`{name}`: a second up is {again.run.word}, and writes {again.run.writes[:3]} {again.run.message}"
    return done.complaint or _incomplete(again.after)


def _up(world: World, name: str, play: Play) -> Played:
    return play(world, plain_up(world, name))


def _is_applied(before: World, after: World) -> bool:
    """Return whether the pair that the server reads had a main and has another one now."""
    mains = [world.root_in_slot(*world.reads, Label.MAIN) for world in (before, after)]
    return mains[0] is not None and mains[0] != mains[1]


def _without_mistakes(program: Program) -> Program:
    return replace(
        program,
        take_over=None if program.take_over == WRONG_ID else program.take_over,
        lost_main=None if program.lost_main == WRONG_FINGERPRINT else program.lost_main,
        dismissed=None,
    )


def _write_values(world: World, name: str, said: dict[str, str]) -> None:
    """Write the values that a refusal names into the definition."""
    stack = world.stacks[name]
    changes = {"take_over": said.get("takeOver"), "moved_from": said.get("movedFrom")}
    kept = stack.server(str(stack.program.server)).pair
    if "lostMain" in said and kept is not None:
        # The message names the value, or the output that shows it.
        changes["lost_main"] = kept.main
        world.excused = True
    said_now = {key: value for key, value in changes.items() if value is not None}
    world.stacks[name] = replace(stack, program=replace(stack.program, **said_now))  # type: ignore[arg-type]


def _incomplete(world: World) -> str:
    """Return which part of the pair that the server reads is missing; empty if the pair is complete."""
    place, secret = world.reads
    main, reserve = (world.root_in_slot(place, secret, label) for label in (Label.MAIN, Label.RESERVE))
    if main is None or reserve is None or main == reserve:
        return f"{secret} lacks main or reserve"
    if not all(world.accepts(device, one) for device in world.devices for one in (main, reserve)):
        return "not all devices trust main and reserve"
    schedule = world.places[place].scheduler.schedules.get(schedule_names(SECRETS[secret], secret)[Kind.PROMOTE])
    if schedule is None or str(world.places[place].store.holder(secret, Label.RESERVE)) not in schedule.input:
        return "the switch is not armed"
    return ""
