"""EventBridge Scheduler: one-time schedules that act by themselves, each call safe to repeat."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ios_mdm.adapters.aws import ROLE_SECONDS, SCHEDULE, RoleRefusedError
from ios_mdm.core.pair.schedule import RETRIED_FOR, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.type_defs import (
        CreateScheduleInputTypeDef,
        GetScheduleOutputTypeDef,
        TargetTypeDef,
    )
    from tenacity import RetryCallState

    from ios_mdm.adapters.aws import Aws

__all__ = ["EventBridgeScheduler"]

_MOST_AGE_SECONDS = int(RETRIED_FOR.total_seconds())
_MOST_ATTEMPTS = 20
"""For how long, and how often, an outage is outlasted. A late or second move does no harm: it is a compare-and-swap."""
_EXPRESSION = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_NEVER = datetime.min.replace(tzinfo=UTC)
"""Stands for a moment that is no single one: somebody changed the schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBridgeScheduler:
    """A ``Scheduler`` on EventBridge Scheduler, or an emulator of it (``AWS_ENDPOINT_URL``).

    Args:
        aws: the way to AWS.
        sleep: waits for so many seconds.
    """

    aws: Aws
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    @property
    def _client(self) -> EventBridgeSchedulerClient:
        return self.aws.scheduler()

    def get(self, name: str) -> Schedule | None:
        """Return the schedule, None where there is none, or a disabled one.

        One that somebody changed to what is no single moment (a rate, a flexible window, an unknown timezone) reads as
        one at the beginning of time, ``datetime.min``, so that it is never what it should be.
        """
        found = self.aws.answer_unless(
            {"ResourceNotFoundException"},
            "GetSchedule",
            name,
            lambda: self._client.get_schedule(Name=name),
            SCHEDULE,
        )
        if found is None or found.get("State", "ENABLED") != "ENABLED":
            return None
        target = found["Target"]
        return Schedule(
            name=name,
            at=_moment(found),
            target=target["Arn"],
            input=target.get("Input", ""),
            role=target["RoleArn"],
            dead_letter=target.get("DeadLetterConfig", {}).get("Arn"),
        )

    def put(self, schedule: Schedule) -> None:
        """Create the schedule, or replace all of the one of its name.

        A schedule is known by its name, so the call may be repeated: no token of ours is needed for that.

        Raises:
            StoreError: AWS refuses. A refusal of the role is believed after two minutes only, because IAM shows a role
                that was just made some seconds later.
        """
        from tenacity import Retrying, retry_if_exception_type, wait_exponential

        Retrying(
            retry=retry_if_exception_type(RoleRefusedError),
            wait=wait_exponential(multiplier=0.5, max=5),
            stop=_waited_enough,
            sleep=self.sleep,
            reraise=True,
        )(self._put, schedule)

    def delete(self, name: str) -> None:
        """Delete the schedule. One that is gone is left alone."""
        self.aws.answer_unless(
            {"ResourceNotFoundException"},
            "DeleteSchedule",
            name,
            lambda: self._client.delete_schedule(Name=name),
            SCHEDULE,
        )

    def _put(self, schedule: Schedule) -> None:
        target: TargetTypeDef = {
            "Arn": schedule.target,
            "RoleArn": schedule.role,
            "Input": schedule.input,
            "RetryPolicy": {"MaximumEventAgeInSeconds": _MOST_AGE_SECONDS, "MaximumRetryAttempts": _MOST_ATTEMPTS},
        }
        if schedule.dead_letter is not None:
            target["DeadLetterConfig"] = {"Arn": schedule.dead_letter}
        # UpdateSchedule resets every field that it is not given, so both calls say the same.
        request: CreateScheduleInputTypeDef = {
            "Name": schedule.name,
            "ScheduleExpression": f"at({schedule.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "State": "ENABLED",
            "Target": target,
        }
        created = self.aws.answer_unless(
            {"ConflictException"},
            "CreateSchedule",
            schedule.name,
            lambda: self._client.create_schedule(**request),
            SCHEDULE,
        )
        if created is None:
            self.aws.answer("UpdateSchedule", schedule.name, lambda: self._client.update_schedule(**request), SCHEDULE)


def _waited_enough(state: RetryCallState) -> bool:
    return state.idle_for >= ROLE_SECONDS


def _moment(found: GetScheduleOutputTypeDef) -> datetime:
    expression = _EXPRESSION.fullmatch(found["ScheduleExpression"])
    if expression is None or found["FlexibleTimeWindow"]["Mode"] != "OFF":
        return _NEVER
    try:
        zone = ZoneInfo(found.get("ScheduleExpressionTimezone") or "UTC")
        return datetime.fromisoformat(expression[1]).replace(tzinfo=zone).astimezone(UTC)
    except (ZoneInfoNotFoundError, OSError, ValueError, OverflowError):
        return _NEVER
