"""A version with a label that is not the pair's is reported by preview, `up` and `status`, and is not used (R38)."""

from __future__ import annotations

import pytest

from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.layout import version_id
from tests.support.adoption import CA, QUIET, put
from tests.support.certificates import NOW as AT
from tests.support.pairs import FOREIGN, SECRET, HandClock, World


def other_labels(world: World) -> list[str]:
    """Return the warnings of a preview and of a run, which must be equal."""
    seen = []
    for found in (world.look(QUIET).desired, world.apply(QUIET).view.desired):
        notices = [one for one in found.notices if one.reason == "other-label"]
        assert all(one.severity is Severity.WARNING for one in notices)
        seen.append([one.message for one in notices])
    assert seen[0] == seen[1]
    return seen[0]


@pytest.fixture
def world() -> World:
    """Return a pair without a reserve."""
    one = World(clock=HandClock(AT))
    one.apply(QUIET)
    return one


@pytest.mark.parametrize("version", [version_id(SECRET, 2), FOREIGN], ids=["the next version id", "another version id"])
def test_a_version_of_another_program_is_reported(world: World, version: str) -> None:
    """One line has the version, the label and the command that removes the label."""  # R38
    assert other_labels(world) == []
    put(world, version, ["OTHER"], CA.make())
    (line,) = other_labels(world)
    assert f"version {version} with the label OTHER is not a version of this pair" in line
    assert f"--version-stage OTHER --remove-from-version-id {version}`" in line
    assert "\n" not in line
    world.store.move_label(SECRET, "OTHER", to=None, current=version)
    assert other_labels(world) == []


@pytest.mark.parametrize("version", [version_id(SECRET, 1), FOREIGN], ids=["main", "another version"])
def test_a_rotation_is_reported_as_one(world: World, version: str) -> None:
    """AWSPENDING is the label of a rotation, which replaces main."""  # R38
    if version == FOREIGN:
        put(world, version, ["AWSPENDING"], CA.make())
    else:
        world.store.move_label(SECRET, "AWSPENDING", to=version, current=None)
    (line,) = other_labels(world)
    assert "a rotation of the secret has begun" in line
    assert f"cancel-rotate-secret --secret-id {world.arn}`" in line


def test_a_label_on_a_version_of_the_pair_is_not_reported(world: World) -> None:
    """An operator may mark a certificate."""
    world.store.move_label(SECRET, "BACKUP", to=version_id(SECRET, 1), current=None)
    assert other_labels(world) == []
