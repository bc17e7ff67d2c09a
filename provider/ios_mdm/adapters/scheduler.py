"""EventBridge Scheduler: one-time schedules that AWS carries out. Each call can be repeated."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ios_mdm.adapters.aws import ROLE_SECONDS, SCHEDULE, RoleRefusedError
from ios_mdm.core.pair.schedule import RETRY_PERIOD, Schedule
from ios_mdm.core.times import rfc3339

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

_MAX_AGE_SECONDS = int(RETRY_PERIOD.total_seconds())
_MAX_RETRY_ATTEMPTS = 20
"""How long and how often Scheduler repeats a failed call. A late or second move of a label does no harm, because the
move is a compare-and-swap."""
_EXPRESSION = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_NEVER = datetime.min.replace(tzinfo=UTC)
"""Stands for the time of a schedule that was changed and has no single time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBridgeScheduler:
    """A ``Scheduler`` on EventBridge Scheduler, or an emulator of it (``AWS_ENDPOINT_URL``).

    Args:
        aws: access to AWS.
        sleep: waits the given number of seconds.
    """

    aws: Aws
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    @property
    def _client(self) -> EventBridgeSchedulerClient:
        return self.aws.scheduler()

    def get(self, name: str) -> Schedule | None:
        """Return the schedule, or None if it does not exist or is disabled.

        A schedule that was changed and has no single time (a rate, a flexible window, an unknown time zone) has the
        time ``datetime.min``, so that it always differs from the expected schedule.
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
            at=_time(found),
            target=target["Arn"],
            input=target.get("Input", ""),
            role=target["RoleArn"],
            dead_letter=target.get("DeadLetterConfig", {}).get("Arn"),
        )

    def put(self, schedule: Schedule) -> None:
        """Create the schedule, or replace every field of the schedule with this name.

        The call can be repeated without a client token, because the name identifies the schedule.

        Raises:
            StoreError: AWS refuses. If AWS refuses the role, the call is repeated for two minutes, because Scheduler
                sees a new role some seconds after IAM created it.
        """
        from tenacity import Retrying, retry_if_exception_type, wait_exponential

        Retrying(
            retry=retry_if_exception_type(RoleRefusedError),
            wait=wait_exponential(multiplier=0.5, max=5),
            stop=_has_waited_enough,
            sleep=self.sleep,
            reraise=True,
        )(self._put, schedule)

    def delete(self, name: str) -> None:
        """Delete the schedule. A schedule that does not exist is no error."""
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
            "RetryPolicy": {"MaximumEventAgeInSeconds": _MAX_AGE_SECONDS, "MaximumRetryAttempts": _MAX_RETRY_ATTEMPTS},
        }
        if schedule.dead_letter is not None:
            target["DeadLetterConfig"] = {"Arn": schedule.dead_letter}
        # UpdateSchedule resets every field that the request lacks, so both calls send the same request.
        request: CreateScheduleInputTypeDef = {
            "Name": schedule.name,
            "ScheduleExpression": f"at({rfc3339(schedule.at).removesuffix('Z')})",
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


def _has_waited_enough(state: RetryCallState) -> bool:
    return state.idle_for >= ROLE_SECONDS


def _time(found: GetScheduleOutputTypeDef) -> datetime:
    expression = _EXPRESSION.fullmatch(found["ScheduleExpression"])
    if expression is None or found["FlexibleTimeWindow"]["Mode"] != "OFF":
        return _NEVER
    try:
        zone = ZoneInfo(found.get("ScheduleExpressionTimezone") or "UTC")
        return datetime.fromisoformat(expression[1]).replace(tzinfo=zone).astimezone(UTC)
    except (ZoneInfoNotFoundError, OSError, ValueError, OverflowError):
        return _NEVER
