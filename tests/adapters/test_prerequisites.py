"""The role and the queue of a switch are created, found, repaired and deleted."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ios_mdm.adapters import aws
from ios_mdm.adapters.aws import ROLE_SECONDS
from ios_mdm.adapters.prerequisites import AwsPrerequisites
from ios_mdm.core.pair.schedule import queue_arn, role_arn
from ios_mdm.core.pair.schedule_role import role_policy, role_trust
from ios_mdm.errors import StoreError
from tests.support.aws import AWS
from tests.support.aws_errors import Answer
from tests.support.memory_scheduler import MemoryPrerequisites
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.backends import SwitchBackend

SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ios-mdm/berlin-AbCdEf"  # noqa: S105 - a name
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:ios-mdm-berlin-dead-letters"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:alarms"
TRUST = role_trust(SECRET)
POLICY = role_policy(SECRET, dead_letter=QUEUE, alarm=None)
BOUNDARY = "arn:aws:iam::111122223333:policy/boundary"


def put_role(backend: SwitchBackend, *, trust: str = TRUST, policy: str = POLICY, boundary: str | None = None) -> str:
    """Create the role, or update it to these documents."""
    return backend.prerequisites.ensure_role(backend.stem, trust=trust, policy=policy, boundary=boundary)


def client(service: str) -> Any:
    """Return a client of the emulator that the environment names."""
    return boto3.client(service, endpoint_url=AWS.endpoint(), region_name=ministack.REGION)


class Writes:
    """Counts the write calls of an adapter's IAM client."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        events = AWS.iam().meta.events
        events.register("before-call.iam", self)

    def __call__(self, model: Any, **_rest: object) -> None:
        """Count a call."""
        if not model.name.startswith("Get"):
            self.calls.append(model.name)


def test_a_role_is_made_once(switch_backend: SwitchBackend) -> None:
    """The second call finds the role and returns the same ARN."""  # R11
    arn = put_role(switch_backend)
    assert arn.startswith("arn:aws")
    assert arn.endswith(f":role/ios-mdm/{switch_backend.stem}")
    assert put_role(switch_backend) == arn


def test_a_role_is_deleted_and_may_be_deleted_again(switch_backend: SwitchBackend) -> None:
    """The policy is deleted, too. A missing role is no error, and the role can be created again."""
    put_role(switch_backend, boundary=None)
    switch_backend.prerequisites.delete_role(switch_backend.stem)
    switch_backend.prerequisites.delete_role(switch_backend.stem)
    put_role(switch_backend)


def test_a_queue_is_made_once_and_deleted_for_good(switch_backend: SwitchBackend) -> None:
    """The second call finds the queue. A deletion can be repeated."""
    prerequisites, name = switch_backend.prerequisites, switch_backend.stem
    arn = prerequisites.ensure_queue(name)
    assert arn.startswith("arn:aws")
    assert arn.endswith(f":{name}")
    assert prerequisites.ensure_queue(name) == arn
    prerequisites.delete_queue(name)
    prerequisites.delete_queue(name)


def test_correct_resources_are_not_written(emulated: SwitchBackend) -> None:
    """Documents are compared as JSON and not as text, so the second `up` only reads."""  # R30
    writes = Writes()
    put_role(emulated, boundary=BOUNDARY)
    assert writes.calls == ["CreateRole", "PutRolePolicy"]
    writes.calls.clear()
    put_role(
        emulated,
        trust=json.dumps(json.loads(TRUST), indent=2),
        policy=json.dumps(json.loads(POLICY), indent=2),
        boundary=BOUNDARY,
    )
    assert writes.calls == []


def test_a_role_is_made_with_what_it_needs_and_no_more(emulated: SwitchBackend) -> None:
    """The role has the trust policy, one inline policy, the boundary, and the tag that marks it."""
    put_role(emulated, boundary=BOUNDARY)
    iam, name = client("iam"), emulated.stem
    role = iam.get_role(RoleName=name)["Role"]
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert role["Tags"] == [{"Key": "ios-mdm", "Value": "switch"}]
    assert role["Path"] == "/ios-mdm/"
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["switch"]
    assert iam.get_role_policy(RoleName=name, PolicyName="switch")["PolicyDocument"] == json.loads(POLICY)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []


def test_a_changed_role_is_brought_back(emulated: SwitchBackend) -> None:
    """Trust, policy and boundary are written once more after a change by hand or in the definition."""  # R11
    put_role(emulated)
    iam, name, writes = client("iam"), emulated.stem, Writes()
    iam.update_assume_role_policy(
        RoleName=name, PolicyDocument=TRUST.replace("scheduler.amazonaws.com", "lambda.amazonaws.com")
    )
    iam.delete_role_policy(RoleName=name, PolicyName="switch")
    alarmed = role_policy(SECRET, dead_letter=QUEUE, alarm=TOPIC)
    put_role(emulated, policy=alarmed, boundary=BOUNDARY)
    assert sorted(writes.calls) == ["PutRolePermissionsBoundary", "PutRolePolicy", "UpdateAssumeRolePolicy"]
    role = iam.get_role(RoleName=name)["Role"]
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert iam.get_role_policy(RoleName=name, PolicyName="switch")["PolicyDocument"] == json.loads(alarmed)
    other = BOUNDARY.replace("boundary", "another")
    put_role(emulated, policy=alarmed, boundary=other)
    assert iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == other
    put_role(emulated, policy=alarmed, boundary=None)
    assert "PermissionsBoundary" not in iam.get_role(RoleName=name)["Role"]


def problems(backend: SwitchBackend, **changes: Any) -> tuple[str, ...]:
    """Return the differences of the role."""
    wanted: dict[str, Any] = {"trust": TRUST, "policy": POLICY, "boundary": None, **changes}
    return backend.prerequisites.role_problems(backend.stem, **wanted)


def test_differences_of_a_role_are_named(switch_backend: SwitchBackend) -> None:
    """A missing role and each part that differs are reported. A correct role has no problem."""  # R36
    name = switch_backend.stem
    assert problems(switch_backend) == (f"the role {name} is missing",)
    arn = put_role(switch_backend)
    assert problems(switch_backend) == ()
    assert problems(switch_backend, trust=json.dumps(json.loads(TRUST), indent=2)) == ()
    other = role_trust(SECRET.replace("eu-west-1", "eu-west-2"))
    assert problems(switch_backend, trust=other) == (f"the trust policy of the role {name} differs",)
    alarmed = role_policy(SECRET, dead_letter=QUEUE, alarm=TOPIC)
    assert problems(switch_backend, policy=alarmed) == (f"the policy of the role {name} differs",)
    assert problems(switch_backend, boundary=BOUNDARY) == (f"the permissions boundary of the role {name} differs",)
    if switch_backend.name != "memory":
        assert arn == role_arn(f"arn:aws:secretsmanager:eu-west-1:{arn.split(':')[4]}:secret:x", name)


def test_a_missing_queue_is_seen(switch_backend: SwitchBackend) -> None:
    """The ARN of the queue follows from its name, the account and the region."""  # R36
    prerequisites, name = switch_backend.prerequisites, switch_backend.stem
    assert not prerequisites.queue_exists(name)
    arn = prerequisites.ensure_queue(name)
    assert prerequisites.queue_exists(name)
    _, _, _, region, account, _ = arn.split(":")
    assert arn == queue_arn(f"arn:aws:secretsmanager:{region}:{account}:secret:x", name)


def test_a_check_writes_nothing(emulated: SwitchBackend) -> None:
    """A deleted policy and a role that was not created here are problems, too."""  # R36
    put_role(emulated)
    iam, name, writes = client("iam"), emulated.stem, Writes()
    iam.delete_role_policy(RoleName=name, PolicyName="switch")
    assert problems(emulated) == (f"the policy of the role {name} is missing",)
    iam.untag_role(RoleName=name, TagKeys=["ios-mdm"])
    assert problems(emulated) == (
        f"the role {name} was not created here (it needs the path /ios-mdm/ and the tag ios-mdm=switch)",
    )
    assert writes.calls == []


@pytest.mark.parametrize(
    ("times", "exists", "waits", "problem"),
    [
        (3, False, [0.5, 1.0, 2.0], None),
        (1000, False, [0.5, 1.0, 2.0, 4.0, 5.0], "access denied"),
        (1000, True, [], "access denied"),
    ],
    ids=["for some seconds", "for good", "existing role"],
)
def test_a_denial_is_believed_later_if_the_role_was_just_created(
    emulated: SwitchBackend, times: int, *, exists: bool, waits: list[float], problem: str | None
) -> None:
    """A policy with the path of the roles denies a request for a role whose path IAM does not know yet."""  # R36
    refused: list[str] = []

    def answer(**_rest: object) -> tuple[Answer, dict[str, object]] | None:
        if len(refused) == times:
            return None
        refused.append("PutRolePolicy")
        return Answer(403), {"Error": {"Code": "AccessDenied", "Message": "because no identity-based policy allows it"}}

    if exists:
        put_role(emulated)
    events: Any = AWS.iam().meta.events
    events.register("before-call.iam.PutRolePolicy", answer)
    waited: list[float] = []
    prerequisites = AwsPrerequisites(aws=AWS, sleep=waited.append)
    wanted = role_policy(SECRET, dead_letter=QUEUE, alarm=TOPIC)
    try:
        with nullcontext() if problem is None else pytest.raises(StoreError, match=problem):
            prerequisites.ensure_role(emulated.stem, trust=TRUST, policy=wanted, boundary=None)
    finally:
        events.unregister("before-call.iam.PutRolePolicy", answer)
    assert waited == waits


@pytest.mark.parametrize("times", [3, 1000])
def test_a_role_that_iam_does_not_know_yet_is_waited_for(emulated: SwitchBackend, times: int) -> None:
    """IAM answers PutRolePolicy with NoSuchEntity for some seconds after it created the role."""  # R36
    refused: list[str] = []

    def answer(**_rest: object) -> tuple[Answer, dict[str, object]] | None:
        if len(refused) == times:
            return None
        refused.append("PutRolePolicy")
        return Answer(404), {"Error": {"Code": "NoSuchEntity", "Message": "The role cannot be found."}}

    events: Any = AWS.iam().meta.events
    events.register("before-call.iam.PutRolePolicy", answer)
    waited: list[float] = []
    prerequisites = AwsPrerequisites(aws=AWS, sleep=waited.append)
    try:
        if times == 3:
            prerequisites.ensure_role(emulated.stem, trust=TRUST, policy=POLICY, boundary=None)
            assert waited == [0.5, 1.0, 2.0]
        else:
            with pytest.raises(StoreError, match="IAM does not know the role"):
                prerequisites.ensure_role(emulated.stem, trust=TRUST, policy=POLICY, boundary=None)
            assert ROLE_SECONDS <= sum(waited) < ROLE_SECONDS + 5
    finally:
        events.unregister("before-call.iam.PutRolePolicy", answer)
    if times == 3:
        problems = prerequisites.role_problems(emulated.stem, trust=TRUST, policy=POLICY, boundary=None)
        assert problems == ()


def test_a_role_without_its_policy_is_finished(emulated: SwitchBackend) -> None:
    """The next run continues after a run that stopped between the two writes, also in a deletion."""
    put_role(emulated)
    iam, name = client("iam"), emulated.stem
    iam.delete_role_policy(RoleName=name, PolicyName="switch")
    put_role(emulated)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["switch"]
    iam.delete_role_policy(RoleName=name, PolicyName="switch")
    emulated.prerequisites.delete_role(name)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName=name)


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        ("/ios-mdm/", []),
        ("/ios-mdm/", [{"Key": "ios-mdm", "Value": "another"}]),
        ("/", [{"Key": "ios-mdm", "Value": "switch"}]),
        ("/ios-mdm/teams/", [{"Key": "ios-mdm", "Value": "switch"}]),
    ],
)
def test_a_role_of_another_program_is_not_touched(
    emulated: SwitchBackend, path: str, tags: list[dict[str, str]]
) -> None:
    """A role of this name is neither changed nor deleted, and the error has the advice.

    Names of roles are unique in an account, whatever their paths.
    """
    iam, name = client("iam"), emulated.stem
    trust = TRUST.replace("scheduler.amazonaws.com", "lambda.amazonaws.com")
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust, Tags=tags)
    writes = Writes()
    with pytest.raises(StoreError, match=f'"{name}" exists and was not created here .* promotion.roleArn'):
        put_role(emulated)
    emulated.prerequisites.delete_role(name)
    assert writes.calls == []
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == json.loads(trust)


def test_the_queue_keeps_messages_for_two_weeks_encrypted(emulated: SwitchBackend) -> None:
    """A failed call of a schedule must still be visible after a holiday."""
    emulated.prerequisites.ensure_queue(emulated.stem)
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=emulated.stem)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["MessageRetentionPeriod"] == "1209600"
    assert found["SqsManagedSseEnabled"] == "true"


def test_memory_compares_as_aws_does() -> None:
    """An unchanged role or queue is not written in memory either."""
    prerequisites = MemoryPrerequisites()
    for indent in (None, 2):
        prerequisites.ensure_role(
            "role", trust=json.dumps(json.loads(TRUST), indent=indent), policy=POLICY, boundary=None
        )
        prerequisites.ensure_queue("queue")
    assert prerequisites.calls == [("ensure_role", "role"), ("ensure_queue", "queue")]


@pytest.mark.parametrize(
    ("code", "operation", "kind", "expected"),
    [
        ("AccessDenied", "CreateRole", aws.ROLE, r"Allow iam:CreateRole on this role to .* promotion\.roleArn, and"),
        ("AccessDenied", "PutRolePolicy", aws.ROLE, r"Allow iam:PutRolePolicy on this role .* promotion\.roleArn"),
        ("AccessDenied", "DeleteRole", aws.ROLE, r"Allow iam:DeleteRole on this role to these credentials, and"),
        (
            "EntityAlreadyExists",
            "CreateRole",
            aws.ROLE,
            r"another run created a role of this name at the same time\. Run again",
        ),
        (
            "AccessDeniedException",
            "CreateQueue",
            aws.QUEUE,
            r"Allow sqs:CreateQueue on this queue to .* promotion\.deadLetterArn",
        ),
        ("AWS.SimpleQueueService.QueueDeletedRecently", "CreateQueue", aws.QUEUE, r"Wait a minute, and run again"),
        ("DeleteConflict", "DeleteRole", aws.ROLE, r"AWS reports DeleteConflict \(because\)"),
        ("LimitExceeded", "CreateRole", aws.ROLE, r"AWS reports LimitExceeded \(because\)"),
    ],
)
def test_a_refusal_names_the_permission_and_the_way_around_it(
    code: str, operation: str, kind: aws.Kind, expected: str
) -> None:
    """A user without the permission to create roles can name an existing role."""

    def refused() -> None:
        raise ClientError({"Error": {"Code": code, "Message": "because"}}, operation)

    call: Callable[[], None] = refused
    with pytest.raises(StoreError, match=expected) as caught:
        AWS.answer(operation, "ios-mdm-berlin", call, kind)
    assert str(caught.value).startswith(f'{operation} on {kind.noun} "ios-mdm-berlin" failed: ')
    assert caught.value.__context__ is None
