"""The hooks of ``CertificatePair`` and the switch that belongs to it, on a real AWS emulator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ios_mdm.adapters import aws
from ios_mdm.core.pair.layout import ARMED_TAG, GATE_TAG, RESOURCE_ID_TAG, SENT_TAG, sent_value
from ios_mdm.core.pair.schedule import Kind, name_stem, role_name, schedule_names
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.dynamic_provider import Engine

QUEUE = f"arn:aws:sqs:{ministack.REGION}:000000000000:alarms"


def _client(engine: Engine, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=engine.aws.target,
        region_name=ministack.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - an emulator takes any
    )


class Scheduled:
    """The schedules of one pair."""

    def __init__(self, engine: Engine) -> None:
        self.client = _client(engine, "scheduler")
        self.names = schedule_names(engine.program["server"], engine.program["secret"])

    def kinds(self) -> set[Kind]:
        """Return the kinds of schedules that exist."""
        return {kind for kind, name in self.names.items() if self._exists(name)}

    def _exists(self, name: str) -> bool:
        try:
            self.client.get_schedule(Name=name)
        except self.client.exceptions.ResourceNotFoundException:
            return False
        return True


@pytest.fixture
def scheduled(engine: Engine) -> Iterator[Scheduled]:
    """Return the schedules of the engine's pair."""
    found = Scheduled(engine)
    yield found
    found.client.close()


def test_the_pair_arms_its_switch_with_alarms_only_if_they_have_a_target(engine: Engine, scheduled: Scheduled) -> None:
    """Without alarmArn, no alarm is an output or a schedule. With alarmArn, alarms are both."""  # R11
    engine.up()
    assert engine.outputs is not None
    assert engine.outputs["switch"].keys() == {"promote"}
    assert scheduled.kinds() == {Kind.PROMOTE}
    engine.program["definition"]["promotion"] = {"alarmArn": QUEUE}
    assert engine.up() == "update"
    assert engine.outputs["switch"].keys() == {"promote", "overdue", "expiry"}
    assert scheduled.kinds() == set(Kind)
    assert engine.up() == "unchanged"


def test_a_reserve_that_devices_were_not_sent_is_not_armed(engine: Engine, scheduled: Scheduled) -> None:
    """The record in the secret decides. The alarms report overdue actions and are armed at once."""  # R36
    engine.program["distributed"] = True
    engine.program["definition"]["promotion"] = {"alarmArn": QUEUE}
    engine.up()
    assert scheduled.kinds() == {Kind.OVERDUE, Kind.EXPIRY}
    assert engine.up() == "unchanged", "a promotion that must not be armed yet is no drift"
    secrets = _client(engine, "secretsmanager")
    secrets.tag_resource(SecretId=engine.program["secret"], Tags=[{"Key": SENT_TAG, "Value": sent_value([1, 2])}])
    assert engine.up() == "update", "a reserve that was sent but is not armed is drift"
    assert scheduled.kinds() == set(Kind)
    assert engine.up() == "unchanged"
    secrets.close()


def test_the_pair_waits_for_the_recorded_decision_of_its_gate(engine: Engine, scheduled: Scheduled) -> None:
    """The block of the desired state names the gate, and a decision that was recorded since then is one update."""
    # R46
    engine.program["definition"] |= {
        "reserve": {"issue": {"when": "now", "apply": {"afterDays": 30}}},
        "promotion": {"minimumCoverage": 95},
    }
    engine.up()
    assert engine.outputs is not None
    devices = "95 % of the devices have proved the reserve (acknowledged it, if distribution.proof is not set)"
    assert engine.outputs["desired"]["gate"].startswith(f"closed until {devices}, at the latest")
    gate, closed = engine.outputs["switch"]["promote"]["gate"], engine.outputs["applyAt"]
    assert closed == gate["latest"]
    assert engine.up() == "unchanged"
    secrets = _client(engine, "secretsmanager")
    secrets.tag_resource(
        SecretId=engine.program["secret"], Tags=[{"Key": GATE_TAG, "Value": "2 open 20260101T000000Z"}]
    )
    assert engine.up() == "update"
    assert engine.outputs["desired"]["gate"] == f"open: at least {devices}"
    assert engine.outputs["applyAt"] == gate["early"]
    assert scheduled.kinds() == {Kind.PROMOTE}
    assert engine.up() == "unchanged"
    secrets.close()


DAMAGES = {
    "role": "the role {role} is missing",
    "policy": "the policy of the role {role} is missing",
    "trust": "the trust policy of the role {role} differs",
    "queue": "the queue {stem}-dead-letters is missing",
}


def _names(engine: Engine) -> tuple[str, str]:
    """Return the prefix of the names of the schedules and the queue, and the name of the role."""
    server, secret = engine.program["server"], engine.program["secret"]
    return name_stem(server, secret), role_name(server, secret, ministack.REGION)


def _damage(engine: Engine, part: str) -> None:
    """Change or delete a part of the switch by hand, as in the console."""
    name, role = _names(engine)
    iam, sqs = _client(engine, "iam"), _client(engine, "sqs")
    if part == "trust":
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Deny", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))
    elif part == "queue":
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"{name}-dead-letters")["QueueUrl"])
    else:
        iam.delete_role_policy(RoleName=role, PolicyName="switch")
        if part == "role":
            iam.delete_role(RoleName=role)
    iam.close()
    sqs.close()


@pytest.mark.parametrize("part", DAMAGES)
def test_the_needs_of_the_switch_are_repaired(engine: Engine, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` and `read` report the part, one update repairs it, and the schedule is not written again."""  # R36
    engine.up()
    _damage(engine, part)
    expected = DAMAGES[part].format(stem=_names(engine)[0], role=_names(engine)[1])
    engine.aws.calls.clear()
    assert engine.outputs is not None
    engine.provider.read(engine.id, engine.outputs)
    assert f"the switch differs from its definition; `up` repairs it: {expected}" in capsys.readouterr().err
    assert engine.aws.writes() == []
    assert engine.up() == "update"
    assert expected in capsys.readouterr().err
    assert not [call for call in engine.aws.writes() if call.startswith(("POST /schedules", "PUT /schedules"))]
    assert engine.up() == "unchanged"


def test_the_switch_is_repaired_although_the_last_run_reached_another_decision_than_its_check(engine: Engine) -> None:
    """Diff compares the decision with the reached decision and finds no change, so the check must find the drift."""
    # R36
    engine.up()
    engine.up()
    assert engine.inputs is not None
    engine.inputs["desired"] = {**engine.inputs["desired"], "reason": "another one"}
    _damage(engine, "queue")
    assert engine.up() == "update"
    assert engine.up() == "unchanged"


def test_a_previewer_without_rights_in_iam_and_sqs_gets_a_warning(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The unchecked parts are one notice, and no drift."""  # R36
    engine.up()
    engine.aws.denied |= {"GetRole", "GetQueueUrl"}
    capsys.readouterr()
    assert engine.up() == "unchanged"
    (line,) = capsys.readouterr().err.splitlines()
    assert "some parts of the switch could not be checked" in line
    assert "GetRole" in line
    assert "GetQueueUrl" in line


def test_a_check_reads_no_more_than_it_needs(engine: Engine) -> None:
    """Schedule, role, policy and queue are each read once. On hold, only the secret is read."""  # R36
    engine.up()
    engine.aws.calls.clear()
    assert engine.up() == "unchanged"
    name = name_stem(engine.program["server"], engine.program["secret"])
    reads = ["DescribeSecret", f"GET /schedules/{name}-promote", "GetQueueUrl", "GetRole", "GetRolePolicy"]
    assert sorted(engine.aws.calls) == sorted(reads)
    engine.program["definition"]["promotion"] = {"hold": True}
    assert engine.up() == "update"
    engine.aws.calls.clear()
    assert engine.up() == "unchanged"
    assert engine.aws.calls == ["DescribeSecret"]


def test_without_schedules_all_of_the_switch_is_deleted(engine: Engine, scheduled: Scheduled) -> None:
    """`promotion.schedule: false` deletes everything, and later runs call neither Scheduler nor IAM nor SQS."""  # R36
    engine.up()
    engine.program["definition"]["promotion"] = {"schedule": False}
    assert engine.up() == "update"
    assert scheduled.kinds() == set()
    assert engine.outputs is not None
    assert (engine.outputs["roleArn"], engine.outputs["deadLetterArn"]) == (None, None)
    secrets = _client(engine, "secretsmanager")
    tags = {tag["Key"] for tag in secrets.describe_secret(SecretId=engine.program["secret"])["Tags"]}
    secrets.close()
    assert ARMED_TAG not in tags
    engine.aws.calls.clear()
    engine.program["aws"]["tags"] = {"team": "mdm"}
    assert engine.up() == "update"
    assert engine.up() == "unchanged"
    engine.provider.delete(engine.id, engine.outputs)
    others = ("Role", "Queue", "/schedules")
    assert not [call for call in engine.aws.calls if any(word in call for word in others)]


def test_a_role_and_a_queue_stay_until_no_schedule_names_them(
    engine: Engine, scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Scheduler is down, the schedule keeps the created role and queue, even if the definition names others.

    The update that writes the other role and queue to the schedule deletes the created ones.
    """
    # R36
    engine.up()
    name, made = _names(engine)
    mine, iam, sqs = f"mine-{name}", _client(engine, "iam"), _client(engine, "sqs")
    role = iam.create_role(RoleName=mine, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    queue = QUEUE.replace("alarms", mine)
    sqs.create_queue(QueueName=mine)
    engine.program["definition"]["promotion"] = {"roleArn": role, "deadLetterArn": queue}
    monkeypatch.setenv("AWS_ENDPOINT_URL_SCHEDULER", "http://127.0.0.1:9")
    aws.close_clients()
    for _ in range(2):
        engine.up()
        assert iam.get_role(RoleName=made)
        assert sqs.get_queue_url(QueueName=f"{name}-dead-letters")
    assert engine.outputs is not None
    assert engine.outputs["roleArn"].endswith(made)
    monkeypatch.delenv("AWS_ENDPOINT_URL_SCHEDULER")
    aws.close_clients()
    assert engine.up() == "update"
    target = scheduled.client.get_schedule(Name=scheduled.names[Kind.PROMOTE])["Target"]
    assert (target["RoleArn"], target["DeadLetterConfig"]["Arn"]) == (role, queue)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName=made)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=f"{name}-dead-letters")
    assert engine.up() == "unchanged"
    iam.close()
    sqs.close()


def _existing_resources(engine: Engine) -> set[str]:
    """Return whether the created role and the created queue of the engine's pair exist."""
    name, role = _names(engine)
    iam, sqs = _client(engine, "iam"), _client(engine, "sqs")
    found = {"role"} if role in {one["RoleName"] for one in iam.list_roles(PathPrefix="/ios-mdm/")["Roles"]} else set()
    if sqs.list_queues(QueueNamePrefix=f"{name}-").get("QueueUrls"):
        found.add("queue")
    iam.close()
    sqs.close()
    return found


def _own(engine: Engine) -> dict[str, Any]:
    """Return settings with an existing role and queue of the user."""
    mine, iam, sqs = f"mine-{_names(engine)[0]}", _client(engine, "iam"), _client(engine, "sqs")
    role = iam.create_role(RoleName=mine, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    sqs.create_queue(QueueName=mine)
    iam.close()
    sqs.close()
    return {"roleArn": role, "deadLetterArn": QUEUE.replace("alarms", mine)}


@pytest.fixture
def scheduler_is_down(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Return a function that makes Scheduler fail, or answer again."""

    def set_down(is_down: bool) -> None:  # noqa: FBT001 - the fixture's only argument
        if is_down:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SCHEDULER", "http://127.0.0.1:9")
        else:
            monkeypatch.delenv("AWS_ENDPOINT_URL_SCHEDULER")
        aws.close_clients()

    yield set_down
    aws.close_clients()


def test_a_destroy_during_the_replacement_of_role_and_queue_deletes_both(
    engine: Engine, scheduled: Scheduled, scheduler_is_down: Callable[[bool], None]
) -> None:
    """The definition names others, but the last update has left the created role and queue."""  # R36 R37
    engine.up()
    engine.program["definition"]["promotion"] = _own(engine)
    scheduler_is_down(True)
    engine.up()
    assert _existing_resources(engine) == {"role", "queue"}
    scheduler_is_down(False)
    assert engine.outputs is not None
    engine.provider.delete(engine.id, engine.outputs)
    assert (scheduled.kinds(), _existing_resources(engine)) == (set(), set())


def _lose_state(engine: Engine) -> None:
    """Remove the resource from the state, and let the definition take over its pair."""
    assert engine.outputs is not None
    engine.program["definition"]["takeOver"] = engine.outputs["pairId"]
    engine.inputs = engine.outputs = None


def test_a_take_over_without_schedules_deletes_the_switch_of_the_lost_state(
    engine: Engine, scheduled: Scheduled, scheduler_is_down: Callable[[bool], None]
) -> None:
    """The names of the switch follow from the pair. A part that Scheduler does not delete is deleted later."""
    # R34 R36
    engine.program["definition"]["promotion"] = {"alarmArn": QUEUE}
    engine.up()
    assert (scheduled.kinds(), _existing_resources(engine)) == (set(Kind), {"role", "queue"})
    _lose_state(engine)
    engine.program["definition"]["promotion"] = {"schedule": False}
    scheduler_is_down(True)
    assert engine.up() == "create"
    assert _existing_resources(engine) == {"role", "queue"}
    scheduler_is_down(False)
    engine.program["aws"]["tags"] = {"team": "mdm"}
    assert engine.up() == "update"
    assert (scheduled.kinds(), _existing_resources(engine)) == (set(), set())
    assert engine.up() == "unchanged"


def test_a_take_over_with_another_role_and_queue_deletes_those_of_the_lost_state(engine: Engine) -> None:
    """The schedules then name the other role and queue."""  # R34 R36
    engine.up()
    _lose_state(engine)
    engine.program["definition"]["promotion"] = _own(engine)
    assert engine.up() == "create"
    assert _existing_resources(engine) == set()
    assert engine.up() == "unchanged"


@pytest.mark.parametrize("ends", ["update", "delete"])
def test_a_take_over_while_scheduler_is_down_deletes_role_and_queue_later(
    engine: Engine, scheduled: Scheduled, scheduler_is_down: Callable[[bool], None], ends: str
) -> None:
    """The schedule of the lost state still names its role and queue, which the next update or `destroy` deletes."""
    # R34 R36
    engine.up()
    _lose_state(engine)
    engine.program["definition"]["promotion"] = _own(engine)
    scheduler_is_down(True)
    assert engine.up() == "create"
    assert _existing_resources(engine) == {"role", "queue"}
    scheduler_is_down(False)
    if ends == "update":
        assert engine.up() == "update"
        assert scheduled.kinds() == {Kind.PROMOTE}
        assert engine.up() == "unchanged"
    else:
        assert engine.outputs is not None
        engine.provider.delete(engine.id, engine.outputs)
        assert scheduled.kinds() == set()
    assert _existing_resources(engine) == set()


def test_a_deleted_pair_leaves_no_schedule_and_a_foreign_one_all_of_them(engine: Engine, scheduled: Scheduled) -> None:
    """Delete removes the switch and the secret of its pair. It removes nothing of a pair that was taken over."""  # R37
    engine.up()
    secrets = _client(engine, "secretsmanager")
    secret = engine.program["secret"]
    secrets.tag_resource(SecretId=secret, Tags=[{"Key": RESOURCE_ID_TAG, "Value": "cd" * 16}])
    assert engine.outputs is not None
    engine.provider.delete(engine.id, engine.outputs)
    assert scheduled.kinds() == {Kind.PROMOTE}
    assert "DeletedDate" not in secrets.describe_secret(SecretId=secret)
    secrets.tag_resource(SecretId=secret, Tags=[{"Key": RESOURCE_ID_TAG, "Value": engine.outputs["resourceId"]}])
    engine.provider.delete(engine.id, engine.outputs)
    assert scheduled.kinds() == set()
    assert "DeletedDate" in secrets.describe_secret(SecretId=secret)
    secrets.close()


def test_state_keeps_the_path_of_the_class_in_plain_text(engine: Engine) -> None:
    """The path is no secret, and encrypting it would cost more time than everything else."""
    assert engine.provider.serialize_as_secret_always is False


def test_a_queue_of_another_account_is_refused(engine: Engine) -> None:
    """The check refuses it, so the preview does, too. Nothing is written."""  # R36
    engine.program["definition"]["promotion"] = {"alarmArn": QUEUE.replace("000000000000", "999988887777")}
    (reason,) = engine.failures()
    assert "promotion.alarmArn: arn:aws:sqs:eu-west-1:999988887777:alarms is in account 999988887777" in reason
    assert engine.aws.writes() == []


def test_a_queue_that_does_not_exist_is_a_warning(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """The program might create the queue in the same run. Each run reads it once."""  # R36
    missing = QUEUE.replace("alarms", f"none-{engine.program['server']}")
    engine.program["definition"]["promotion"] = {"alarmArn": missing}
    reads = []
    for run in ("1", "1", "2"):
        engine.program["run"] = run
        engine.aws.calls.clear()
        engine.checked_inputs()
        reads.append(engine.aws.calls.count("GetQueueUrl"))
        assert f"promotion.alarmArn: {missing} does not exist" in capfd.readouterr().err
    assert reads == [1, 0, 1]
