"""Stand-in for EventBridge Scheduler: makes the call of each one-time schedule that is due by a rehearsal's clock."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from ios_mdm.core.pair.schedule import MOVE_LABEL
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Mapping

_AT = re.compile(r"at\((\S+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FiredSchedule:
    """A schedule that was due.

    Args:
        name: Name of the schedule.
        at: Time of the schedule.
        problem: Reason of a refused call, whose message is in the dead-letter queue, or empty.
    """

    name: str
    at: datetime
    problem: str


class ScheduleError(Exception):
    """A schedule has a target or an expression that this stand-in does not support."""


def client(service: str, url: str) -> Any:  # noqa: ANN401 - the service is a variable here
    """Return a client of the emulator at *url*."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=ministack.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )


def due(url: str, now: datetime) -> tuple[str, ...]:
    """Return the names of the schedules that are due, ordered by time."""
    scheduler = client("scheduler", url)
    # ministack returns the first MaxResults schedules, 100 by default, and no token for the others.
    pages = scheduler.get_paginator("list_schedules").paginate(MaxResults=100_000)
    found = [scheduler.get_schedule(Name=one["Name"]) for page in pages for one in page["Schedules"]]
    scheduler.close()
    moments = sorted((_time(one), one["Name"]) for one in found if one.get("State", "ENABLED") == "ENABLED")
    return tuple(name for moment, name in moments if moment <= now)


def fire(url: str, now: datetime) -> tuple[FiredSchedule, ...]:
    """Make the call of each due schedule, as AWS does, and delete the schedule.

    Args:
        url: URL of the emulator.
        now: Time of the rehearsal, aware.

    Raises:
        ScheduleError: A target is not a move of a label, a queue or a topic.
    """
    scheduler = client("scheduler", url)
    fired = []
    for name in due(url, now):
        schedule = scheduler.get_schedule(Name=name)
        problem = _perform(url, schedule["Target"])
        if schedule.get("ActionAfterCompletion") == "DELETE":
            scheduler.delete_schedule(Name=name)
        fired.append(FiredSchedule(name=name, at=_time(schedule), problem=problem))
    scheduler.close()
    return tuple(fired)


def _perform(url: str, target: Mapping[str, Any]) -> str:
    """Make the stored call. A refused call is sent to the dead-letter queue, as AWS does after its last attempt."""
    arn, content = target["Arn"], target["Input"]
    try:
        if arn == MOVE_LABEL:
            client("secretsmanager", url).update_secret_version_stage(**json.loads(content))
        elif ":sqs:" in arn:
            _send(url, arn, content)
        elif ":sns:" in arn:
            client("sns", url).publish(TopicArn=arn, Message=content)
        else:
            raise ScheduleError(f"the target {arn} is not supported: only moves of labels, queues and topics are")
    except ClientError as error:
        if (queue := target.get("DeadLetterConfig", {}).get("Arn")) is not None:
            _send(url, queue, content)
        return str(error)
    return ""


def _send(url: str, queue: str, content: str) -> None:
    sqs = client("sqs", url)
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"], MessageBody=content)
    sqs.close()


def _time(schedule: Mapping[str, Any]) -> datetime:
    found = _AT.fullmatch(schedule["ScheduleExpression"])
    if found is None or schedule.get("ScheduleExpressionTimezone", "UTC") != "UTC":
        raise ScheduleError(f"{schedule['Name']} is not a one-time schedule in UTC: {schedule['ScheduleExpression']}")
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
