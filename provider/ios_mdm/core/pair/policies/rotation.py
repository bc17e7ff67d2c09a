"""Policy for a periodic rotation: `when: now` with `afterDays`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry, max_steady_days, max_validity_days
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.definition import AfterDays, IssueReserve, When
from ios_mdm.core.pair.facts import Source

if TYPE_CHECKING:
    from ios_mdm.core.pair.situation import Situation

__all__ = ["rotation_unsteady"]


def rotation_unsteady(at: Situation) -> Notice | None:
    """R7: a period of more than about half of the validity is shortened in each second cycle.

    The reserve is issued when main has already been main for a period. So main must be valid for two periods and the
    lead.
    """
    wanted = at.reserve_request
    if at.main.source is not Source.ISSUED or not isinstance(wanted, IssueReserve) or at.now >= expiry(at.main):
        return None
    if wanted.when is not When.NOW or not isinstance(wanted.apply, AfterDays):
        return None
    days = wanted.validity_days or max_validity_days(at.main)
    longest = max_steady_days(days, timedelta(minutes=at.definition.promotion.lead_minutes))
    if wanted.apply.days <= longest:
        return None
    period = wanted.apply.days
    remedy = f"set it to at most {longest} for equal periods" if longest else "let main be valid for longer"
    return Notice(
        reason="unsteady",
        severity=Severity.WARNING,
        message=f"reserve.issue.apply.afterDays is {period}, but certificates that are valid for {days} days cannot "
        f"change every {period} days: each second period is shorter, because main expires earlier. Two periods and "
        f"promotion.leadMinutes must fit into the validity: {remedy}",
    )
