"""Checks that a promotion is scheduled, with its role and queue, and reports failed calls of schedules (R11, R36)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.schedule import queue_name
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.app.switch_reader import SwitchReader
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.ports import Prerequisites
    from ios_mdm.settings import PromotionSettings

__all__ = ["failed_calls", "is_scheduled"]


def failed_calls(server: str, secret: str, promotion: PromotionSettings, queues: Prerequisites) -> Sequence[Notice]:
    """Report failed calls of schedules, whose messages are in the queue that the provider creates.

    The severity is only *notice*, because a call after an early promotion fails, too, and another notice reports an
    overdue switch. Without permission to read the queue there is no report: this permission is optional
    (docs/permissions.md).
    """
    if not promotion.schedule or promotion.dead_letter_arn is not None:
        return ()
    name = queue_name(server, secret)
    try:
        count = queues.queue_messages(name)
    except StoreError:
        return ()
    if not count:
        return ()
    calls = "a call of a schedule" if count == 1 else f"{count} calls of schedules"
    message = (
        f"{calls} failed in the last 14 days. Read the reason (ERROR_MESSAGE) in the queue {name}: aws "
        f'sqs receive-message --message-attribute-names All --queue-url "$(aws sqs get-queue-url --queue-name {name} '
        '--query QueueUrl --output text)"'
    )
    return (Notice(reason="calls-failed", severity=Severity.NOTICE, message=message),)


def is_scheduled(
    reader: SwitchReader, request: SwitchRequest, observed: ObservedPair, *, now: datetime, checks_alarms: bool = False
) -> tuple[bool | None, Sequence[Notice]]:
    """Return whether the promotion is scheduled, and notices about it.

    The first value is None if this is unknown, or if no promotion is planned.

    Args:
        reader: checks schedule, role and queue.
        request: desired switch.
        observed: the pair.
        now: current time, aware UTC.
        checks_alarms: whether the alarms are checked, too. The result does not depend on them.
    """
    if not request.scheduled:
        return (None if observed.reserve is None else False), ()
    promote = request.switch.promote
    if promote is None or now >= promote.at:
        return None, ()
    # An alarm is not needed for the switch.
    found = reader.findings(replace(request, switch=replace(request.switch, overdue=None, expiry=None)), observed)
    notices = []
    if found.problems:
        message = (
            f"certificate {promote.certificate} does not become main automatically: {', '.join(found.problems)}. "
            "Run `pulumi up`"
        )
        notices.append(Notice(reason="not-scheduled", severity=Severity.WARNING, message=message, due=promote.at))
    if checks_alarms:
        alarms = [one for one in reader.findings(request, observed).problems if one not in found.problems]
        if alarms:
            message = f"the alarms about a missed switch are not in order: {', '.join(alarms)}. Run `pulumi up`"
            notices.append(Notice(reason="alarms", severity=Severity.WARNING, message=message))
    if found.unchecked:
        message = f"some parts of the switch could not be checked: {' '.join(found.unchecked)}"
        notices.append(Notice(reason="schedule-unknown", severity=Severity.NOTICE, message=message))
    return (False if found.problems else None if found.unchecked else True), notices
