"""Checks of schedules with the documented role: a promotion, a stale schedule and an alarm."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.core.pair.schedule import Kind, alarm_schedule, promotion_schedule
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.switch import Alarm, Promote
from tools.smoke.world import UnexpectedError, World

if TYPE_CHECKING:
    from ios_mdm.core.pair.schedule import Schedule

_AHEAD = timedelta(minutes=2)
_FAR = datetime(2040, 1, 1, tzinfo=UTC)
_FIRES = 420
"""Seconds to wait for a schedule that is due in two minutes. Scheduler can be a minute late."""


def schedules_are_accepted(world: World) -> str:
    """Create the role of the schedules as the deployer, wait until Scheduler accepts it, and create three schedules."""
    iam, name = world.actors["deployer"].client("iam"), f"{world.prefix}-berlin"
    trust, policy = world.document("schedule-trust"), world.document("schedule", world.description().arn[-6:])
    boundary, path = world.arn("iam", f"policy/{world.prefix}-boundary"), f"/{world.prefix}/"
    role = {"RoleName": name, "Path": path, "PermissionsBoundary": boundary, "Tags": world.tags}
    world.admin.wait_for(lambda: iam.create_role(AssumeRolePolicyDocument=trust, **role))
    begin = world.admin.now()
    world.admin.wait_for(lambda: iam.put_role_policy(RoleName=name, PolicyName="switch", PolicyDocument=policy))
    _scheduler(world).put(_planned_schedules(world, _FAR)[0])
    seconds = (world.admin.now() - begin).total_seconds()
    for schedule in _planned_schedules(world, (world.admin.now() + _AHEAD).replace(microsecond=0)):
        _scheduler(world).put(schedule)
        world.armed.append(schedule.name)
    return f"{seconds:.0f} s after the role was created"


def schedule_fires(world: World) -> str:
    """Wait until the schedule has made the reserve main. No process of the product runs."""
    armed = _scheduler(world).get(_arm(world, "promote"))
    if armed is None:
        raise UnexpectedError("the schedule was deleted before its time")
    fired, _ = world.admin.wait_for(lambda: Label.MAIN in world.labels().get(2, ()), seconds=_FIRES)
    late = (world.admin.now() - armed.at).total_seconds()
    seen = f"{late:.0f} s after its time; labels: {world.labels()}"
    if not fired or late < 0:
        raise UnexpectedError(seen)
    return seen


def stale_schedule_changes_nothing(world: World) -> str:
    """Wait until Scheduler has tried the stale schedule, and check that no label has moved."""
    name = _arm(world, "stale")

    def sign() -> str:
        if _messages(world, "dead-letters"):
            return "a dead letter"
        return "the end of the schedule" if _scheduler(world).get(name) is None else ""

    seen, seconds = world.admin.wait_for(sign, seconds=_FIRES)
    if Label.RESERVE not in world.labels().get(2, ()):
        raise UnexpectedError(f"the label has moved: {world.labels()}")
    if not seen:
        raise UnexpectedError(f"no label moved, but after {seconds:.0f} s nothing shows that the schedule was tried")
    return f"no label moved; {seen} shows that the schedule was tried"


def alarm_arrives(world: World) -> str:
    """Wait until the message of a schedule has reached the topic and a subscribed queue."""
    _arm(world, "overdue")
    found, seconds = world.admin.wait_for(lambda: _messages(world, "alarms"), seconds=_FIRES)
    if not found:
        raise UnexpectedError(f"no message in {seconds:.0f} s")
    content = json.loads(json.loads(found[0]["Body"])["Message"])
    if (content.get("alarm"), content.get("server")) != (Kind.OVERDUE, "berlin"):
        raise UnexpectedError(f"unexpected message: {content}")
    return f"from SNS in SQS: {json.dumps(content)}"


def _scheduler(world: World) -> EventBridgeScheduler:
    return EventBridgeScheduler(aws=world.actors["deployer"].aws(), sleep=world.admin.sleep)


def _arm(world: World, kind: str) -> str:
    if (name := f"{world.prefix}-{kind}") not in world.armed:
        raise UnexpectedError("the schedule was not created")
    return name


def _planned_schedules(world: World, at: datetime) -> tuple[Schedule, Schedule, Schedule]:
    """Return a promotion, a stale move of the reserve's label, and an alarm."""
    role = world.arn("iam", f"role/{world.prefix}/{world.prefix}-berlin")
    shared = {"role": role, "dead_letter": world.arn("sqs", f"{world.prefix}-dead-letters")}
    main, reserve, other = (world.version(n) for n in (1, 2, 3))
    promote = promotion_schedule(
        Promote(at=at, certificate=2, version=reserve, former_version=main),
        name=f"{world.prefix}-promote",
        secret_arn=world.description().arn,
        **shared,
    )
    # A different label, so that the result does not depend on the order of the two schedules.
    stale = {"VersionStage": Label.RESERVE, "MoveToVersionId": main, "RemoveFromVersionId": other}
    call = json.dumps(json.loads(promote.input) | stale)
    topic, alarm = world.arn("sns", f"{world.prefix}-alarms"), Alarm(at=at, message="smoke")
    overdue = alarm_schedule(
        alarm, kind=Kind.OVERDUE, name=f"{world.prefix}-overdue", server="berlin", target=topic, **shared
    )
    return promote, replace(promote, name=f"{world.prefix}-stale", input=call), overdue


def _messages(world: World, queue: str) -> list[dict[str, Any]]:
    sqs = world.admin.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{world.prefix}-{queue}")["QueueUrl"]
    found: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url).get("Messages") or []
    return found
