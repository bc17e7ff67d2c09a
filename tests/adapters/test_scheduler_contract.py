"""The common contract of all schedulers: in memory, both emulators and, opt-in, a real account.

On a real account (``IOS_MDM_TEST_REAL_AWS=1``) nothing fires, because all times are in 2040. Everything is
deleted afterwards.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from ios_mdm.adapters.aws import ROLE_SECONDS
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.core.pair.schedule import Kind, Schedule, alarm_schedule, promotion_schedule
from ios_mdm.core.pair.schedule_role import role_policy, role_trust
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.switch import Alarm, Promote
from ios_mdm.errors import StoreError
from tests.support.aws import AWS
from tests.support.aws_errors import Answer
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from tests.support.backends import SwitchBackend

SCHEDULE_TIME = datetime(2040, 3, 1, 12, 0, 30, tzinfo=UTC)
OLD, NEW = "0b7f2d4e-0000-5000-8000-000000000001", "0b7f2d4e-0000-5000-8000-000000000002"
UNKNOWN_ROLE = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."


def arn(service: str, resource: str) -> str:
    """Return an ARN that no emulator checks."""
    return f"arn:aws:{service}:eu-west-1:111122223333:{resource}"


@pytest.fixture
def schedule(switch_backend: SwitchBackend) -> Schedule:
    """Return a promotion with its role and queue that is not scheduled yet."""
    made = switch_backend.prerequisites
    queue = made.ensure_queue(switch_backend.stem)
    # On a real account, Scheduler checks the role, but only its trust policy.
    _, partition, _, region, account, *_ = queue.split(":")
    secret = f"arn:{partition}:secretsmanager:{region}:{account}:secret:{switch_backend.stem}-AbCdEf"
    role = made.ensure_role(
        switch_backend.stem,
        trust=role_trust(secret),
        policy=role_policy(secret, dead_letter=queue, alarm=None),
        boundary=None,
    )
    promote = Promote(at=SCHEDULE_TIME, certificate=2, version=NEW, former_version=OLD)
    return promotion_schedule(promote, name=switch_backend.stem, secret_arn=secret, role=role, dead_letter=queue)


def client(service: str) -> Any:
    """Return a client of the emulator that the environment names."""
    return boto3.client(service, endpoint_url=AWS.endpoint(), region_name=ministack.REGION)


@pytest.fixture
def raw(emulated: SwitchBackend) -> Any:
    """Return the emulator's client of Scheduler, for changes by hand as in the console."""
    del emulated
    return client("scheduler")


def some_schedule() -> Schedule:
    """Return a schedule with a unique name."""
    return Schedule(
        name=f"ios-mdm-test-{uuid4().hex[:20]}",
        at=SCHEDULE_TIME,
        target=arn("sqs", "alarms"),
        input="{}",
        role=arn("iam", "role/switch").replace("eu-west-1", ""),
        dead_letter=arn("sqs", "dead-letters"),
    )


def test_there_is_no_schedule_of_an_unknown_name(switch_backend: SwitchBackend) -> None:
    """A schedule that has fired or was deleted is None and no error."""
    assert switch_backend.scheduler.get(switch_backend.stem) is None


def test_a_stored_schedule_is_read_back(switch_backend: SwitchBackend, schedule: Schedule) -> None:
    """Every field has the value that was put. The same put again changes nothing."""  # R11
    switch_backend.scheduler.put(schedule)
    assert switch_backend.scheduler.get(schedule.name) == schedule
    switch_backend.scheduler.put(schedule)
    assert switch_backend.scheduler.get(schedule.name) == schedule


def test_a_second_put_replaces_every_field(switch_backend: SwitchBackend, schedule: Schedule) -> None:
    """No value of the former schedule is left, including its dead-letter queue."""  # R9
    switch_backend.scheduler.put(schedule)
    assert schedule.dead_letter is not None
    other = replace(
        schedule,
        at=SCHEDULE_TIME + timedelta(days=40, seconds=1),
        target=schedule.dead_letter,
        input='{"message": "another"}',
        dead_letter=None,
    )
    switch_backend.scheduler.put(other)
    assert switch_backend.scheduler.get(schedule.name) == other


def test_a_deleted_schedule_can_be_deleted_again(switch_backend: SwitchBackend, schedule: Schedule) -> None:
    """`hold` works with and without a schedule."""  # R32
    switch_backend.scheduler.put(schedule)
    switch_backend.scheduler.delete(schedule.name)
    switch_backend.scheduler.delete(schedule.name)
    assert switch_backend.scheduler.get(schedule.name) is None
    switch_backend.scheduler.put(schedule)
    assert switch_backend.scheduler.get(schedule.name) == schedule


def test_the_message_of_an_alarm_survives(switch_backend: SwitchBackend, schedule: Schedule) -> None:
    """Quotes, braces and non-ASCII letters of the definition are not changed."""
    assert schedule.dead_letter is not None
    alarm = Alarm(at=SCHEDULE_TIME, message='berlin: "Zürich" <aws.scheduler.execution-id> {x: 1}, run `pulumi up`')
    wanted = alarm_schedule(
        alarm,
        kind=Kind.OVERDUE,
        name=schedule.name,
        server="berlin",
        target=schedule.dead_letter,
        role=schedule.role,
        dead_letter=None,
    )
    switch_backend.scheduler.put(wanted)
    assert switch_backend.scheduler.get(schedule.name) == wanted


def test_a_stale_firing_is_refused_and_changes_nothing(switch_backend: SwitchBackend, schedule: Schedule) -> None:
    """The stored call moves the label once. It fails if it is repeated, or after another promotion."""  # R11 R32
    store, secret = switch_backend.store, switch_backend.stem
    store.create(secret, tags={}, description="a pair", kms_key=None)

    def holder(label: Label) -> list[str]:
        found = store.describe(secret)
        assert found is not None
        return [version for version, labels in found.labels.items() if label in labels]

    for version in (OLD, NEW):
        store.put(secret, version, "{}")
    if holder(Label.MAIN) != [OLD]:  # ministack puts no label on a first version
        store.move_label(secret, Label.MAIN, to=OLD, current=None)
    switch_backend.scheduler.put(schedule)
    stored = switch_backend.scheduler.get(schedule.name)
    assert stored is not None
    call = json.loads(stored.input) | {"SecretId": secret}

    def fire() -> None:
        if switch_backend.name == "memory":
            store.move_label(
                secret, call["VersionStage"], to=call["MoveToVersionId"], current=call["RemoveFromVersionId"]
            )
        else:
            AWS.secrets_manager().update_secret_version_stage(**call)

    fire()
    assert (holder(Label.MAIN), holder(Label.FORMER)) == ([NEW], [OLD])
    with suppress(StoreError, ClientError):
        fire()
    assert (holder(Label.MAIN), holder(Label.FORMER)) == ([NEW], [OLD])
    third = "0b7f2d4e-0000-5000-8000-000000000003"
    store.put(secret, third, "{}")
    store.move_label(secret, Label.MAIN, to=third, current=NEW)
    with pytest.raises((StoreError, ClientError)):
        fire()
    assert (holder(Label.MAIN), holder(Label.FORMER)) == ([third], [NEW])


def test_a_schedule_fires_once_at_its_time_and_is_deleted(raw: Any) -> None:
    """The schedule has no flexible window, is in UTC, is deleted after it fired, and is repeated during an outage."""
    wanted = some_schedule()
    EventBridgeScheduler(aws=AWS).put(wanted)
    found = raw.get_schedule(Name=wanted.name, GroupName="default")
    assert found["ScheduleExpression"] == "at(2040-03-01T12:00:30)"
    assert found["ScheduleExpressionTimezone"] == "UTC"
    assert found["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert found["ActionAfterCompletion"] == "DELETE"
    assert found["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 21600, "MaximumRetryAttempts": 20}


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"ScheduleExpressionTimezone": "Europe/Berlin"}, SCHEDULE_TIME - timedelta(hours=1)),
        ({"ScheduleExpressionTimezone": "Nowhere/Town"}, None),
        ({"ScheduleExpressionTimezone": "../../etc/passwd"}, None),
        ({"ScheduleExpression": "at(2041-01-01T00:00:00)"}, datetime(2041, 1, 1, tzinfo=UTC)),
        ({"ScheduleExpression": "at(2040-02-31T00:00:00)"}, None),
        ({"ScheduleExpression": "rate(1 day)"}, None),
        ({"ScheduleExpression": "cron(0 12 * * ? *)"}, None),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440}}, None),
    ],
)
def test_a_change_by_hand_is_seen_and_put_right(raw: Any, change: dict[str, Any], at: datetime | None) -> None:
    """A changed time is another time and no error. None stands for a schedule without a single time."""  # R11
    wanted, scheduler = some_schedule(), EventBridgeScheduler(aws=AWS)
    scheduler.put(wanted)
    found = raw.get_schedule(Name=wanted.name)
    kept = {
        key: found[key]
        for key in ("Name", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
    }
    raw.update_schedule(**kept | change)
    assert scheduler.get(wanted.name) == replace(wanted, at=at or datetime.min.replace(tzinfo=UTC))
    scheduler.put(wanted)
    assert scheduler.get(wanted.name) == wanted


def test_a_disabled_schedule_counts_as_none_and_is_enabled(raw: Any) -> None:
    """A schedule that is disabled in the console does not fire, so it is repaired like a missing schedule."""  # R11
    wanted, scheduler = some_schedule(), EventBridgeScheduler(aws=AWS)
    scheduler.put(wanted)
    found = raw.get_schedule(Name=wanted.name)
    kept = {key: found[key] for key in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    raw.update_schedule(**kept, State="DISABLED")
    assert scheduler.get(wanted.name) is None
    scheduler.put(wanted)
    assert scheduler.get(wanted.name) == wanted
    assert raw.get_schedule(Name=wanted.name)["State"] == "ENABLED"


def test_an_alarm_reaches_its_queue(no_aws: pytest.MonkeyPatch, ministack_url: str) -> None:
    """The queue gets the whole message, and then the schedule is deleted. Only ministack fires schedules."""
    no_aws.setenv("AWS_ENDPOINT_URL", ministack_url)
    for variable, value in ministack.CREDENTIALS.items():
        no_aws.setenv(variable, value)
    sqs, scheduler, name = client("sqs"), EventBridgeScheduler(aws=AWS), some_schedule().name
    answer = sqs.create_queue(QueueName=name)
    told = sqs.get_queue_attributes(QueueUrl=answer["QueueUrl"], AttributeNames=["QueueArn"])["Attributes"]
    assert scheduler.get(name) is None  # the client is created before the time is read
    soon = SecretsManager(aws=AWS).time() + timedelta(seconds=3)  # the emulator's clock decides, not the test's
    wanted = alarm_schedule(
        Alarm(at=soon, message="berlin: nothing was done"),
        kind=Kind.OVERDUE,
        name=name,
        server="berlin",
        target=told["QueueArn"],
        role=some_schedule().role,
        dead_letter=None,
    )
    scheduler.put(wanted)
    messages: list[Any] = []
    for _ in range(3):
        messages = messages or sqs.receive_message(QueueUrl=answer["QueueUrl"], WaitTimeSeconds=20).get("Messages", [])
    assert [json.loads(message["Body"]) for message in messages] == [json.loads(wanted.input)]
    assert scheduler.get(name) is None


def refusing(no_aws: pytest.MonkeyPatch, code: str, message: str, *, times: int) -> list[str]:
    """Let AWS refuse CreateSchedule this number of times; return the list that receives the calls."""
    no_aws.setenv("AWS_REGION", "eu-west-1")
    no_aws.setenv("AWS_ACCESS_KEY_ID", "test")
    no_aws.setenv("AWS_SECRET_ACCESS_KEY", "test")
    calls: list[str] = []

    def answer(model: Any, **_rest: object) -> tuple[Any, dict[str, object]]:
        calls.append(model.name)
        if len(calls) > times:
            return Answer(200), {"ScheduleArn": "arn"}
        return Answer(400), {"Error": {"Code": code, "Message": message}}

    replace(AWS, region="eu-west-1").scheduler().meta.events.register("before-call.scheduler", answer)  # type: ignore[arg-type]
    return calls


def test_a_role_that_is_not_known_yet_is_waited_for(no_aws: pytest.MonkeyPatch) -> None:
    """Scheduler sees a new role some seconds after IAM created it."""
    calls = refusing(no_aws, "ValidationException", UNKNOWN_ROLE, times=4)
    waited: list[float] = []
    EventBridgeScheduler(aws=replace(AWS, region="eu-west-1"), sleep=waited.append).put(some_schedule())
    assert calls == ["CreateSchedule"] * 5
    assert waited == [0.5, 1.0, 2.0, 4.0]


def test_a_role_that_is_never_known_is_reported_after_two_minutes(no_aws: pytest.MonkeyPatch) -> None:
    """An existing role of the user might lack the trust policy. The error names the setting in one line."""
    refusing(no_aws, "ValidationException", UNKNOWN_ROLE, times=1000)
    waited: list[float] = []
    with pytest.raises(
        StoreError, match=r"Allow scheduler\.amazonaws\.com in the trust policy of promotion\.roleArn"
    ) as caught:
        EventBridgeScheduler(aws=replace(AWS, region="eu-west-1"), sleep=waited.append).put(some_schedule())
    assert ROLE_SECONDS <= sum(waited) < ROLE_SECONDS + 5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("ValidationException", "Provided Arn is not in correct format.", r"Provided Arn is not in correct format\)"),
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: iam:PassRole on resource: y",
            r"pass the role of this schedule to Scheduler \(x is not authorized .*\)\. Allow iam:PassRole on that role",
        ),
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: scheduler:CreateSchedule",
            r"Allow scheduler:CreateSchedule on this schedule to these credentials, and",
        ),
        ("ServiceQuotaExceededException", "Quota.", r"AWS reports ServiceQuotaExceededException \(Quota\)"),
    ],
)
def test_any_other_refusal_is_reported_immediately(
    no_aws: pytest.MonkeyPatch, code: str, message: str, expected: str
) -> None:
    """The error is one line with the schedule and the advice, without a wait."""
    calls, wanted = refusing(no_aws, code, message, times=1000), some_schedule()
    waited: list[float] = []
    with pytest.raises(StoreError, match=expected) as caught:
        EventBridgeScheduler(aws=replace(AWS, region="eu-west-1"), sleep=waited.append).put(wanted)
    assert str(caught.value).startswith(f'CreateSchedule on schedule "{wanted.name}" failed: ')
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert (calls, waited) == (["CreateSchedule"], [])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_memory_can_die_at_every_write(moment: Literal["before", "after"]) -> None:
    """A crash before a write changes nothing, and a crash after it changes everything. Crash tests rely on this."""

    def at(operation: str) -> Callable[[str, Literal["before", "after"]], None]:
        def fail(called: str, when: Literal["before", "after"]) -> None:
            if (called, when) == (operation, moment):
                raise ConnectionError(called)

        return fail

    scheduler, made = MemoryScheduler(), MemoryPrerequisites()
    writes: dict[str, tuple[Callable[[], object], Callable[[], bool]]] = {
        "ensure_queue": (lambda: made.ensure_queue("q"), lambda: "q" in made.queues),
        "ensure_role": (
            lambda: made.ensure_role("r", trust="{}", policy="{}", boundary=None),
            lambda: "r" in made.roles,
        ),
        "put_schedule": (lambda: scheduler.put(replace(some_schedule(), name="s")), lambda: "s" in scheduler.schedules),
        "delete_schedule": (lambda: scheduler.delete("s"), lambda: "s" not in scheduler.schedules),
        "delete_role": (lambda: made.delete_role("r"), lambda: "r" not in made.roles),
        "delete_queue": (lambda: made.delete_queue("q"), lambda: "q" not in made.queues),
    }
    for operation, (write, done) in writes.items():
        scheduler.fail = made.fail = at(operation)
        with pytest.raises(ConnectionError):
            write()
        assert done() is (moment == "after")
        scheduler.fail = made.fail = None
        write()
        assert done()
