"""Ordinary operations with the real engine: none removes trust or the switch.

Each test names a row of the report on operations, which describes the former outcome.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from ios_mdm.core.pair.schedule import name_stem
from tests.support.days import DAY_0, DAY_10, DAY_31, at
from tests.support.engine import check_safety
from tests.support.tls_server import serving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.engine import World
    from tests.support.engine_aws import Aws


def _switch(aws: Aws) -> tuple[object, ...]:
    """Return the parts of the switch: its schedule, role and queue."""
    found = aws.schedule()
    schedule = None if found is None else (found["ScheduleExpression"], found["Target"])
    return schedule, aws.role(), aws.queue()


def _urn(world: World, kind: str) -> str:
    return f"**dynamic/ios-mdm:{kind}::{world.server}"


@pytest.mark.parametrize("flag", ["--exclude", "--target"])
def test_a_reserve_is_not_armed_while_a_flag_leaves_the_distribution_out(world: World, aws: Aws, flag: str) -> None:
    """Row 10: devices were sent main only, so neither a schedule nor a later run promotes the reserve."""
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
    assert world.labels()["AWSCURRENT"] == labels["AWSCURRENT"], (
        "the apply time has passed, but devices were sent main only"
    )
    world.stack.up(**at(DAY_31)).ok()
    assert world.labels()["AWSCURRENT"] == labels["RESERVE"], "one run sends and applies the reserve"
    check_safety(world)


def test_a_main_that_is_replaced_is_sent_first(world: World) -> None:
    """`main.replaceNow` while the MDM server is down: main stays. The next `up` sends and applies the next main.

    At commit cda6e65, the run that could not send the profile moved AWSCURRENT.
    """
    # R15 R32 R35 R36
    definition = world.definition(distribution=world.distribution())
    world.stack.define([definition])
    world.stack.up(**at(DAY_0)).ok()
    world.services.fleet.poll()
    main = world.labels()["AWSCURRENT"]
    assert _trusting(world, main) == set(world.services.fleet.ids())
    sha256 = world.stack.outputs()["servers"][world.server]["main"]["sha256"]
    replaced = {**definition["main"], "replaceNow": True, "confirm": sha256}
    down = {"nanomdm": {"url": "http://127.0.0.1:9", "apiKeySecret": "mdm/api-key", "push": False}}
    world.stack.define([world.definition(main=replaced, distribution=world.distribution(channel=down))])
    shown = world.stack.run("preview", **at(DAY_10)).ok().output
    assert "certificate 1 is replaced by the next main, which is sent to the devices first" in " ".join(shown.split())
    for _ in range(2):
        failed = world.stack.up(**at(DAY_10))
        assert failed.code != 0
        assert "the pair is stored" in " ".join(failed.output.split()).lower()
        assert world.labels()["AWSCURRENT"] == main, "the MDM server has not accepted the profile"
    messages = [notice["message"] for notice in _status(world, at(DAY_10))["notices"]]
    assert any(
        "certificate 3 is stored, but the MDM server has not accepted the profile yet" in one for one in messages
    )
    world.stack.define([world.definition(main=replaced, distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    labels = world.labels()
    assert labels["AWSCURRENT"] not in {main, labels["RESERVE"]}
    world.services.fleet.poll()
    assert _trusting(world, labels["AWSCURRENT"]) == set(world.services.fleet.ids())
    world.stack.up(**at(DAY_10)).ok()
    assert world.labels()["AWSCURRENT"] == labels["AWSCURRENT"]
    assert "STAGED" not in world.labels()
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    assert world.stack.outputs()["servers"][world.server]["main"]["certificate"] == "certificate 3"
    check_safety(world)


def _trusting(world: World, version: str) -> set[str]:
    """Return the devices that trust the issued certificate of this version: its root is in their profile."""
    pem = str(json.loads(world.value(version))["ca.crt"])
    root = load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    installed = world.services.fleet.all_profiles()
    return {udid for udid, profiles in installed.items() if any(root in profile.roots() for profile in profiles)}


def test_a_refused_destroy_deletes_nothing(world: World, aws: Aws) -> None:
    """Row 7: the stack is protected. Schedule, role and queue are kept with the pair."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before = _switch(aws)
    assert None not in before
    refused = world.stack.run("destroy", "--skip-preview", "--yes", **at(DAY_10))
    assert refused.code != 0
    assert _switch(aws) == before
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)


def test_a_protected_server_left_out_of_the_definition_keeps_its_switch(world: World, aws: Aws) -> None:
    """Row 8: this run and later runs are refused, and nothing is deleted."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before = _switch(aws)
    other = world.definition(name=f"{world.server}-2")
    world.stack.define([other])
    for _ in range(2):
        assert world.stack.up(**at(DAY_10)).code != 0
        assert _switch(aws) == before
    check_safety(world)


def test_the_former_stack_of_a_moved_pair_takes_nothing_with_it(world: World, aws: Aws) -> None:
    """Row 9: after `takeOver`, up, refresh and destroy of the former stack change neither the pair nor the switch."""
    # R34 R36 R37
    old, new = world.stack, replace(world.stack, name="new")
    old.define([world.definition(protect=False, distribution=world.distribution())])
    old.up(**at(DAY_0)).ok()
    pair_id = old.outputs()["servers"][world.server]["pairId"]
    new.run("stack", "init", new.name).ok()
    new.define([world.definition(distribution=world.distribution())])
    refused = new.up("--stack", new.name, **at(DAY_10))
    assert refused.code != 0
    assert f"add to the server `takeOver: {pair_id}`" in refused.output
    new.define([world.definition(takeOver=pair_id, distribution=world.distribution())])
    new.up("--stack", new.name, **at(DAY_10)).ok()
    before = (_switch(aws), world.labels())
    assert None not in before[0]
    device = world.services.fleet.ids()[0]
    assert _have(world, device)
    warned = old.up("--stack", old.name, **at(DAY_10)).ok()
    assert "was taken over: it belongs to the stack organization/ios-mdm/new" in warned.output
    old.run("refresh", "--yes", "--stack", old.name, **at(DAY_10)).ok()
    assert (_switch(aws), world.labels()) == before
    old.run("destroy", "--yes", "--stack", old.name, **at(DAY_10)).ok()
    assert (_switch(aws), world.labels()) == before
    assert _have(world, device)
    assert new.run("preview", "--expect-no-changes", "--stack", new.name, **at(DAY_10)).ok()
    check_safety(world)


def _have(world: World, udid: str) -> bool:
    """Return whether a device has the profile, after it processed its commands."""
    world.services.fleet.poll([udid])
    return world.profile() in {profile.identifier for profile in world.services.fleet.profiles(udid)}


def test_a_device_that_comes_back_is_sent_the_profile_again_without_a_ledger(world: World) -> None:
    """Row 13: a device is removed from the list, erased, and added again."""
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
    world.services.fleet.remove(back, world.profile())
    assert not _have(world, back)
    assert "profile queued for 5 of 5 devices" in up(devices)
    assert _have(world, back)
    check_safety(world)


PARTS = {
    "role": "the role {role} is missing",
    "policy": "the policy of the role {role} is missing",
    "trust": "the trust policy of the role {role} differs",
    "queue": "the queue {stem}-dead-letters is missing",
}


def _damage(aws: Aws, part: str) -> None:
    name = aws.role_name
    if part == "trust":
        nobody = {"Effect": "Deny", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [nobody]})
        aws.iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
    elif part == "queue":
        aws.sqs.delete_queue(QueueUrl=aws.queue())
    else:
        aws.iam.delete_role_policy(RoleName=name, PolicyName="switch")
        if part == "role":
            aws.iam.delete_role(RoleName=name)


@pytest.mark.parametrize("part", PARTS)
def test_all_needs_of_the_switch_are_reported_and_repaired(world: World, aws: Aws, part: str) -> None:
    """Row 11: preview, refresh and status name the damage. One `up` repairs it; the next one changes nothing."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before = _switch(aws)
    _damage(aws, part)
    expected = PARTS[part].format(stem=name_stem(aws.server, aws.secret), role=aws.role_name)
    shown = _status(world, at(DAY_10))
    assert shown["scheduled"] is False
    assert expected in shown["notices"][0]["message"]
    preview = world.stack.run("preview", "--expect-no-changes", **at(DAY_10))
    assert preview.code != 0
    assert expected in preview.output
    assert expected in world.stack.run("refresh", "--yes", **at(DAY_10)).ok().output
    assert expected in world.stack.up(**at(DAY_10)).ok().output
    assert _switch(aws) == before
    assert _status(world, at(DAY_10))["scheduled"] is True
    world.forget_calls()
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    world.stack.up(**at(DAY_10)).ok()
    assert world.aws.writes() == []
    check_safety(world)


DOWN = {"AWS_ENDPOINT_URL_SCHEDULER": "http://127.0.0.1:9"}
"""Nothing listens there."""


def test_an_up_works_while_scheduler_does_not_answer(world: World, aws: Aws) -> None:
    """Row 17: issue, delivery and promotion continue with a warning; so does `hold` if nothing is armed."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    shown = world.stack.up(**at(DAY_0), **DOWN).ok().output
    assert "no schedule makes certificate 2 main on 2040-01-31 00:00 UTC" in shown
    assert "set promotion.schedule: false" in shown
    assert "RESERVE" in world.labels()
    assert _status(world, {**at(DAY_0), **DOWN})["scheduled"] is None
    held = world.definition(distribution=world.distribution(), promotion={"hold": True})
    world.stack.define([held])
    world.stack.up(**at(DAY_10), **DOWN).ok()
    world.stack.define([world.definition(distribution=world.distribution())])
    reserve = world.labels()["RESERVE"]
    world.stack.up(**at(DAY_31), **DOWN).ok()
    assert world.labels()["AWSCURRENT"] == reserve, "an `up` after the apply time promotes"
    world.stack.up(**at(DAY_31)).ok()
    assert aws.schedule() is not None, "the switch is armed as soon as Scheduler answers"
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_31)).ok()
    check_safety(world)


def test_a_schedule_that_may_still_fire_is_not_overruled(world: World, aws: Aws) -> None:
    """Row 17: with a schedule armed and Scheduler down, `hold` fails with the time; other changes continue."""  # R36
    distribution = world.distribution()
    world.stack.define([world.definition(distribution=distribution)])
    world.stack.up(**at(DAY_0)).ok()
    armed = _switch(aws)
    world.stack.define([world.definition(promotion={"hold": True}, distribution=distribution)])
    refused = world.stack.up(**at(DAY_10), **DOWN)
    assert refused.code != 0
    assert "may still make certificate 2 main on 2040-01-31 00:00 UTC" in refused.output
    assert _switch(aws) == armed
    check_safety(world)
    world.stack.define([world.definition(warnDays=20, distribution=distribution)])
    world.stack.up(**at(DAY_10), **DOWN).ok()
    check_safety(world)
    world.stack.define([world.definition(promotion={"hold": True}, distribution=distribution)])
    world.stack.up(**at(DAY_10)).ok()
    assert aws.schedule() is None
    world.stack.define([world.definition(promotion={"hold": True}, warnDays=20, distribution=distribution)])
    world.stack.up(**at(DAY_10), **DOWN).ok()
    check_safety(world, is_scheduled=False)


def test_without_schedules_a_run_at_the_apply_time_promotes(world: World, aws: Aws) -> None:
    """Row 17: `promotion.schedule: false` deletes the switch, and a notice says when to run `up`."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    world.stack.define([world.definition(promotion={"schedule": False}, distribution=world.distribution())])
    shown = world.stack.up(**at(DAY_10)).ok().output
    assert "no schedule promotes the reserve: run `pulumi up` at 2040-01-31 00:00 UTC" in shown
    assert _switch(aws) == (None, None, None)
    world.forget_calls()
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10), **DOWN).ok()
    assert set(world.aws.calls) == {"DescribeSecret"}
    reserve = world.labels()["RESERVE"]
    world.stack.up(**at(DAY_31), **DOWN).ok()
    labels = world.labels()
    assert labels["AWSCURRENT"] == reserve
    assert labels["RESERVE"] != reserve, "the same run issues and sends the next reserve"
    check_safety(world, is_scheduled=False)


def test_a_region_without_scheduler_gets_the_setting_that_the_warning_names(world: World) -> None:
    """Row 17: without any former schedule, one update warns that schedules may still exist. Then nothing changes."""
    # R36
    world.stack.define([world.definition()])
    assert "set promotion.schedule: false" in world.stack.up(**at(DAY_0), **DOWN).ok().output
    world.stack.define([world.definition(promotion={"schedule": False})])
    shown = world.stack.up(**at(DAY_10), **DOWN).ok().output
    assert "promotion.schedule is false, but schedules, role or queue may still exist" in shown
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10), **DOWN).ok()


def _status(world: World, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the report of `ios-mdm status --json` about the server."""
    done = subprocess.run(
        [sys.executable, "-m", "ios_mdm", "status", f"Pulumi.{world.stack.name}.yaml", "--json"],
        cwd=world.stack.directory,
        env={**world.stack.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    (server,) = json.loads(done.stdout)["servers"]
    found: dict[str, Any] = server
    return found


def test_a_lost_record_of_what_was_sent_is_repaired(world: World, aws: Aws) -> None:
    """A removed tag does not disarm the switch, and the next run can arm it again."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    armed = _switch(aws)
    world.client.untag_resource(SecretId=world.secret, TagKeys=["ios-mdm:sent"])
    shown = world.stack.run("preview", **at(DAY_10)).ok().output
    assert "the record of the sent profile is missing" in shown
    world.stack.up(**at(DAY_10)).ok()
    assert _switch(aws) == armed
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)


@pytest.mark.parametrize(
    ("home", "named"),
    [({"region": "eu-central-1"}, "region eu-central-1"), ({"key": "111122223333"}, "account 111122223333")],
    ids=["another region", "another account"],
)
def test_credentials_for_elsewhere_are_refused_before_any_effect(
    world: World, aws: Aws, home: dict[str, str], named: str
) -> None:
    """Rows 1, 2 and 3: up, refresh, up --refresh and destroy name both places; devices and state do not change.

    The API key is in both places. At commit cda6e65, a second pair was created, and its profile replaced the first one.
    """
    # R33 R37
    with world.elsewhere(**home) as other:
        elsewhere = other.environment
    world.stack.define([world.definition(protect=False, distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before, state = (_switch(aws), world.labels()), world.stack.outputs()
    profiles = {device: world.services.fleet.profiles(device) for device in world.services.fleet.ids()}
    world.forget_calls()
    for command in (("preview",), ("up", "--yes"), ("up", "--yes", "--refresh")):
        refused = world.stack.run(*command, **at(DAY_10), **elsewhere)
        assert refused.code != 0, command
        assert f"the pair of {world.server} is in account" in refused.output, refused.output
        assert named in refused.output
        assert "Traceback" not in refused.output
    world.stack.run("refresh", "--yes", **at(DAY_10), **elsewhere).ok()
    assert world.stack.run("up", "--yes", **at(DAY_10), **elsewhere).code != 0, "no new pair is created after a refresh"
    assert world.aws.writes() == []
    assert (_switch(aws), world.labels()) == before
    assert {device: world.services.fleet.profiles(device) for device in profiles} == profiles
    world.stack.up(**at(DAY_10)).ok()
    world.stack.run("up", "--yes", "--refresh", **at(DAY_10)).ok()
    healed = world.stack.outputs()["servers"][world.server]
    assert {key: healed[key] for key in healed if healed[key] != state["servers"][world.server][key]} == {}
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    world.forget_calls()
    assert world.stack.run("destroy", "--yes", **at(DAY_10), **elsewhere).code != 0
    assert world.aws.writes() == []
    assert (_switch(aws), world.labels()) == before
    check_safety(world)


def test_an_account_that_is_not_allowed_is_refused_before_there_is_state(world: World) -> None:
    """`aws.allowedAccountIds` limits the account of a first run."""  # R33
    world.stack.define([world.definition()], aws={"allowedAccountIds": ["999900001111"]})
    refused = world.stack.up(**at(DAY_0))
    assert refused.code != 0
    assert "aws.allowedAccountIds allows only 999900001111" in refused.output
    assert world.aws.writes() == []


def test_a_lost_pair_is_replaced_only_if_the_definition_names_its_main(world: World) -> None:
    """If a secret was deleted for good, neither up nor refresh and up create a new pair."""  # R33
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    lost = world.stack.outputs()["servers"][world.server]["main"]["sha256"]
    world.client.delete_secret(SecretId=world.secret, ForceDeleteWithoutRecovery=True)
    world.stack.run("refresh", "--yes", **at(DAY_10)).ok()
    refused = world.stack.up(**at(DAY_10))
    assert refused.code != 0
    assert "add to the server `lostMain: " in refused.output
    world.stack.define([world.definition(lostMain="ab" * 32, distribution=world.distribution())])
    wrong = world.stack.up(**at(DAY_10))
    assert wrong.code != 0
    assert "which was not the pair's main" in wrong.output
    world.stack.define([world.definition(lostMain=lost, distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    assert world.stack.outputs()["servers"][world.server]["main"]["sha256"] != lost
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)


def test_a_deleted_reserve_that_an_endpoint_presents_stays_trusted(world: World, tmp_path: Path) -> None:
    """The reserve that an operator put on the server leaves the profile after the server presents main again."""  # R35
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    assert world.offered_certificates() == {1, 2}
    labels = world.labels()
    main, reserve = (world.value(labels[label]) for label in ("AWSCURRENT", "RESERVE"))
    deleted: dict[str, Any] = {"reserve": {"none": True}, "distribution": world.distribution()}
    with serving(reserve, tmp_path) as endpoint:
        world.stack.define([world.definition(**deleted, endpoints=[endpoint])])
        shown = world.stack.up(**at(DAY_10)).ok().output
        assert f"certificate 2 is neither main nor reserve, and stays in the profile: {endpoint} presents it" in shown
        assert set(world.labels()) == {"AWSCURRENT"}
        assert world.offered_certificates() == {1, 2}
        assert _roots(world) == 2
        assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    with serving(main, tmp_path) as endpoint:
        world.stack.define([world.definition(**deleted, endpoints=[endpoint])])
        world.stack.up(**at(DAY_10)).ok()
        assert world.offered_certificates() == {1}
        assert _roots(world) == 1
        assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)


@pytest.mark.parametrize("slot", ["main", "reserve"])
def test_the_devices_that_lose_a_distrusted_certificate_are_named(world: World, tmp_path: Path, slot: str) -> None:
    """A server presents a stolen certificate: preview and up name the devices, and the profile drops the certificate.

    Commit cda6e65 has no `distrust`.
    """
    # R31 R32 R35
    devices, distribution = world.services.fleet.ids(), world.distribution()
    world.stack.define([world.definition(distribution=distribution)])
    world.stack.up(**at(DAY_0)).ok()
    stolen = world.stack.outputs()["servers"][world.server][slot]["sha256"]
    version = world.labels()["AWSCURRENT" if slot == "main" else "RESERVE"]
    changed: dict[str, Any] = {"reserve": {"none": True}}
    until = "the server presents a certificate of the next profile"
    if slot == "main":
        until = "they get the next profile"
        changed = {"main": {"issue": {"key": "ec-p256"}, "replaceNow": True, "confirm": stolen}}
    with serving(world.value(version), tmp_path) as endpoint:
        definition = world.definition(**changed, endpoints=[endpoint], distrust=[stolen], distribution=distribution)
        world.stack.define([definition])
        for command in ("preview", "up"):
            shown = " ".join(world.stack.run(command, *_YES[command], **at(DAY_10)).ok().output.split())
            assert f"which distrust lists: {len(devices)} devices of {world.server} lose their connection" in shown
            assert f"{len(devices)} devices lose their connection until {until}: {', '.join(devices)}" in shown
    world.services.fleet.poll()
    assert _roots(world) == (2 if slot == "main" else 1)
    assert stolen not in {root for roots in world.trusted_roots().values() for root in roots}
    check_safety(world)


_YES = {"preview": (), "up": ("--yes", "--skip-preview")}


def _roots(world: World) -> int:
    """Return the number of certificates in the pair's profile on a device, after it has processed its commands."""
    device = world.services.fleet.ids()[0]
    world.services.fleet.poll([device])
    (profile,) = [one for one in world.services.fleet.profiles(device) if one.identifier == world.profile()]
    return len(profile.roots())


def test_a_run_that_leaves_the_pair_out_does_not_act_on_its_former_definition(world: World) -> None:
    """`--target` of the distribution: a due reserve that the definition deletes is not promoted."""  # R36
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    main = world.labels()["AWSCURRENT"]
    fewer = world.distribution(devices=list(world.services.fleet.ids()[:4]))
    world.stack.define([world.definition(reserve={"none": True}, distribution=fewer)])
    world.stack.up("--target", _urn(world, "ProfileDistribution"), **at(DAY_31)).ok()
    assert world.labels()["AWSCURRENT"] == main
    check_safety(world)


@pytest.mark.parametrize("protect", [True, False])
def test_a_removed_distribution_arms_nothing_that_devices_were_not_sent(
    world: World, aws: Aws, *, protect: bool
) -> None:
    """Devices with a profile of the pair need the reserve before the switch, although no distribution is defined."""
    # R36
    definition = world.definition(reserve={"none": True}, protect=protect, distribution=world.distribution())
    world.stack.define([definition])
    world.stack.up(**at(DAY_0)).ok()
    main = world.labels()["AWSCURRENT"]
    world.stack.define([world.definition(protect=protect)])
    done = world.stack.up(**at(DAY_0))
    assert (done.code != 0) == protect, "the engine does not delete a protected distribution"
    assert (
        "the definition has no distribution: certificate 2 is not sent to them"
        in world.stack.run("preview", **at(DAY_0)).output
    )
    assert aws.schedule() is None
    world.stack.up(**at(DAY_31))
    assert world.labels()["AWSCURRENT"] == main
    world.stack.define([world.definition(protect=protect, distribution=world.distribution())])
    world.stack.up(**at(DAY_31)).ok()
    assert world.labels()["AWSCURRENT"] != main, "sent, and then applied"
    check_safety(world)


def test_a_pair_whose_devices_come_later_is_disarmed_until_they_were_sent_the_reserve(world: World, aws: Aws) -> None:
    """A distribution is added while the MDM server is down: the armed switch is disarmed until the delivery."""  # R36
    world.stack.define([world.definition()])
    world.stack.up(**at(DAY_0)).ok()
    assert aws.schedule() is not None
    down = {"nanomdm": {"url": "http://127.0.0.1:9", "apiKeySecret": "mdm/api-key", "push": False}}
    world.stack.define([world.definition(distribution=world.distribution(channel=down))])
    assert world.stack.up(**at(DAY_10)).code != 0
    assert aws.schedule() is None
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    assert aws.schedule() is not None
    check_safety(world)


def test_a_pair_of_the_same_name_in_another_region_has_another_switch(world: World, aws: Aws) -> None:
    """Roles belong to the account: a second stack in another region neither changes nor deletes that of the first."""
    # R36 R37
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before = _switch(aws)
    trust = aws.iam.get_role(RoleName=aws.role_name)["Role"]["AssumeRolePolicyDocument"]
    other = replace(world.stack, name="other")
    other.run("stack", "init", other.name).ok()
    other.define([world.definition(protect=False)], aws={"region": "eu-central-1"})
    other.up("--stack", other.name, **at(DAY_0)).ok()
    assert aws.iam.get_role(RoleName=aws.role_name)["Role"]["AssumeRolePolicyDocument"] == trust
    other.run("destroy", "--yes", "--stack", other.name, **at(DAY_10)).ok()
    assert _switch(aws) == before
    check_safety(world)


def test_a_destroy_that_fails_keeps_the_switch(world: World, aws: Aws) -> None:
    """AWS refuses to delete the secret: the pair keeps its owner, and schedule, role and queue are kept."""  # R36 R37
    world.stack.define([world.definition(protect=False, distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before, tags = _switch(aws), world.tags()
    world.aws.denied |= {"DeleteSecret"}
    assert world.stack.run("destroy", "--yes", **at(DAY_10)).code != 0
    assert (_switch(aws), world.tags()) == (before, tags)
    world.aws.denied.clear()
    world.stack.up(**at(DAY_10)).ok()
    check_safety(world)


def test_a_reserve_is_not_armed_for_devices_that_were_not_sent_it(world: World, aws: Aws) -> None:
    """After a list was cut and restored while the MDM server is down, the switch stays disarmed until the delivery."""
    # R36
    devices = world.services.fleet.ids()
    world.stack.define([world.definition(reserve={"none": True}, distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    world.stack.define([world.definition(distribution=world.distribution(devices=list(devices[:2])))])
    world.stack.up(**at(DAY_0)).ok()
    assert aws.schedule() is not None, "all devices on the list were sent the reserve"
    down = {"nanomdm": {"url": "http://127.0.0.1:9", "apiKeySecret": "mdm/api-key", "push": False}}
    for _ in range(2):
        world.stack.define([world.definition(distribution=world.distribution(channel=down))])
        assert world.stack.up(**at(DAY_10)).code != 0
        assert aws.schedule() is None
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    assert aws.schedule() is not None
    check_safety(world)
    world.stack.define([world.definition(distribution=world.distribution(devices=list(devices[:4])))])
    world.forget_calls()
    world.stack.up(**at(DAY_10)).ok()
    withdrawn = [call for call in world.aws.calls if call.startswith("DELETE") and "-promote" in call]
    assert not withdrawn, "every device on the list has the profile"
    check_safety(world)
