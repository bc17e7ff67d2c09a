"""The switch that happens by itself: which one-time schedules a pair needs, and what each of them says.

A schedule calls ``UpdateSecretVersionStage`` itself, so nothing of ours has to be running at the apply moment (R11). It
names the version that it takes the label from: one that is stale, or fires twice, fails and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.model import Label
from ios_mdm.core.pair.moments import expires

if TYPE_CHECKING:
    from ios_mdm.core.pair.decision import Desired
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.model import CertificateFacts, ObservedPair

__all__ = [
    "MOVE_LABEL",
    "OVERDUE_AFTER",
    "Alarm",
    "Kind",
    "Promote",
    "Schedule",
    "Switch",
    "alarm_schedule",
    "names",
    "plans",
    "promotion_schedule",
    "role_policy",
    "role_trust",
    "switch",
]

MOVE_LABEL = "arn:aws:scheduler:::aws-sdk:secretsmanager:updateSecretVersionStage"
"""The universal target that moves a label, in the commercial partition."""
OVERDUE_AFTER = timedelta(days=3)
"""How long after it was due something may stay undone before the alarm."""
_STEM = 24


class Kind(StrEnum):
    """What a schedule is for; the end of its name."""

    PROMOTE = "promote"
    OVERDUE = "overdue"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A one-time schedule of EventBridge Scheduler.

    Args:
        name: at most 64 characters of ``[0-9a-zA-Z-_.]``.
        at: when it fires, aware UTC, whole seconds; AWS takes up to a minute longer.
        target: ARN: the universal target of an API call, an SNS topic, or an SQS queue.
        input: JSON: the call's parameters, or the message.
        role: ARN of the role that it acts by.
        dead_letter: ARN of the SQS queue for what it could not do.
    """

    name: str
    at: datetime
    target: str
    input: str
    role: str
    dead_letter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """A promotion that is to happen by itself.

    Args:
        at: the apply moment.
        certificate: ordinal of the reserve.
        version: its version id.
        former_version: version id of the main that it follows.
    """

    at: datetime
    certificate: int
    version: str
    former_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A message that is sent unless a run takes it back in time.

    Args:
        at: when.
        message: what has not happened, and what to do.
    """

    at: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What should happen to a pair with nobody running anything. It depends on the pair alone, not on the moment.

    Args:
        promote: None without a reserve, and on hold.
        overdue: unless what is due next is done within three days; None where nothing comes by itself.
        expiry: before the last certificate of the pair expires.
    """

    promote: Promote | None = None
    overdue: Alarm | None = None
    expiry: Alarm | None = None


def switch(definition: PairDefinition, desired: Desired, observed: ObservedPair) -> Switch:
    """Return what should happen by itself to a pair that is what it should be.

    Args:
        definition: what the user wants.
        desired: decided from *observed*, with nothing left to be issued.
        observed: the pair.
    """
    main = observed.numbered(desired.main)
    if main is None or main.facts is None:
        return Switch()
    reserve = None if desired.reserve is None else observed.numbered(desired.reserve)
    if reserve is None or reserve.facts is None or desired.apply_at is None:
        due = desired.reserve_at
        return Switch(
            overdue=None if due is None else _overdue(definition, due, "a reserve was to be issued"),
            expiry=_expiry(definition, main.facts),
        )
    # A certificate that is not valid yet is never promoted (R32).
    at = max(desired.apply_at, reserve.facts.not_before)
    usable = at < expires(reserve.facts) and not definition.promotion.hold
    promote = Promote(
        at=at, certificate=reserve.facts.ordinal, version=reserve.version_id, former_version=main.version_id
    )
    return Switch(
        promote=promote if usable else None,
        overdue=_overdue(definition, at, f"certificate {reserve.facts.ordinal} was to become main"),
        # With a successor that takes over by itself, it is the successor's expiry that needs somebody.
        expiry=_expiry(definition, reserve.facts if usable else main.facts),
    )


def _overdue(definition: PairDefinition, due: datetime, what: str) -> Alarm:
    return Alarm(
        at=due + OVERDUE_AFTER,
        message=f"{definition.name}: {what} on {due:%Y-%m-%d %H:%M} UTC, and no `pulumi up` has seen to it since: look "
        f"why the pipeline does not run, run `pulumi up`, and ask `ios-mdm status` for {definition.host}",
    )


def _expiry(definition: PairDefinition, last: CertificateFacts) -> Alarm:
    return Alarm(
        at=expires(last) - timedelta(days=definition.warn_days),
        message=f"{definition.name}: certificate {last.ordinal} for {definition.host} expires on "
        f"{expires(last):%Y-%m-%d %H:%M} UTC and has no successor that is known: run `pulumi up`; without one every "
        "device loses its connection then",
    )


def names(server: str, secret: str) -> dict[Kind, str]:
    """Return the name of each schedule of the pair in *secret*; its role and queue are named alike."""
    return {kind: f"{stem(server, secret)}-{kind}" for kind in Kind}


def stem(server: str, secret: str) -> str:
    """Return what the names of all that belongs to a pair's switch begin with, at most 43 characters."""
    return f"ios-mdm-{server[:_STEM].rstrip('-')}-{hashlib.sha256(secret.encode()).hexdigest()[:10]}"


def promotion_schedule(promote: Promote, *, name: str, secret_arn: str, role: str, dead_letter: str | None) -> Schedule:
    """Return the schedule that makes the reserve main: a compare-and-swap of one label."""
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


def plans(schedule: Schedule, promote: Promote, secret_arn: str) -> bool:
    """Return whether *schedule* is for this promotion, whatever role it acts by."""
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


def role_trust(secret_arn: str) -> str:
    """Return the document by which Scheduler, and only for schedules of this account and region, may use the role."""
    _, partition, _, region, account, *_ = secret_arn.split(":")
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": account,
                    "aws:SourceArn": f"arn:{partition}:scheduler:{region}:{account}:schedule-group/default",
                }
            },
        }
    )


def role_policy(secret_arn: str, *, dead_letter: str, alarm: str | None) -> str:
    """Return the document of what the role may do: move a label of this one secret, and send messages."""
    statements: list[dict[str, object]] = [
        {"Effect": "Allow", "Action": "secretsmanager:UpdateSecretVersionStage", "Resource": secret_arn},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": dead_letter},
    ]
    if alarm is not None:
        action = "sns:Publish" if alarm.split(":")[2] == "sns" else "sqs:SendMessage"
        statements.append({"Effect": "Allow", "Action": action, "Resource": alarm})
    return _document(*statements)


def _document(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)
