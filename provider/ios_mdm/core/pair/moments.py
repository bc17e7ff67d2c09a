"""The moments of a certificate's life: from when and until when it is valid, and when a reserve becomes main."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import LONGEST_VALIDITY_DAYS, AfterDays, At

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import ApplyMoment
    from ios_mdm.core.pair.facts import CertificateFacts

__all__ = ["BACKDATED", "apply_moment", "expires", "issued_at", "longest_validity_days", "valid_at"]

BACKDATED = timedelta(minutes=5)
"""How long before the moment of issue validity starts: for devices whose clock is slow."""


def expires(facts: CertificateFacts) -> datetime:
    """Return the first moment at which the certificate is not valid any more: notAfter is inclusive (RFC 5280)."""
    return facts.not_after + timedelta(seconds=1)


def valid_at(facts: CertificateFacts, now: datetime) -> bool:
    """Return whether the certificate is within its validity at *now*."""
    return facts.not_before <= now < expires(facts)


def issued_at(facts: CertificateFacts) -> datetime:
    """Return the moment at which the certificate was issued."""
    return facts.not_before + BACKDATED


def apply_moment(
    apply: ApplyMoment,
    lead: timedelta,
    main: CertificateFacts,
    reserve: CertificateFacts,
    *,
    came: datetime | None = None,
) -> datetime:
    """Return when *reserve* becomes main (R6, R7).

    Args:
        apply: what the user wants.
        lead: how long before main's expiry at the latest.
        main: facts of main.
        reserve: facts of the reserve.
        came: when it was installed; None for one that was issued, whose dates tell.

    A lead never takes more than half of the time that was left when the reserve came: a reserve that comes late must
    reach the devices before it is applied.
    """
    came, end = came or issued_at(reserve), expires(main)
    latest = end - min(lead, max(end - came, timedelta()) / 2)
    latest = latest.replace(microsecond=0)
    match apply:
        case AfterDays(days=days):
            return min(came + timedelta(days=days), latest)
        case At(moment=moment) if moment > came:
            return min(moment, latest)
        case _:
            return latest


def longest_validity_days(main: CertificateFacts) -> int:
    """Return for how many whole days a reserve of *main* may be issued (R8), at most :data:`LONGEST_VALIDITY_DAYS`.

    0 means that main itself is valid for less than a day: no reserve fits.
    """
    return min((expires(main) - main.not_before).days, LONGEST_VALIDITY_DAYS)
