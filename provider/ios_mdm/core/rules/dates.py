"""Rules for the validity periods of the certificate and its issuers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules.model import Remark, violation
from ios_mdm.core.rules.reading import time_text
from ios_mdm.core.rules.roles import renewal_advice, replacement_advice, waiting_advice
from ios_mdm.core.x509.limits import BOUND_SINCE, MAX_VALIDITY
from ios_mdm.core.x509.names import display_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["certificates_are_valid", "reserve_outlives_apply_time", "validity_is_short_enough"]

_PUBLIC_LIMITS = (
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
    (datetime(2020, 9, 1, tzinfo=UTC), 398),
)
"""Maximum validity in days of a leaf from a public CA, by its notBefore, newest first (CA/Browser Forum SC-081v3)."""
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def certificates_are_valid(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R21: the certificate and all its issuers are valid now, both ends included (RFC 5280, 4.1.2.5)."""
    for certificate in candidate.chain:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        inverted = " (it ends before it starts)" if end < start else ""
        if context.now < start:
            yield violation(
                "not-yet-valid",
                certificate,
                f"a validity that starts on {time_text(start)}{inverted}",
                f"a certificate that is valid on {time_text(context.now)}",
                replacement_advice(certificate, candidate, context, how="with dates in the right order")
                if inverted
                else waiting_advice(certificate, candidate),
            )
        if end < context.now:
            yield violation(
                "expired",
                certificate,
                f"a validity that ended on {time_text(end)}{inverted}",
                f"a certificate that is valid on {time_text(context.now)}",
                renewal_advice(certificate, candidate, context),
            )
    leaf = candidate.leaf
    for issuer in candidate.issuers:
        if context.now <= issuer.not_valid_after_utc < leaf.not_valid_after_utc:
            yield Remark(
                message=f"{display_name(issuer)} expires on {time_text(issuer.not_valid_after_utc)}, before the "
                "server's certificate expires: after that date, neither can be used"
            )


def reserve_outlives_apply_time(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R21: a reserve and each of its issuers expire after the apply time and after the main certificate."""
    if context.slot is Slot.MAIN:
        yield Remark(message="only a reserve has to outlive the main certificate", is_applicable=False, is_notice=False)
        return
    times: list[tuple[datetime, str]] = []
    if context.apply_at is not None:
        times.append((context.apply_at, "when it becomes main"))
    if context.current:
        times.append((context.current[0].not_valid_after_utc, "when the main certificate expires"))
    if not times:
        yield Remark(message="neither the apply time nor the main certificate is known", is_applicable=False)
        return
    latest, why = max(times)
    for certificate in candidate.chain:
        if certificate.not_valid_after_utc <= latest:
            yield violation(
                "expires-too-early",
                certificate,
                f"a validity until {time_text(certificate.not_valid_after_utc)}",
                f"a validity beyond {time_text(latest)}, {why}",
                "Have it issued for longer"
                if certificate == candidate.leaf
                else "Have this issuer's certificate renewed first, then have the server's certificate issued again",
            )


def validity_is_short_enough(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R28: Apple's devices refuse a server certificate that is valid for more than 825 days (Apple 103769).

    R49: a leaf under a public root that is longer than public CAs may issue is a notice.
    """
    start, end = candidate.leaf.not_valid_before_utc, candidate.leaf.not_valid_after_utc
    if start >= BOUND_SINCE and end - start > MAX_VALIDITY:
        days = -((start - end) // _DAY)  # rounded up
        yield violation(
            "validity-too-long",
            candidate.leaf,
            f"a validity of {days} days",
            f"at most {MAX_VALIDITY.days} days",
            "Have it issued again for 824 days or less",
        )
        return
    # Both ends are inclusive, and a part of a day counts as a day (Baseline Requirements, 6.3.2).
    days = -((start - end - _SECOND) // _DAY)
    since, limit = next((one for one in _PUBLIC_LIMITS if start >= one[0]), (start, days))
    if days <= limit or candidate.root is None or not context.is_public_root(candidate.root):
        return
    yield Remark(
        message=f"{display_name(candidate.leaf)} has a validity of {days} days under {display_name(candidate.root)}, a "
        f"public root, but public CAs may issue at most {limit} days since {since:%Y-%m-%d}: clients can refuse it. "
        f"Have it issued again for {limit} days or less"
    )
