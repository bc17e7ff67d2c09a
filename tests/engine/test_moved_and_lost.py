"""A pair that was moved, restored, copied by AWS to another region, or lost: devices keep their trust."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.copied_pair import copied_world
from tests.support.days import DAY_0, DAY_10, DAY_31, at
from tests.support.engine import check_safety
from tests.support.stack import make_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import World
    from tests.support.engine_aws import Aws
    from tests.support.stack import Result

ELSEWHERE = pytest.mark.parametrize(
    "elsewhere", [{"region": "eu-central-1"}, {"key": "111122223333"}], ids=["region", "account"], indirect=True
)


@pytest.fixture
def distributed(world: World) -> World:
    """Return a world whose devices trust main and reserve; its state has the ids since the second run."""
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    world.stack.up(**at(DAY_0)).ok()
    world.services.fleet.poll()
    world.forget_calls()
    return world


@pytest.fixture
def elsewhere(distributed: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """Return the world in another region or account, with a copy of the secret."""
    with copied_world(distributed, **request.param) as other:
        yield other


def _message(result: Result) -> str:
    """Return the output as one line, because the engine breaks messages into lines."""
    return " ".join(result.output.split())


def _arn(world: World) -> str:
    arn: str = world.client.describe_secret(SecretId=world.secret)["ARN"]
    return arn


def _identity(world: World) -> tuple[str, ...]:
    """Return the id of the pair, and the home in its tag."""
    return tuple(world.tags()["ios-mdm:pair-id"].split(" "))


def _profiles(world: World) -> dict[str, set[str]]:
    """Return the identifiers of the profiles of this server that each device has."""
    world.services.fleet.poll()
    return {
        device: {one.identifier for one in profiles if world.server in one.identifier}
        for device, profiles in world.services.fleet.all_profiles().items()
    }


def _promotion(aws: Aws) -> tuple[object, object]:
    """Return time and target of the schedule."""
    found = aws.schedule()
    assert found is not None
    return found["ScheduleExpression"], found["Target"]


def _put_requests(world: World) -> list[str]:
    return [call for call in world.mdm.calls if call.startswith("PUT")]


def _setting_value(result: Result, setting: str) -> str:
    """Return the value of a setting that a refusal names."""
    assert result.code != 0
    found = re.search(rf"add to the server `{setting}: ([^`]+)`", _message(result))
    assert found is not None, result.output
    return found[1]


@ELSEWHERE
def test_a_moved_pair_is_continued_by_the_arn_of_its_former_secret(distributed: World, elsewhere: World) -> None:
    """The refusal gives the value. With it, identity, labels and profile stay, and the new home arms the switch."""
    # R33 R35 R36
    world, labels, pair_id = distributed, distributed.labels(), _identity(distributed)[0]
    profiles, there = _profiles(world), {**at(DAY_10), **elsewhere.environment}
    former = _setting_value(world.stack.up(**there), "movedFrom")
    assert former == _arn(world)
    other = f"{former.rpartition(':')[0]}:ios-mdm/other"
    world.stack.define([world.definition(movedFrom=other, distribution=world.distribution())])
    assert former.startswith(_setting_value(world.stack.up(**there), "movedFrom")), "the copy is of that secret"
    assert world.aws.writes() == []
    world.stack.define([world.definition(movedFrom=former, distribution=world.distribution())])
    world.stack.up(**there).ok()
    assert elsewhere.labels() == labels
    home = _arn(elsewhere).removeprefix("arn:aws:secretsmanager:").split(":")
    assert _identity(elsewhere) == (pair_id, f"{home[1]}:{home[0]}:{world.secret}")
    assert world.stack.outputs()["servers"][world.server]["secretArn"] == _arn(elsewhere)
    assert _profiles(world) == profiles
    assert _put_requests(world) == []
    assert world.stack.run("preview", "--expect-no-changes", **there).ok()
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**there).ok()
    assert world.stack.run("preview", "--expect-no-changes", **there).ok()
    assert world.stack.up(**at(DAY_10)).code != 0, "the former home is no longer the home of the pair"
    check_safety(elsewhere)
    world.stack.up(**{**there, **at(DAY_31)}).ok()
    assert elsewhere.labels()["AWSCURRENT"] == labels["RESERVE"]
    check_safety(elsewhere)


@ELSEWHERE
def test_a_copy_replaces_a_lost_home_and_a_lost_state(distributed: World, elsewhere: World, tmp_path: Path) -> None:
    """Disaster recovery: region, backend and state are lost. Devices get no other profile."""
    # R33 R34 R35 R36
    world, labels, pair_id = distributed, distributed.labels(), _identity(distributed)[0]
    profiles, there = _profiles(world), {**at(DAY_10), **elsewhere.environment}
    world.client.delete_secret(SecretId=world.secret, ForceDeleteWithoutRecovery=True)
    (tmp_path / "other").mkdir()
    stack = make_stack(tmp_path / "other", world.aws.url, world.stack.name)
    stack.define([world.definition(distribution=world.distribution())])
    former = _setting_value(stack.up(**there), "movedFrom")
    stack.define([world.definition(movedFrom=former, distribution=world.distribution())])
    assert _setting_value(stack.up(**there), "takeOver") == pair_id
    assert world.aws.writes() == []
    stack.define([world.definition(movedFrom=former, takeOver=pair_id, distribution=world.distribution())])
    stack.up(**there).ok()
    assert elsewhere.labels() == labels
    assert _profiles(world) == profiles
    assert stack.run("preview", "--expect-no-changes", **there).ok()
    check_safety(elsewhere)


def test_a_replica_must_be_promoted_first(distributed: World) -> None:
    """AWS refuses to change a replica, and the preview gives the command. The pair stays in its home."""  # R33
    world, former, before = distributed, _arn(distributed), distributed.tags()
    replicas = [{"Region": "eu-central-1"}]
    world.client.replicate_secret_to_regions(SecretId=world.secret, AddReplicaRegions=replicas)
    with world.elsewhere(region="eu-central-1") as replica:
        there = {**at(DAY_10), **replica.environment}
        world.stack.define([world.definition(movedFrom=former, distribution=world.distribution())])
        command = f"`aws secretsmanager stop-replication-to-replica --region eu-central-1 --secret-id {world.secret}`"
        assert command in _message(world.stack.run("preview", **there).ok())
        refused = world.stack.up(**there)
        assert refused.code != 0
        assert command in _message(refused)
    assert world.tags() == before
    world.stack.define([world.definition(distribution=world.distribution())])
    preview = world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    assert "replica" not in preview.output, "replicas of the primary secret are no problem"
    check_safety(world)


def test_a_pair_that_was_restored_from_its_recovery_window_is_unchanged(distributed: World, aws: Aws) -> None:
    """An operator restores a deleted secret. No run before or after it deletes the switch or changes the profile."""
    # R32 R36
    world, labels, profiles = distributed, distributed.labels(), _profiles(distributed)
    armed = _promotion(aws)
    world.client.delete_secret(SecretId=world.secret, RecoveryWindowInDays=7)
    world.stack.run("refresh", "--yes", **at(DAY_10)).ok()
    world.client.restore_secret(SecretId=world.secret)
    world.stack.up(**at(DAY_10)).ok()
    assert (world.labels(), _promotion(aws), _profiles(world)) == (labels, armed, profiles)
    assert _put_requests(world) == []
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)


@pytest.mark.parametrize("is_reserve_restored", [True, False], ids=["with the reserve", "without the reserve"])
def test_a_secret_that_was_made_again_needs_the_values_of_its_certificates(
    distributed: World, *, is_reserve_restored: bool
) -> None:
    """A value under another version id is not enough. No other main is created, and messages give the next step."""
    # R33 R35 R36
    world, former, profiles = distributed, _arn(distributed), _profiles(distributed)
    values = {label: (version, world.value(version)) for label, version in world.labels().items()}
    reserve = world.stack.outputs()["servers"][world.server]["reserve"]["sha256"]
    main = values["AWSCURRENT"][0]
    tags = world.client.describe_secret(SecretId=world.secret)["Tags"]
    world.client.delete_secret(SecretId=world.secret, ForceDeleteWithoutRecovery=True)
    world.client.create_secret(Name=world.secret, SecretString=values["AWSCURRENT"][1], Tags=tags)
    assert _setting_value(world.stack.up(**at(DAY_10)), "movedFrom") == former
    definition = world.definition(movedFrom=former, distribution=world.distribution())
    world.stack.define([definition])
    lost = _message(world.stack.up(**at(DAY_10)))
    assert "restore its value" in lost
    assert f"--client-request-token {main}`" in lost
    world.stack.run("refresh", "--yes", **at(DAY_10))
    assert world.stack.up(**at(DAY_10)).code != 0, "no new pair is created after a refresh"
    assert (world.aws.writes(), _put_requests(world), _profiles(world)) == ([], [], profiles)
    _restore(world, "AWSCURRENT", *values["AWSCURRENT"])
    refused = world.stack.up(**at(DAY_10))
    assert refused.code != 0
    command = f"--client-request-token {values['RESERVE'][0]} --version-stages RESERVE --secret-string"
    assert command in _message(refused)
    assert f"`reserve.confirm: {reserve}`, and add this fingerprint to `distrust`" in _message(refused)
    if is_reserve_restored:
        _restore(world, "RESERVE", *values["RESERVE"])
    else:
        issue = {**definition["reserve"]["issue"], "generation": 2}
        replaced = {"reserve": {"issue": issue, "confirm": reserve}, "distrust": [reserve]}
        world.stack.define([{**definition, **replaced}])
    world.stack.up(**at(DAY_10)).ok()
    labels = world.labels()
    assert labels["AWSCURRENT"] == main
    assert (labels["RESERVE"] == values["RESERVE"][0]) == is_reserve_restored
    assert _profiles(world) == profiles, "the profile is unchanged"
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)


def _restore(world: World, label: str, version: str, value: str) -> None:
    """Make the calls in the message."""
    world.client.put_secret_value(
        SecretId=world.secret, ClientRequestToken=version, VersionStages=[label], SecretString=value
    )


def test_a_lost_pair_leaves_neither_its_profile_nor_its_switch_to_the_new_one(distributed: World, aws: Aws) -> None:
    """The new pair has the same numbers. The former schedule must not promote a reserve that devices were not sent."""
    # R33 R35 R36
    world, lost = distributed, distributed.stack.outputs()["servers"][distributed.server]
    former = aws.schedule()
    assert former is not None
    world.client.delete_secret(SecretId=world.secret, ForceDeleteWithoutRecovery=True)
    fingerprint = _setting_value(world.stack.up(**at(DAY_10)), "lostMain")
    assert fingerprint == lost["main"]["sha256"]
    down = {"nanomdm": {"url": "http://127.0.0.1:9", "apiKeySecret": "mdm/api-key", "push": False}}
    world.stack.define([world.definition(lostMain=fingerprint, distribution=world.distribution(channel=down))])
    assert world.stack.up(**at(DAY_10)).code != 0, "the MDM server is down"
    assert aws.schedule() is None, "devices were not sent the new reserve"
    world.stack.define([world.definition(lostMain=fingerprint, distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    assert world.stack.outputs()["servers"][world.server]["pairId"] != lost["pairId"]
    profiles = {lost["profile"]["identifier"], world.profile()}
    assert set(map(frozenset, _profiles(world).values())) == {frozenset(profiles)}, "devices lose no trust"
    trusted = world.trusted_roots().values()
    assert all({lost["main"]["rootSha256"], lost["reserve"]["rootSha256"]} <= roots for roots in trusted)
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)
