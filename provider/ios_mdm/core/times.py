"""Times as text: RFC 3339, and the form in which the Pulumi engine hands an unquoted YAML time to a program."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["parsed_precise_time", "parsed_time", "rfc3339"]

# RFC 3339, 5.6: date-time. fromisoformat alone would also accept week dates, and times without a zone.
# Seconds, and the colon of the zone, may be left out: many people write times so.
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
# Go's time.Time.String: YAML 1.1 knows times, the engine decodes one and prints it so.
_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d\d)(\d\d) [A-Z0-9+-]+", re.ASCII)


def parsed_time(text: str) -> datetime:
    """Return the time that *text* names, aware UTC, in whole seconds; a fraction of a second is dropped.

    Args:
        text: a date and time of RFC 3339, in which the seconds and the colon of the zone may be missing, or the same as
            the engine writes it: ``2027-03-01 00:00:00 +0000 UTC``.

    Raises:
        ValueError: *text* is neither, or names a time that does not exist. The message starts with *text*.
    """
    if (found := _RFC_3339.fullmatch(text)) is not None:
        date, time, zone = found.groups()
    elif (found := _GO_TIME.fullmatch(text)) is not None:
        date, time, hours, minutes = found.groups()
        zone = f"{hours}:{minutes}"
    else:
        date, time, zone = "", "", ""
    try:
        # 3.11's fromisoformat does not accept a small z.
        return datetime.fromisoformat(f"{date}T{time}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is not a date and time of RFC 3339, such as 2040-01-01T00:00:00Z")


def parsed_precise_time(text: str) -> datetime:
    """Return the time that *text* names, aware UTC, to the microsecond; further digits are dropped.

    Args:
        text: a date and time of RFC 3339, as Go writes it: up to nine digits of a second, and a zone.

    Raises:
        ValueError: *text* is not one, or names a time that does not exist.
    """
    if _RFC_3339.fullmatch(text) is not None:
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"{text!r} is not a date and time of RFC 3339, such as 2040-01-01T00:00:00.123456Z")


def rfc3339(time: datetime) -> str:
    """Return an aware *time* as RFC 3339 text in UTC and whole seconds, whose order is the order of time.

    Raises:
        ValueError: *time* has no zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    utc = time.astimezone(UTC)
    return f"{utc.year:04}{utc:-%m-%dT%H:%M:%SZ}"  # %Y has no leading zeros on Linux
