"""The times of a certificate's life: start and end of its validity, and the apply time of a reserve."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import MAX_VALIDITY_DAYS, AfterDays, AtTime
from ios_mdm.core.times import shifted_time

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import ApplyTime
    from ios_mdm.core.pair.facts import CertificateFacts

__all__ = ["BACKDATED", "apply_time", "expiry", "is_valid_at", "issued_at", "max_steady_days", "max_validity_days"]

BACKDATED = timedelta(minutes=5)
"""Time from the start of validity to the issue of a certificate: devices whose clock is slow accept it, too."""


def expiry(facts: CertificateFacts) -> datetime:
    """Return the first time at which the certificate is no longer valid: notAfter is inclusive (RFC 5280)."""
    return shifted_time(facts.not_after, timedelta(seconds=1))


def is_valid_at(facts: CertificateFacts, now: datetime) -> bool:
    """Return whether the certificate is valid at *now*."""
    return facts.not_before <= now < expiry(facts)


def issued_at(facts: CertificateFacts) -> datetime:
    """Return the time at which the certificate was issued."""
    return shifted_time(facts.not_before, BACKDATED)


def apply_time(
    apply: ApplyTime,
    lead: timedelta,
    main: CertificateFacts,
    reserve: CertificateFacts,
    *,
    stored_at: datetime | None = None,
) -> datetime:
    """Return the apply time of *reserve*, aware UTC, whole seconds (R6, R7).

    The lead never takes more than half of the time from the issue or installation of the reserve to main's expiry. A
    reserve that is issued late must reach the devices before it is applied.

    Args:
        apply: rule for the apply time.
        lead: minimum time from the apply time to main's expiry.
        main: facts of main.
        reserve: facts of the reserve.
        stored_at: time at which a custom reserve was installed; None for an issued reserve, whose facts have the time.
    """
    stored_at, end = stored_at or issued_at(reserve), expiry(main)
    latest = end - min(lead, max(end - stored_at, timedelta()) / 2)
    latest = latest.replace(microsecond=0)
    match apply:
        case AfterDays(days=days):
            return min(shifted_time(stored_at, timedelta(days=days)), latest)
        case AtTime(time=moment) if moment > stored_at:
            return min(moment, latest)
        case _:
            return latest


def max_validity_days(main: CertificateFacts) -> int:
    """Return the longest validity of a reserve of *main*, in whole days (R8), at most :data:`MAX_VALIDITY_DAYS`.

    0 means that main is valid for less than a day, so no reserve can be issued.
    """
    return min((expiry(main) - main.not_before).days, MAX_VALIDITY_DAYS)


def max_steady_days(days: int, lead: timedelta) -> int:
    """Return the longest period of a rotation that is the same in each cycle, in days; 0 if there is none (R7).

    Each reserve is issued when main was promoted, after a period. It waits for another period, and the lead is at most
    half of the time that main is still valid then (:func:`apply_time`).

    Args:
        days: validity of each certificate, in days.
        lead: minimum time from the apply time to main's expiry.
    """
    usable = timedelta(days=days) - BACKDATED
    return max((usable - lead) // 2, usable // 3, timedelta()).days
