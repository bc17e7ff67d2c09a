"""The text of a notice: its message, with its time in local time and the days left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.decision import Notice

__all__ = ["notice_text"]


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
    local = notice.due.astimezone()
    here = f"{local:%Y-%m-%d %H:%M %Z} here, " if local.utcoffset() else ""
    return f"{notice.message} ({here}{distance})"
