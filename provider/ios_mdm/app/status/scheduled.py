"""Whether a promotion that should happen by itself is scheduled (R11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.schedule import plans
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.core.pair.switch import Promote
    from ios_mdm.ports import Scheduler

__all__ = ["is_scheduled"]


def is_scheduled(
    scheduler: Scheduler, promote: Promote | None, *, name: str, secret_arn: str, now: datetime
) -> tuple[bool | None, Sequence[Notice]]:
    """Return whether the promotion is scheduled, None where that cannot be known, and what to tell of it.

    Args:
        scheduler: that should hold it.
        promote: what should happen; None for nothing.
        name: of the schedule.
        secret_arn: of the pair's secret.
        now: the moment.
    """
    if promote is None or now >= promote.at:
        return None, ()
    try:
        found = scheduler.get(name)
    except StoreError as error:
        message = f"whether the promotion is scheduled is not known: {error}"
        return None, [Notice(reason="schedule-unknown", severity=Severity.NOTICE, message=message)]
    if found is not None and plans(found, promote, secret_arn):
        return True, ()
    message = f"no schedule {name} makes certificate {promote.certificate} main at its moment: run `pulumi up`"
    return False, [Notice(reason="not-scheduled", severity=Severity.WARNING, message=message, due=promote.at)]
