"""`lostMain` is accepted only with the fingerprint of main, and `movedFrom` only for a secret that has main."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.secret import Label
from tests.model.stacks.engine import hooks_on_worlds, refresh, up
from tests.model.stacks.search import start
from tests.model.stacks.story import Story
from tests.model.stacks.world import WRONG_FINGERPRINT, leaf_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.stacks.world import World

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name


@pytest.fixture
def world() -> Iterator[World]:
    """A pair after two runs of the real hooks."""
    with hooks_on_worlds():
        started = start(Story())
        up(started, "dev")
        yield started


def _main(world: World) -> str:
    """Return the fingerprint of main."""
    root = world.root_in_slot("home", SECRET, Label.MAIN)
    assert root is not None
    return leaf_of(root)


def says(world: World, lost_main: str) -> None:
    """Write `lostMain` into the definition."""
    stack = world.stacks["dev"]
    world.stacks["dev"] = replace(stack, program=replace(stack.program, lost_main=lost_main))


@pytest.mark.parametrize("is_scheduled", [False, True], ids=["of the pair", "of a secret scheduled for deletion"])
def test_another_fingerprint_is_refused_before_the_update(world: World, *, is_scheduled: bool) -> None:
    """After a refresh, the check knows main, whatever the refresh saw. The refusal gives the correct value."""  # R33
    main = _main(world)
    if is_scheduled:
        world.places["home"].store.delete(SECRET, recovery_window_days=30)
    refresh(world, "dev")
    world.places["home"].store.lose(SECRET)
    says(world, WRONG_FINGERPRINT)
    run = up(world, "dev")
    assert (run.word, run.writes) == ("refused", ())
    assert f"`lostMain: {main}`" in run.message
    says(world, main)
    assert up(world, "dev").word == "changed"
    assert up(world, "dev").word == "unchanged"
    assert _main(world) != main


def test_the_main_of_a_new_pair_is_lost_under_its_own_fingerprint(world: World) -> None:
    """If `lostMain` stays in the definition, no second new pair is created."""  # R33
    first = _main(world)
    world.places["home"].store.lose(SECRET)
    says(world, first)
    assert up(world, "dev").word == "changed"
    second = _main(world)
    world.places["home"].store.lose(SECRET)
    run = up(world, "dev")
    assert (run.word, run.writes) == ("failed", ()), "the check does not know a main that the same run issues"
    assert f"`lostMain: {second}`" in run.message


def test_a_secret_that_was_restored_without_its_certificates_is_refused(world: World) -> None:
    """Otherwise the pair gets new certificates in the profile that devices have."""  # R33
    stack, store = world.stacks["dev"], world.places["home"].store
    pair, lost = stack.server("berlin").pair, store.secret(SECRET)
    assert pair is not None
    assert lost is not None
    store.lose(SECRET)
    store.place_copy(SECRET, replace(lost, versions={}))
    program = replace(stack.program, moved_from=str(pair.outputs["secretArn"]))
    world.stacks["dev"] = replace(stack, program=program)
    run = up(world, "dev")
    assert (run.word, run.writes) == ("refused", ())
    assert f"--client-request-token {version_id(SECRET, 1)}" in run.message
