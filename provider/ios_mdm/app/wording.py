"""The text of a notice: its message, with its time in local time and the days left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.decision import Notice

__all__ = ["local_time", "notice_text"]


def local_time(time: datetime) -> datetime:
    """Return *time* in the zone of this machine, or in UTC if the zone would shift it out of the years 1 to 9999."""
    try:
        return time.astimezone()
    except OverflowError:
        return time


def notice_text(notice: Notice, now: datetime) -> str:
    """Return the message of a notice, with its time in local time and the days until or since then.

    Args:
        notice: notice with all times of its message in UTC.
        now: current time, aware.
    """
    if notice.due is None:
        return notice.message
    days = (notice.due - now).days
    if notice.due < now:
        distance = f"{(now - notice.due).days} days ago"
    else:
        distance = f"{days} days left" if days != 1 else "1 day left"
    local = local_time(notice.due)
    here = f"{local:%Y-%m-%d %H:%M %Z} here, " if local.utcoffset() else ""
    return f"{notice.message} ({here}{distance})"
