"""Events outside of the stacks: time, AWS, the server, and administrators."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ios_mdm.core.pair.layout import SENT_TAG
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import LabelMovedError
from tests.model.stacks.engine import Run
from tests.model.stacks.event import Event
from tests.model.stacks.world import COPY, DAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.stacks.story import Story
    from tests.model.stacks.world import World

__all__ = ["outside"]


def outside(world: World, story: Story) -> Iterator[Event]:
    """Return the possible events outside of the stacks."""
    if world.moment + 1 < min(story.days, len(DAYS)):
        yield Event(text="time passes to a day after the apply time", act=_time_passes)
    for place, there in world.places.items():
        for name, schedule in sorted(there.scheduler.schedules.items()):
            if schedule.at <= world.now:
                yield Event(text=f"the schedule {name} fires in {place}", act=_fires(place, name))
    main = world.root_in_slot(*world.reads, Label.MAIN)
    if main is not None and main != world.served:
        yield Event(text="the server loads main", act=_presents(main))
    for number, one in world.certificates(*world.reads):
        if one not in {world.served, main} and all(world.accepts(device, one) for device in world.devices):
            text = f"an administrator lets the server present certificate {number}, which devices trust"
            yield Event(kind="present", text=text, act=_presents(one))
    yield from _administrators(world)


def _administrators(world: World) -> Iterator[Event]:
    place, secret = world.reads
    if world.places[place].store.secret(secret) is None:
        return
    yield Event(kind="lose", text="an administrator deletes the secret for good", act=_loses)
    if any(there.scheduler.schedules for there in world.places.values()):
        text = "an administrator deletes all schedules, roles and queues"
        yield Event(kind="disarm", text=text, act=_disarms)
    if SENT_TAG in world.places[place].store._secrets[secret].tags:
        text = "an administrator removes the record of the sent certificates"
        yield Event(kind="forget", text=text, act=_forgets_sent)
    yield Event(kind="restore", text="the secret is lost and restored from a backup", act=_restores)
    if world.places[place].store.holder(secret, Label.MAIN) is None:
        return  # AWS neither reads nor replicates a secret that is scheduled for deletion
    if place == "home" and world.places["other region"].store.secret(secret) is None:
        yield Event(kind="replica", text="the secret is copied to another region, with its tags", act=_replicates)
    if place == "home" and world.places["other region"].store.secret(secret) is not None:
        yield Event(kind="reads", text="the server reads the copy in the other region", act=_reads_the_copy)
    if world.places[place].store.secret("copy/berlin") is None:
        yield Event(kind="copy", text="the secret is copied to the prefix `copy`, with its tags", act=_copies)


def _time_passes(world: World) -> Run:
    world.moment += 1
    return Run("changed")


def _fires(place: str, name: str) -> Callable[[World], Run]:
    """AWS makes the call of a schedule once, and deletes the schedule."""

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
                return Run("failed", "the label was moved")
            there.store.calls.clear()
        return Run("changed")

    return act


def _presents(certificate: str) -> Callable[[World], Run]:
    def act(world: World) -> Run:
        world.served = certificate
        return Run("changed")

    return act


def _loses(world: World) -> Run:
    place, secret = world.reads
    world.places[place].store.lose(secret)
    return Run("changed")


def _disarms(world: World) -> Run:
    for there in world.places.values():
        there.scheduler.schedules.clear()
        there.prerequisites.roles.clear()
        there.prerequisites.queues.clear()
    return Run("changed")


def _forgets_sent(world: World) -> Run:
    place, secret = world.reads
    del world.places[place].store._secrets[secret].tags[SENT_TAG]
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
