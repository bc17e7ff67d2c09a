"""Whether a promotion that should happen by itself is scheduled, with all that it needs (R11, R36)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.app.switch_reader import SwitchReader
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.pair.observed import ObservedPair

__all__ = ["is_scheduled"]


def is_scheduled(
    reader: SwitchReader, request: SwitchRequest, observed: ObservedPair, *, now: datetime
) -> tuple[bool | None, Sequence[Notice]]:
    """Return whether the promotion is scheduled, None if that is unknown or nothing waits, and notices about it.

    Args:
        reader: checks schedule, role and queue.
        request: the switch as it should be.
        observed: the pair.
        now: aware UTC.
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
            f"certificate {promote.certificate} does not become main by itself: {', '.join(found.problems)}: "
            "run `pulumi up`"
        )
        notices.append(Notice(reason="not-scheduled", severity=Severity.WARNING, message=message, due=promote.at))
    if found.unchecked:
        message = f"not all that the switch needs could be checked: {' '.join(found.unchecked)}"
        notices.append(Notice(reason="schedule-unknown", severity=Severity.NOTICE, message=message))
    return (False if found.problems else None if found.unchecked else True), notices
