"""The automatic switch with the real engine: it is scheduled, withdrawn, repaired, and found completed."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from ios_mdm.core.pair.schedule import Kind, name_stem
from tests.support.days import DAY_0, DAY_10, DAY_31, at
from tests.support.engine_aws import client
from tests.support.stack import make_stack, recording_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import World
    from tests.support.engine_aws import Aws
    from tests.support.stack import Stack

DAY_30 = "2040-01-31T00:00:00Z"


def test_an_up_schedules_the_switch_and_a_second_one_writes_nothing(world: World, aws: Aws) -> None:
    """The schedule moves AWSCURRENT by compare-and-swap, with a role that has no other permission."""  # R11 R30
    world.stack.define([world.definition(distribution=world.distribution())])
    shown = world.stack.up(**at(DAY_0)).ok().output
    assert "scheduled for 2040-01-31 00:00 UTC: certificate 2 becomes main" in shown
    found = aws.schedule()
    assert found is not None
    assert found["ScheduleExpression"] == "at(2040-01-31T00:00:00)"
    labels = world.labels()
    call = json.loads(found["Target"]["Input"])
    assert (call["MoveToVersionId"], call["RemoveFromVersionId"]) == (labels["RESERVE"], labels["AWSCURRENT"])
    assert call["VersionStage"] == "AWSCURRENT"
    assert found["Target"]["RoleArn"] == aws.role()
    assert found["Target"]["DeadLetterConfig"]["Arn"].endswith(f"{name_stem(aws.server, aws.secret)}-dead-letters")
    assert found["ActionAfterCompletion"] == "DELETE"
    assert world.stack.outputs()["servers"][world.server]["promotion"]["roleArn"] == aws.role()
    world.acknowledge(DAY_0)
    world.forget_calls()
    assert re.search(r"Resources:\n +4 unchanged\n", world.stack.run("up", "--yes", **at(DAY_10)).ok().output)
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    assert world.aws.writes() == []


def test_the_schedule_follows_the_definition(world: World, aws: Aws) -> None:
    """Another apply time moves the schedule and issues nothing. Hold removes it, even while the MDM server is down."""
    # R9 R11
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    serials = _serials(world.stack, world.server)
    later = {"issue": {"when": "now", "apply": {"afterDays": 40}}}
    world.stack.define([world.definition(reserve=later, distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    found = aws.schedule()
    assert found is not None
    assert found["ScheduleExpression"] == "at(2040-02-10T00:00:00)"
    assert _serials(world.stack, world.server) == serials
    down = {"nanomdm": {"url": "http://127.0.0.1:9", "apiKeySecret": "mdm/api-key", "push": False}}
    profile = {"identifier": f"com.example.{world.server}.trust", "organization": "Another"}
    broken = world.distribution(channel=down, profile=profile)
    world.stack.define([world.definition(reserve=later, promotion={"hold": True}, distribution=broken)])
    assert world.stack.up(**at(DAY_10)).code != 0
    assert aws.schedule() is None, "hold works while the MDM server is down"
    world.stack.define([world.definition(reserve=later, distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    assert aws.schedule() is not None


def _serials(stack: Stack, server: str) -> dict[str, str]:
    shown = stack.outputs()["servers"][server]
    return {slot: shown[slot]["serialNumber"] for slot in ("main", "reserve")}


@pytest.mark.parametrize("damage", ["deleted", "moved"])
def test_a_schedule_that_was_changed_by_hand_is_repaired_once(world: World, aws: Aws, damage: str) -> None:
    """One update with a warning that names the schedule; then nothing changes."""  # R11 R30
    world.stack.define([world.definition()])
    world.stack.up(**at(DAY_0)).ok()
    before = aws.schedule()
    assert before is not None
    if damage == "deleted":
        aws.scheduler.delete_schedule(Name=before["Name"])
    else:
        kept = {key: before[key] for key in ("Name", "Target", "FlexibleTimeWindow")}
        aws.scheduler.update_schedule(**kept, ScheduleExpression="at(2040-01-05T00:00:00)")
    preview = world.stack.run("preview", **at(DAY_10)).ok().output
    assert f"the switch differs from its definition; `up` repairs it: the schedule {before['Name']}" in preview
    world.stack.up(**at(DAY_10)).ok()
    after = aws.schedule()
    assert after is not None
    assert after["ScheduleExpression"] == before["ScheduleExpression"]
    assert after["Target"] == before["Target"]
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()


def test_up_finds_the_promotion_done_and_starts_the_next_cycle(world: World, aws: Aws) -> None:
    """After the schedule has acted, `up` updates labels, issues a reserve, sends the profile, and schedules again."""
    # R11 R12 R17
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    before = world.labels()
    aws.fire(world)
    fired = world.labels()
    assert fired["AWSCURRENT"] == fired["RESERVE"] == before["RESERVE"]
    due = world.stack.run("preview", "--expect-no-changes", **at(DAY_31))
    assert due.code != 0, "a pipeline that expects no changes fails"
    world.stack.up(**at(DAY_31)).ok()
    labels = world.labels()
    assert labels["AWSCURRENT"] == before["RESERVE"]
    assert labels["AWSPREVIOUS"] == before["AWSCURRENT"]
    assert labels["RESERVE"] not in before.values()
    assert "STAGED" not in labels
    found = aws.schedule()
    assert found is not None
    call = json.loads(found["Target"]["Input"])
    assert (call["MoveToVersionId"], call["RemoveFromVersionId"]) == (labels["RESERVE"], labels["AWSCURRENT"])
    shown = world.stack.outputs()["servers"][world.server]
    assert (shown["main"]["certificate"], shown["reserve"]["certificate"]) == ("certificate 2", "certificate 3")
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_31)).ok()


def test_a_stale_schedule_changes_nothing(world: World, aws: Aws) -> None:
    """AWS refuses the call of a schedule that acts after `up` has promoted, or acts twice."""  # R11 R32
    world.stack.define([world.definition()])
    world.stack.up(**at(DAY_0)).ok()
    stale = aws.schedule()
    assert stale is not None
    world.stack.up(**at(DAY_31)).ok()
    labels = world.labels()
    with pytest.raises(world.client.exceptions.ClientError):
        world.client.update_secret_version_stage(**json.loads(stale["Target"]["Input"]))
    assert world.labels() == labels


def test_a_deleted_reserve_leaves_nothing_that_would_promote_it(world: World, aws: Aws) -> None:
    """`none: true` withdraws the schedule with the reserve."""  # R10 R32
    world.stack.define([world.definition()])
    world.stack.up(**at(DAY_0)).ok()
    assert aws.schedule() is not None
    world.stack.define([world.definition(reserve={"none": True})])
    shown = world.stack.up(**at(DAY_10)).ok().output
    assert "the promotion that was scheduled for 2040-01-31 00:00 UTC is withdrawn" in shown
    assert aws.schedule() is None
    assert "RESERVE" not in world.labels()


def test_destroy_leaves_no_schedule_no_role_and_no_queue(world: World, aws: Aws) -> None:
    """The resources of the switch are deleted with the stack."""  # R30
    world.stack.define([world.definition(protect=False)])
    world.stack.up(**at(DAY_0)).ok()
    assert aws.role() is not None
    assert aws.queue() is not None
    world.stack.run("destroy", "--yes", **at(DAY_10)).ok()
    assert (aws.schedule(), aws.role(), aws.queue()) == (None, None, None)


def test_a_given_role_and_a_given_queue_are_used_and_left_unchanged(world: World, aws: Aws) -> None:
    """With ARNs in the definition, no role or queue is created, and former ones are deleted."""  # R11
    world.stack.define([world.definition(protect=False)])
    world.stack.up(**at(DAY_0)).ok()
    own = aws.sqs.create_queue(QueueName=f"own-{world.server}")["QueueUrl"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=own, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    role = aws.iam.create_role(RoleName=f"own-{world.server}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    promotion = {"roleArn": role, "deadLetterArn": arn, "alarmArn": arn}
    world.stack.define([world.definition(protect=False, promotion=promotion)])
    world.stack.up(**at(DAY_0)).ok()
    for kind in Kind:
        found = aws.schedule(kind)
        assert found is not None
        assert (found["Target"]["RoleArn"], found["Target"]["DeadLetterConfig"]["Arn"]) == (role, arn)
    assert (aws.role(), aws.queue()) == (None, None)
    world.stack.run("destroy", "--yes", **at(DAY_10)).ok()
    assert [aws.schedule(kind) for kind in Kind] == [None, None, None]
    assert role in {one["Arn"] for one in aws.iam.list_roles()["Roles"]}


def test_alarms_are_armed_for_what_is_due_next_and_armed_again(world: World, aws: Aws) -> None:
    """Alarms act three days after the next due time. An `up` sets them again only if it does what was due."""
    # R5 R11
    queue = aws.sqs.create_queue(QueueName=f"alarms-{world.server}")["QueueUrl"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    automatic = world.definition(reserve=None, promotion={"alarmArn": arn})
    world.stack.define([automatic])
    world.stack.up(**at(DAY_0)).ok()
    # Main expires on 2041-01-31 23:55 UTC; its reserve is due 60 days before, and the window begins 30 days before.
    assert _schedule_expression(aws.schedule(Kind.OVERDUE)) == "at(2040-12-05T23:55:00)"
    assert _schedule_expression(aws.schedule(Kind.EXPIRY)) == "at(2041-01-01T23:55:00)"
    assert aws.schedule() is None
    world.forget_calls()
    world.stack.run("up", "--yes", **at("2040-11-01T00:00:00Z")).ok()
    assert world.aws.writes() == []
    world.stack.up(**at("2040-12-03T00:00:00Z")).ok()
    assert _schedule_expression(aws.schedule()) == "at(2041-01-30T23:55:00)"
    assert _schedule_expression(aws.schedule(Kind.OVERDUE)) == "at(2041-02-02T23:55:00)"
    assert _schedule_expression(aws.schedule(Kind.EXPIRY)) == "at(2041-12-04T23:55:00)", (
        "the expiry of the reserve, minus 30 days"
    )
    found = aws.schedule(Kind.OVERDUE)
    assert found is not None
    assert json.loads(found["Target"]["Input"])["server"] == world.server


def _schedule_expression(found: dict[str, Any] | None) -> str | None:
    return None if found is None else str(found["ScheduleExpression"])


def test_the_day_something_is_due_is_seen_in_the_preview(world: World) -> None:
    """State and reason change in the preview, and `--expect-no-changes` ends with an error code."""  # R30
    world.stack.define([world.definition(reserve=None)])
    world.stack.up(**at(DAY_0)).ok()
    assert world.stack.run("preview", "--expect-no-changes", **at("2040-12-01T00:00:00Z")).ok()
    preview = world.stack.run("preview", "--diff", "--expect-no-changes", **at("2040-12-03T00:00:00Z"))
    assert preview.code != 0
    assert re.search(r'phase *: "steady" => "overlap"', preview.output), preview.output
    assert re.search(r'reserve *: "none" => "certificate 2"', preview.output)
    assert "minutes before main expires" in preview.output


def test_a_saved_plan_that_went_stale_is_refused(world: World) -> None:
    """A due time passed between plan and `up`: the engine refuses, and nothing is written."""  # R30
    world.stack.define([world.definition()])
    world.stack.up(**at(DAY_0)).ok()
    world.stack.run("preview", "--save-plan", "plan.json", PULUMI_EXPERIMENTAL="true", **at(DAY_10)).ok()
    world.forget_calls()
    stale = world.stack.up("--plan", "plan.json", PULUMI_EXPERIMENTAL="true", **at(DAY_31))
    assert stale.code != 0
    assert "violates plan" in stale.output
    assert world.aws.writes() == []
    fresh = world.stack.run("preview", "--save-plan", "plan.json", PULUMI_EXPERIMENTAL="true", **at(DAY_31))
    fresh.ok()
    world.stack.up("--plan", "plan.json", PULUMI_EXPERIMENTAL="true", **at(DAY_31)).ok()
    assert world.stack.outputs()["servers"][world.server]["main"]["certificate"] == "certificate 2"


@pytest.mark.parametrize("due", ["first run", "reserve", "another main", "promotion"])
def test_a_saved_plan_is_carried_out_to_its_end(world: World, due: str) -> None:
    """Preview does not know the chains of certificates that `up` issues. The plan allows them, so `up` succeeds."""
    # R9 R15 R30
    reserve = {"issue": {"when": "auto"} if due == "reserve" else {"when": "now", "apply": {"afterDays": 30}}}
    definition = world.definition(reserve=reserve, distribution=world.distribution())
    moment = {"reserve": "2040-12-03T00:00:00Z", "promotion": DAY_31}.get(due, DAY_0)
    world.stack.define([definition])
    if due != "first run":
        world.stack.up(**at(DAY_0)).ok()
    if due == "another main":
        sha256 = world.stack.outputs()["servers"][world.server]["main"]["sha256"]
        again = {**definition["main"], "replaceNow": True, "confirm": sha256}
        world.stack.define([{**definition, "main": again}])
    plan = {"PULUMI_EXPERIMENTAL": "true", **at(moment)}
    world.stack.run("preview", "--save-plan", "plan.json", **plan).ok()
    ended = world.stack.up("--plan", "plan.json", **plan)
    if due == "first run":  # the pair's id, which ends the identifier of the profile, is random
        assert "violates plan" in ended.output
        ended = world.stack.up(**plan)
    ended.ok()
    if due != "another main":  # only the next run shows it as main
        world.stack.run("preview", "--expect-no-changes", **plan).ok()


def test_a_lost_connection_names_the_devices(world: World) -> None:
    """Main expired without a reserve: the output names the devices to re-enroll, and the next steps."""  # R13
    world.stack.define([world.definition(reserve={"none": True}, distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    late = at("2041-03-01T00:00:00Z")
    lost = world.stack.run("preview", **late).ok().output
    assert "raise main.issue.generation to 2" in lost
    assert "every device must get its management profile reinstalled" in lost
    for device in world.services.fleet.ids():
        assert device in lost
    again = {"issue": {"key": "ec-p256", "generation": 2}}
    world.stack.define([world.definition(main=again, reserve={"none": True}, distribution=world.distribution())])
    assert "reinstalled" in world.stack.up(**late).ok().output
    assert world.stack.outputs()["servers"][world.server]["main"]["certificate"] == "certificate 2"


@contextmanager
def _emulator(kind: str, world: World) -> Iterator[str]:
    if kind == "ministack":
        yield world.services.services.aws_url
        return
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


@pytest.mark.parametrize("emulator", ["ministack", "moto"])
@pytest.mark.parametrize("moment", [DAY_0, DAY_31], ids=["creation", "promotion"])
def test_two_runs_at_the_same_time_end_in_one_pair(world: World, tmp_path: Path, emulator: str, moment: str) -> None:
    """Two engines make the same run concurrently: one pair with one owner results, and its next run changes nothing."""
    # R11 R32 R34
    with _emulator(emulator, world) as target, recording_proxy(target) as proxy:
        proxy.keeps_versions = True
        url = proxy.url
        stacks = []
        server = world.definition(name=f"s{uuid4().hex[:8]}")
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            stacks.append(make_stack(tmp_path / name, url))
            stacks[-1].define([server])
        if moment != DAY_0:
            # Two states have one pair, as if the lock of the stack failed.
            stacks[0].up(**at(DAY_0)).ok()
            for part in ("backend", f"project/Pulumi.{stacks[0].name}.yaml"):
                _copy(tmp_path / "a" / part, tmp_path / "b" / part)
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda stack: stack.up(**at(moment)), stacks))
        for result in results:
            assert "Traceback" not in result.output
        for stack, result in zip(stacks, results, strict=True):
            if result.code != 0:  # the other run won; this one reports it and continues in the next run
                assert re.search("run again|takeOver: ", result.output), result.output
                if moment != DAY_0:
                    stack.up(**at(moment)).ok()
        quiet = [stack for stack in stacks if stack.run("preview", "--expect-no-changes", **at(moment)).code == 0]
        # Two first runs result in one pair, which belongs to the stack that claimed it last.
        assert len(quiet) == (2 if moment != DAY_0 else 1)
        shown = [stack.outputs()["servers"][server["name"]] for stack in quiet]
        assert len({(one["main"]["sha256"], one["reserve"]["sha256"]) for one in shown}) == 1
        expected = ("certificate 1", "certificate 2") if moment == DAY_0 else ("certificate 2", "certificate 3")
        assert (shown[0]["main"]["certificate"], shown[0]["reserve"]["certificate"]) == expected
        found = client("secretsmanager", url).describe_secret(SecretId=f"ios-mdm/{server['name']}")
        # moto lists a label twice on a version if it was put there twice.
        holders = [label for labels in found["VersionIdsToStages"].values() for label in set(labels)]
        assert sorted(holders) == sorted(set(holders)), "each label is on one version"


def test_a_run_that_races_the_schedule_ends_well(world: World, aws: Aws) -> None:
    """The schedule acts while `up` promotes: the second of the two finds the promotion completed."""  # R11
    world.stack.define([world.definition()])
    world.stack.up(**at(DAY_0)).ok()
    stale = aws.schedule()
    assert stale is not None
    call = json.loads(stale["Target"]["Input"])
    before = world.labels()

    def fire_until_done() -> None:
        while world.labels()["AWSCURRENT"] == before["AWSCURRENT"]:
            try:
                world.client.update_secret_version_stage(**call)
            except world.client.exceptions.ClientError:
                return

    with ThreadPoolExecutor(1) as pool:
        firing = pool.submit(fire_until_done)
        result = world.stack.up(**at(DAY_31))
        firing.result(timeout=120)
    if result.code != 0:
        assert "run again" in result.output.lower(), result.output
    world.stack.up(**at(DAY_31)).ok()
    labels = world.labels()
    assert (labels["AWSCURRENT"], labels["AWSPREVIOUS"]) == (before["RESERVE"], before["AWSCURRENT"])
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_31)).ok()


def test_the_previewer_needs_no_write_and_no_value(world: World) -> None:
    """On a day with a due change, a preview reads public data only."""  # R29 R30
    world.stack.define([world.definition()])
    world.stack.up(**at(DAY_0)).ok()
    world.forget_calls()
    world.stack.run("preview", **at(DAY_31)).ok()
    assert world.aws.calls
    assert world.aws.writes() == []
    assert "GetSecretValue" not in world.aws.calls
