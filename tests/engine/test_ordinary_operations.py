"""Operations of an ordinary day, by the real engine: none may take trust or the switch away.

Each test names its row of the report on operations, where the former outcome is described.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.test_promotion import DAY_0, DAY_10, DAY_31, Aws, at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.engine.conftest import World


@pytest.fixture
def aws(world: World) -> Iterator[Aws]:
    """Return the emulator's other services."""
    found = Aws(world)
    yield found
    for one in (found.scheduler, found.iam, found.sqs):
        one.close()


def _switch(aws: Aws) -> tuple[object, ...]:
    """Return what the switch needs: its schedule, role and queue."""
    found = aws.schedule()
    schedule = None if found is None else (found["ScheduleExpression"], found["Target"])
    return schedule, aws.role(), aws.queue()


def _urn(world: World, kind: str) -> str:
    return f"**dynamic/ios-mdm:{kind}::{world.server}"


@pytest.mark.parametrize("flag", ["--exclude", "--target"])
def test_a_reserve_is_not_armed_while_a_flag_leaves_the_distribution_out(world: World, aws: Aws, flag: str) -> None:
    """Row 10: devices were sent main alone, so neither a schedule nor a later run makes the reserve main."""
    # R36
    definition = world.definition(reserve={"none": True}, distribution=world.distribution())
    world.stack.define([definition])
    world.stack.up(**at(DAY_0)).ok()
    world.stack.define([world.definition(distribution=world.distribution())])
    left_out = _urn(world, "ProfileDistribution" if flag == "--exclude" else "CertificatePair")
    world.stack.up(flag, left_out, **at(DAY_0)).ok()
    labels = world.labels()
    assert "RESERVE" in labels
    assert aws.schedule() is None
    world.stack.up(flag, left_out, **at(DAY_31)).ok()
    assert world.labels()["AWSCURRENT"] == labels["AWSCURRENT"], "the apply time has passed, and devices know main only"
    world.stack.up(**at(DAY_31)).ok()
    world.stack.up(**at(DAY_31)).ok()
    assert world.labels()["AWSCURRENT"] == labels["RESERVE"], "sent by one run, applied by the next"


def test_a_refused_destroy_deletes_nothing(world: World, aws: Aws) -> None:
    """Row 7: the stack is protected, and schedule, role and queue survive with the pair."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before = _switch(aws)
    assert None not in before
    refused = world.stack.run("destroy", "--skip-preview", "--yes", **at(DAY_10))
    assert refused.code != 0
    assert _switch(aws) == before
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()


def test_a_protected_server_left_out_of_the_definition_keeps_its_switch(world: World, aws: Aws) -> None:
    """Row 8: the run is refused, in this run and in later ones, and nothing is deleted."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before = _switch(aws)
    other = world.definition(name=f"{world.server}-2")
    world.stack.define([other])
    for _ in range(2):
        assert world.stack.up(**at(DAY_10)).code != 0
        assert _switch(aws) == before


def _have(world: World, udid: str) -> bool:
    """Return whether a device has the profile, after it processed its commands."""
    world.services.fleet.poll([udid])
    identifier = f"com.example.{world.server}.trust"
    return identifier in {profile.identifier for profile in world.services.fleet.profiles(udid)}


def test_a_device_that_comes_back_is_sent_the_profile_again_without_a_ledger(world: World) -> None:
    """Row 13: taken off the list, erased, and added again."""
    # R15
    devices = world.services.fleet.ids()
    back = devices[-1]

    def up(ids: Sequence[str]) -> str:
        distribution = world.distribution(devices=list(ids))
        del distribution["ledger"]
        world.stack.define([world.definition(distribution=distribution)])
        return world.stack.up(**at(DAY_0)).ok().output

    up(devices)
    assert _have(world, back)
    up(devices[:-1])
    world.services.fleet.remove(back, f"com.example.{world.server}.trust")
    assert not _have(world, back)
    assert "profile queued for 5 of 5 devices" in up(devices)
    assert _have(world, back)


def test_a_lost_record_of_what_was_sent_is_repaired(world: World, aws: Aws) -> None:
    """A removed tag neither disarms the switch nor keeps the next run from arming it again."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    armed = _switch(aws)
    world.client.untag_resource(SecretId=world.secret, TagKeys=["ios-mdm:sent"])
    shown = world.stack.run("preview", **at(DAY_10)).ok().output
    assert "the record of what devices were sent was lost" in shown
    world.stack.up(**at(DAY_10)).ok()
    assert _switch(aws) == armed
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
