"""Times as text, and sums of times.

The texts are RFC 3339, and the form in which the Pulumi engine passes an unquoted YAML time to a program.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["FIRST", "LAST", "parsed_precise_time", "parsed_time", "rfc3339", "shifted_time"]

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""First and last time, in whole seconds, that a certificate can contain and Python can represent."""

# RFC 3339, 5.6: date-time. fromisoformat alone also accepts week dates and times without a zone.
# The seconds and the colon of the zone are optional, because users often omit them.
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
# The engine decodes an unquoted YAML 1.1 time and prints it with Go's time.Time.String.
_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d\d)(\d\d) [A-Z0-9+-]+", re.ASCII)


def parsed_time(text: str) -> datetime:
    """Return the time in *text*, aware UTC, in whole seconds; a fraction of a second is dropped.

    Args:
        text: date and time of RFC 3339, without seconds or without the colon of the zone if wanted, or in the form of
            the engine: ``2027-03-01 00:00:00 +0000 UTC``.

    Raises:
        ValueError: *text* has another format, or its time does not exist. The message starts with *text*.
    """
    if (found := _RFC_3339.fullmatch(text)) is not None:
        date, time, zone = found.groups()
    elif (found := _GO_TIME.fullmatch(text)) is not None:
        date, time, hours, minutes = found.groups()
        zone = f"{hours}:{minutes}"
    else:
        date, time, zone = "", "", ""
    try:
        # fromisoformat of Python 3.11 does not accept a lower-case z.
        return datetime.fromisoformat(f"{date}T{time}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is not a date and time of RFC 3339, such as 2040-01-01T00:00:00Z")


def parsed_precise_time(text: str) -> datetime:
    """Return the time in *text*, aware UTC, in microseconds; further digits are dropped.

    Args:
        text: date and time of RFC 3339 as Go writes it, with up to nine digits of a second.

    Raises:
        ValueError: *text* has another format, or its time does not exist.
    """
    if _RFC_3339.fullmatch(text) is not None:
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"{text!r} is not a date and time of RFC 3339, such as 2040-01-01T00:00:00.123456Z")


def rfc3339(time: datetime) -> str:
    """Return an aware *time* as RFC 3339 text in UTC and whole seconds. The texts sort like the times.

    Raises:
        ValueError: *time* has no zone.
    """
    if time.tzinfo is None:
        raise ValueError("the time has no zone")
    utc = time.astimezone(UTC)
    return f"{utc.year:04}{utc:-%m-%dT%H:%M:%SZ}"  # %Y has no leading zeros on Linux


def shifted_time(time: datetime, by: timedelta) -> datetime:
    """Return *time* + *by*, aware UTC, but at least :data:`FIRST` and at most :data:`LAST`.

    A CA can issue a certificate without an end (RFC 5280, 4.1.2.5): its notAfter is :data:`LAST`.
    """
    if by > LAST - time:
        return LAST
    return FIRST if by < FIRST - time else time + by
