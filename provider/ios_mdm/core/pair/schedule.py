"""The one-time schedules of EventBridge Scheduler for a pair: their names, targets and inputs.

A promotion schedule calls ``UpdateSecretVersionStage``, so no process has to run at the apply time (R11). The call
names the version that loses the label. If a schedule is out of date, or fires twice, the call fails without effect.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.secret import Label

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.observed import ArmedPromotion
    from ios_mdm.core.pair.switch import Alarm, Promote

__all__ = [
    "MOVE_LABEL",
    "RETRY_PERIOD",
    "ROLE_PATH",
    "Kind",
    "Schedule",
    "alarm_schedule",
    "has_ended",
    "is_for_promotion",
    "name_stem",
    "promotion_schedule",
    "queue_arn",
    "queue_name",
    "role_arn",
    "role_name",
    "schedule_names",
]

MOVE_LABEL = "arn:aws:scheduler:::aws-sdk:secretsmanager:updateSecretVersionStage"
"""ARN of the universal target that moves a label, in the commercial partition."""

RETRY_PERIOD = timedelta(hours=6)
"""Time for which Scheduler retries a call that fails."""

ROLE_PATH = "/ios-mdm/"
"""IAM path of the roles that are created for schedules.

The deployer's policies allow changes under this path only. A pattern of names, `role/ios-mdm-*`, also matches other
roles, for example the role of a pipeline. With such a pattern, the deployer can change who may assume those roles.
"""

_STEM = 24


class Kind(StrEnum):
    """Purpose of a schedule. Its name ends with this word."""

    PROMOTE = "promote"
    OVERDUE = "overdue"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A one-time schedule of EventBridge Scheduler.

    Args:
        name: name, at most 64 characters of ``[0-9a-zA-Z-_.]``.
        at: time at which the schedule fires, aware UTC, whole seconds; AWS can be up to a minute late.
        target: ARN of the universal target of an API call, of an SNS topic, or of an SQS queue.
        input: parameters of the call, or the message, as JSON.
        role: ARN of the role that the schedule assumes.
        dead_letter: ARN of the SQS queue for calls that failed; None for no queue.
    """

    name: str
    at: datetime
    target: str
    input: str
    role: str
    dead_letter: str | None


def schedule_names(server: str, secret: str) -> dict[Kind, str]:
    """Return the name of each schedule of the pair in *secret*."""
    return {kind: f"{name_stem(server, secret)}-{kind}" for kind in Kind}


def name_stem(server: str, secret: str) -> str:
    """Return the common prefix of the names of a pair's schedules and queue, at most 43 characters."""
    return _name(server, secret)


def role_name(server: str, secret: str, region: str) -> str:
    """Return the name of the role that is created for the schedules of a pair, at most 43 characters.

    Roles belong to an account and not to a region. So the region is part of the digest, and a pair with the same name
    in another region has another role.
    """
    return _name(server, f"{region}:{secret}")


def _name(server: str, identity: str) -> str:
    return f"ios-mdm-{server[:_STEM].rstrip('-')}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"


def queue_name(server: str, secret: str) -> str:
    """Return the name of the dead-letter queue that is created for the schedules of a pair."""
    return f"{name_stem(server, secret)}-dead-letters"


def queue_arn(secret_arn: str, name: str) -> str:
    """Return the ARN of the queue with this name in the account and region of the secret."""
    _, partition, _, region, account, *_ = secret_arn.split(":")
    return f"arn:{partition}:sqs:{region}:{account}:{name}"


def role_arn(secret_arn: str, name: str) -> str:
    """Return the ARN of the role with this name under :data:`ROLE_PATH` in the account of the secret."""
    _, partition, _, _, account, *_ = secret_arn.split(":")
    return f"arn:{partition}:iam::{account}:role{ROLE_PATH}{name}"


def has_ended(armed: ArmedPromotion, now: datetime) -> bool:
    """Return whether the schedule of a recorded promotion can no longer fire or be retried."""
    return armed.at is not None and now - armed.at >= RETRY_PERIOD


def promotion_schedule(promote: Promote, *, name: str, secret_arn: str, role: str, dead_letter: str | None) -> Schedule:
    """Return the schedule that makes the reserve main, by a compare-and-swap of one label."""
    call = {
        "SecretId": secret_arn,
        "VersionStage": str(Label.MAIN),
        "MoveToVersionId": promote.version,
        "RemoveFromVersionId": promote.former_version,
    }
    partition = secret_arn.split(":")[1]
    return Schedule(
        name=name,
        at=promote.at,
        target=MOVE_LABEL.replace(":aws:", f":{partition}:", 1),
        input=json.dumps(call, sort_keys=True),
        role=role,
        dead_letter=dead_letter,
    )


def is_for_promotion(schedule: Schedule, promote: Promote, secret_arn: str) -> bool:
    """Return whether *schedule* carries out this promotion, with any name, role and dead-letter queue."""
    wanted = promotion_schedule(
        promote, name=schedule.name, secret_arn=secret_arn, role=schedule.role, dead_letter=schedule.dead_letter
    )
    return schedule == wanted


def alarm_schedule(
    alarm: Alarm, *, kind: Kind, name: str, server: str, target: str, role: str, dead_letter: str | None
) -> Schedule:
    """Return the schedule that sends *alarm* to *target*, an SNS topic or an SQS queue."""
    message = {"source": "ios-mdm", "alarm": str(kind), "server": server, "message": alarm.message}
    return Schedule(
        name=name,
        at=alarm.at,
        target=target,
        input=json.dumps(message, sort_keys=True),
        role=role,
        dead_letter=dead_letter,
    )
