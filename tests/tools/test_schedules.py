"""The stand-in for EventBridge Scheduler: it makes the stored call of a schedule that is due."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ios_mdm.core.pair.schedule import MOVE_LABEL
from tools.services import schedules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.services.testing import MdmServices

AT = datetime(2040, 1, 31, tzinfo=UTC)


@pytest.fixture
def url(mdm_services: MdmServices) -> str:
    """URL of the emulator."""
    return mdm_services.services.aws_url


@pytest.fixture
def queue(url: str) -> Iterator[tuple[Any, str, str]]:
    """A new queue: client, URL and ARN."""
    sqs = schedules.client("sqs", url)
    address = sqs.create_queue(QueueName=f"q{uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    yield sqs, address, arn
    sqs.close()


def create_schedule(url: str, target: str, content: str, dead_letter: str) -> str:
    """Create a schedule; return its name."""
    name = f"s{uuid4().hex[:8]}"
    scheduler = schedules.client("scheduler", url)
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression=f"at({AT:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": target,
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "Input": content,
            "DeadLetterConfig": {"Arn": dead_letter},
        },
    )
    scheduler.close()
    return name


def received_messages(queue: tuple[Any, str, str]) -> list[str]:
    """Return the messages in a queue."""
    found = queue[0].receive_message(QueueUrl=queue[1], MaxNumberOfMessages=10).get("Messages", [])
    return [one["Body"] for one in found]


def test_a_schedule_fires_once_at_its_time(url: str, queue: tuple[Any, str, str]) -> None:
    """At its time, not earlier, the message is in the queue, and the schedule is deleted."""
    name = create_schedule(url, queue[2], '{"alarm": "overdue"}', queue[2])
    assert name not in schedules.due(url, AT - timedelta(seconds=1))
    assert name in [one.name for one in schedules.fire(url, AT)]
    assert received_messages(queue) == ['{"alarm": "overdue"}']
    assert name not in schedules.due(url, AT + timedelta(days=1))


def test_more_schedules_than_one_page_are_due(url: str, queue: tuple[Any, str, str]) -> None:
    """The emulator returns 100 schedules by default, and no token for the others."""
    planned_names = {create_schedule(url, queue[2], "{}", queue[2]) for _ in range(101)}
    assert planned_names <= set(schedules.due(url, AT))
    scheduler = schedules.client("scheduler", url)
    for name in planned_names:
        scheduler.delete_schedule(Name=name)
    scheduler.close()


def test_a_refused_call_goes_to_the_dead_letter_queue(url: str, queue: tuple[Any, str, str]) -> None:
    """If AWS refuses a move of a label, nothing changes, and the queue has a message."""  # R11
    call = json.dumps({"SecretId": "ios-mdm/never-was", "VersionStage": "AWSCURRENT", "MoveToVersionId": "x" * 36})
    name = create_schedule(url, MOVE_LABEL, call, queue[2])
    (fired,) = [one for one in schedules.fire(url, AT) if one.name == name]
    assert "ResourceNotFoundException" in fired.problem
    assert received_messages(queue) == [call]


def test_another_target_is_an_error(url: str, queue: tuple[Any, str, str]) -> None:
    """The call of an unknown target is not made."""
    name = create_schedule(url, "arn:aws:lambda:eu-west-1:000000000000:function:f", "{}", queue[2])
    with pytest.raises(schedules.ScheduleError, match="lambda"):
        schedules.fire(url, AT)
    scheduler = schedules.client("scheduler", url)
    scheduler.delete_schedule(Name=name)
    scheduler.close()
