"""The windows before main expires: when a reserve is issued, and when a missing reserve is critical (R3, R5, R49).

The default of a window depends on the validity of the certificate that is main, so that a certificate of 47 days has
windows that are as comfortable as those of a certificate of 397 days.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.times import shifted_time

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import IssueReserve, PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts

__all__ = [
    "MAX_SHORT_VALIDITY",
    "critical_time",
    "reserve_time",
    "reserve_window",
    "validity",
    "warning_window",
    "window_text",
]

MAX_SHORT_VALIDITY = timedelta(days=100)
"""Longest validity of a short-lived certificate: the limit of public CAs from 2027-03-15 to 2029-03-14 (SC-081v3).

Both ends of a validity are inclusive (RFC 5280), so notAfter - notBefore is less than 100 days.
"""

_MAX_RESERVE_WINDOW = timedelta(days=60)
_MAX_WARNING_WINDOW = timedelta(days=30)
_SECOND = timedelta(seconds=1)


def validity(facts: CertificateFacts) -> timedelta:
    """Return the length of the certificate's validity, both ends included; zero if its dates are inverted."""
    return max(expiry(facts) - facts.not_before, timedelta())


def reserve_window(before_days: int | None, main_validity: timedelta) -> timedelta:
    """Return the time from the issue of an automatic reserve to main's expiry, in whole seconds (R3).

    Args:
        before_days: setting ``beforeDays``; None for the default: a third of the validity, at most 60 days.
        main_validity: validity of main.
    """
    return _window(before_days, main_validity / 3, _MAX_RESERVE_WINDOW)


def warning_window(warn_days: int | None, main_validity: timedelta) -> timedelta:
    """Return the time before main's expiry in which a missing reserve is critical, in whole seconds (R5).

    Args:
        warn_days: setting ``warnDays``; None for the default: a sixth of the validity, at most 30 days.
        main_validity: validity of main.
    """
    return _window(warn_days, main_validity / 6, _MAX_WARNING_WINDOW)


def _window(days: int | None, share: timedelta, longest: timedelta) -> timedelta:
    return min(share // _SECOND * _SECOND, longest) if days is None else timedelta(days=days)


def reserve_time(reserve: IssueReserve, main: CertificateFacts) -> datetime:
    """Return the time at which an automatic reserve of *main* is issued, aware UTC (R3)."""
    return shifted_time(expiry(main), -reserve_window(reserve.before_days, validity(main)))


def critical_time(definition: PairDefinition, main: CertificateFacts) -> datetime:
    """Return the time from which a missing reserve of *main* is critical, aware UTC (R5)."""
    return shifted_time(expiry(main), -warning_window(definition.warn_days, validity(main)))


def window_text(window: timedelta) -> str:
    """Return a window as text, such as ``60 days`` or ``15 days and 16 hours``; minutes are dropped."""
    days, hours = window.days, window.seconds // 3600
    parts = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in ((days, "day"), (hours, "hour")) if count]
    return " and ".join(parts) or "0 hours"
