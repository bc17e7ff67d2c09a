"""Ownership of pairs and profiles with the real engine: no operation on a stack removes trust."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.days import DAY_0, DAY_10, at
from tests.support.engine import check_safety
from tests.support.stack import make_stack
from tests.support.tls_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import World
    from tests.support.engine_aws import Aws
    from tests.support.stack import Stack


@pytest.fixture
def distributed(world: World) -> Iterator[World]:
    """Return a world whose devices trust main and reserve; they must still trust both after the test."""
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    yield world
    if "DeletedDate" not in world.client.describe_secret(SecretId=world.secret):
        check_safety(world)


def _server_outputs(stack: Stack, server: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.outputs()["servers"][server]
    return found


def _fingerprints(world: World) -> set[str]:
    """Return the fingerprints of the roots of main and reserve, which devices must continue to trust."""
    shown = _server_outputs(world.stack, world.server)
    return {shown["main"]["rootSha256"], shown["reserve"]["rootSha256"]}


def _all_trust(world: World, certificates: set[str]) -> bool:
    return all(certificates <= roots for roots in world.trusted_roots().values())


def _identity(world: World) -> dict[str, str]:
    return {key: value for key, value in world.tags().items() if key in {"ios-mdm:pair-id", "ios-mdm:resource-id"}}


def _target(aws: Aws) -> tuple[object, ...]:
    found = aws.schedule()
    assert found is not None
    return found["ScheduleExpression"], found["Target"]


def _renamed_definition(world: World, **changes: Any) -> dict[str, Any]:
    return world.definition(name=f"{world.server}-2", distribution=world.distribution(), **changes)


@pytest.mark.parametrize("protect", [True, False], ids=["row 4", "row 5"])
def test_a_renamed_server_adds_trust(distributed: World, aws: Aws, tmp_path: Path, *, protect: bool) -> None:
    """Devices still trust the server's certificate, and get the profile of the new pair in addition."""  # R35
    world = distributed
    served = _fingerprints(world)
    world.stack.define([world.definition(protect=protect, distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    former = world.profile()
    with serving(world.value(world.labels()["AWSCURRENT"]), tmp_path) as endpoint:
        world.stack.define([_renamed_definition(world, endpoints=[endpoint])])
        preview = world.stack.run("preview", **at(DAY_10)).output
    assert "which is not in this new pair. Devices that connect today trust that certificate" in preview
    assert "If the server was renamed in the definition, restore its name" in preview
    world.stack.define([_renamed_definition(world)])
    done = world.stack.up(**at(DAY_10))
    assert (done.code != 0) == protect, "a protected pair is not deleted"
    assert _all_trust(world, served)
    for device in world.services.fleet.ids():
        identifiers = {one.identifier for one in world.services.fleet.profiles(device)}
        assert former in identifiers
    if protect:
        assert aws.schedule() is not None, "the switch of the former pair stays armed"


def test_a_copied_stack_file_gets_another_profile(distributed: World) -> None:
    """Another secretPrefix with the same profile identifier gives a second profile on the devices."""  # R35
    world = distributed
    served = _fingerprints(world)
    copy = replace(world.stack, name="copy")
    copy.run("stack", "init", copy.name).ok()
    copy.define([world.definition(distribution=world.distribution())], aws={"secretPrefix": f"copy-{world.server}"})
    preview = copy.run("preview", "--diff", "--stack", copy.name, **at(DAY_10)).ok().output
    assert f"com.example.{world.server}.trust.<made by up>" in preview
    copy.up("--stack", copy.name, **at(DAY_10)).ok()
    shown = _server_outputs(copy, world.server)
    assert shown["profile"]["identifier"] == world.profile(shown["pairId"])
    assert shown["profile"]["identifier"] != world.profile()
    assert _all_trust(world, served | {shown["main"]["rootSha256"]})


def test_a_changed_identifier_adds_a_profile(distributed: World) -> None:
    """The former profile stays on the devices, and preview reports it."""  # R35
    world = distributed
    served, former = _fingerprints(world), world.profile()
    profile = {"identifier": f"com.example.other.{world.server}", "organization": "Example"}
    world.stack.define([world.definition(distribution=world.distribution(profile=profile))])
    preview = world.stack.run("preview", **at(DAY_10)).ok().output
    assert f"devices keep the profile {former}, and get com.example.other." in preview
    world.stack.up(**at(DAY_10)).ok()
    assert _all_trust(world, served)
    for device in world.services.fleet.ids():
        identifiers = {one.identifier for one in world.services.fleet.profiles(device)}
        assert {former, _server_outputs(world.stack, world.server)["profile"]["identifier"]} <= identifiers
    assert former in world.tags().values(), "status lists it"


def _lose_state(world: World) -> Stack:
    """Remove the pair from the state, as an administrator does to start again."""
    urns = [one["urn"] for one in json.loads(world.stack.export())["deployment"]["resources"]]
    (pair,) = [urn for urn in urns if "CertificatePair" in urn]
    world.stack.run("state", "delete", pair, "--yes", "--force", "--target-dependents").ok()
    return world.stack


def _another_backend(world: World, folder: Path) -> Stack:
    """Return a stack of the same organization, project and name in another backend."""
    folder.mkdir()
    return make_stack(folder, world.aws.url, world.stack.name)


@pytest.mark.parametrize("how", ["state delete", "another backend"])
def test_a_state_without_the_pair_takes_it_over_by_its_id(
    distributed: World, aws: Aws, tmp_path: Path, how: str
) -> None:
    """The refusal gives the value. With this value the pair is continued; another value is refused.

    At commit cda6e65, both states had the pair, and the `destroy` of either one deleted secret and switch.
    """
    # R34 R37
    world = distributed
    served, identity, labels = _fingerprints(world), _identity(world), world.labels()
    pair_id = _server_outputs(world.stack, world.server)["pairId"]
    stack = _lose_state(world) if how == "state delete" else _another_backend(world, tmp_path / "other")
    world.forget_calls()
    for take_over in (None, "ab" * 16):
        stack.define([world.definition(takeOver=take_over, distribution=world.distribution())])
        refused = stack.up(**at(DAY_10))
        assert refused.code != 0
        assert f"add to the server `takeOver: {pair_id}`" in refused.output
        assert "Traceback" not in refused.output
    assert world.aws.writes() == []
    stack.define([world.definition(takeOver=pair_id, distribution=world.distribution())])
    stack.up(**at(DAY_10)).ok()
    assert world.labels() == labels
    assert _identity(world)["ios-mdm:pair-id"] == identity["ios-mdm:pair-id"]
    assert _identity(world) != identity, "the pair belongs to another resource"
    assert aws.schedule() is not None
    assert _all_trust(world, served)
    assert stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    if how == "another backend":
        _former_can_go(world, served, aws)


def _former_can_go(world: World, served: set[str], aws: Aws) -> None:
    """Check that the stack of the same name warns, can remove the server, and changes nothing in the pair."""
    labels, identity = world.labels(), _identity(world)
    world.forget_calls()
    changed = world.distribution(devices=list(world.services.fleet.ids()[:2]))
    world.stack.define([world.definition(protect=False, warnDays=20, distribution=changed)])
    warned = world.stack.up(**at(DAY_10)).ok().output
    assert "was taken over" in warned
    world.stack.run("destroy", "--yes", **at(DAY_10)).ok()
    assert world.aws.writes() == []
    assert not [call for call in world.mdm.calls if call.startswith("PUT")]
    assert (world.labels(), _identity(world)) == (labels, identity)
    assert aws.schedule() is not None
    assert _all_trust(world, served)


@pytest.mark.parametrize("protect", [True, False], ids=["protected", "not protected"])
@pytest.mark.parametrize("how", ["--replace", "taint"])
def test_a_pair_is_never_replaced(distributed: World, aws: Aws, how: str, *, protect: bool) -> None:
    """`--replace` and `state taint` are refused with an explanation, before any effect.

    At commit cda6e65, the secret of an unprotected pair was scheduled for deletion, with exit code 0.
    """
    # R33 R34 R37
    world = distributed
    if not protect:
        world.stack.define([world.definition(protect=False, distribution=world.distribution())])
        world.stack.up(**at(DAY_0)).ok()
    served, before = _fingerprints(world), (world.labels(), world.tags(), _target(aws))
    urns = [one["urn"] for one in json.loads(world.stack.export())["deployment"]["resources"]]
    (pair,) = [urn for urn in urns if "CertificatePair" in urn]
    if how == "taint":
        world.stack.run("state", "taint", pair, "--yes").ok()
    world.forget_calls()
    refused = world.stack.up(*(("--replace", pair) if how == "--replace" else ()), **at(DAY_10))
    assert refused.code != 0
    assert "A pair is not replaced" in refused.output
    assert world.aws.writes() == []
    assert (world.labels(), world.tags(), _target(aws)) == before
    assert _all_trust(world, served)
    if how == "taint":
        world.stack.run("state", "untaint", pair, "--yes").ok()
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()


def test_a_renamed_stack_keeps_its_pair(distributed: World, aws: Aws) -> None:
    """The resource id is in the state, which moves with the stack. Only the name of the owner changes."""  # R34
    world = distributed
    served, identity, labels = _fingerprints(world), _identity(world), world.labels()
    world.stack.run("stack", "rename", "renamed").ok()
    renamed = replace(world.stack, name="renamed")
    renamed.define([world.definition(distribution=world.distribution())])
    renamed.up("--stack", renamed.name, **at(DAY_10)).ok()
    assert (_identity(world), world.labels()) == (identity, labels)
    assert world.tags()["ios-mdm:owner"].endswith("/renamed")
    assert aws.schedule() is not None
    assert renamed.run("preview", "--expect-no-changes", "--stack", renamed.name, **at(DAY_10)).ok()
    assert _all_trust(world, served)


def test_a_copied_secret_is_refused(distributed: World) -> None:
    """A secret with tags that were copied from another pair is refused, and the message names the other pair.

    Commit cda6e65 refused the secret, too, but did not detect that it was a copy.
    """
    # R33
    world = distributed
    name = f"{world.server}-copy"
    tags = world.client.describe_secret(SecretId=world.secret)["Tags"]
    value = world.value(world.labels()["AWSCURRENT"])
    world.client.create_secret(Name=f"ios-mdm/{name}", SecretString=value, Tags=tags)
    world.stack.define(
        [world.definition(distribution=world.distribution()), world.definition(name=name, address="other.example.com")]
    )
    world.forget_calls()
    refused = world.stack.up(**at(DAY_10))
    assert refused.code != 0
    assert f"secret ios-mdm/{name} in account 000000000000, region" in refused.output
    assert f"is in the secret {world.secret} in account" in refused.output
    assert world.aws.writes() == []


@pytest.mark.parametrize("answers_last", [True, False])
@pytest.mark.parametrize("lives", [1, 2, 5, 9])
def test_a_creation_that_died_is_continued(world: World, lives: int, *, answers_last: bool) -> None:
    """The next run has one pair with the identity from the first run, and needs no take-over."""  # R33 R34
    world.stack.define([world.definition(distribution=world.distribution())])
    world.aws.lives, world.aws.answers_last = lives, answers_last
    assert world.stack.up(**at(DAY_0)).code != 0
    begun = world.tags()
    assert "ios-mdm:resource-id" not in begun, "a pair is claimed when it is complete"
    world.aws.lives = None
    world.stack.up(**at(DAY_0)).ok()
    assert world.tags()["ios-mdm:pair-id"] == begun["ios-mdm:pair-id"]
    assert _all_trust(world, _fingerprints(world))
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_0)).ok()
