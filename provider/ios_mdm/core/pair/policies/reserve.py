"""Policies for the reserve: its issue or installation, its dismissal and its promotion."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import BACKDATED, apply_time, expiry, is_valid_at, max_validity_days
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.definition import InstallMain, InstallReserve, IssueReserve, NoReserve, When
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.policies.answers import Condition, Policy, fingerprint_digits, first_answer, refusal
from ios_mdm.core.pair.windows import reserve_time

if TYPE_CHECKING:
    from ios_mdm.core.pair.situation import Situation

__all__ = [
    "DELETIONS",
    "DISMISSALS",
    "ISSUES",
    "PROMOTIONS",
    "REFUSALS",
    "another_reserve_offered",
    "certificate_has_two_chains",
    "custom_reserve_offered",
    "deletion_unconfirmed",
    "issued_reserve_for_custom_main",
    "main_expires_soon",
    "reserve_always_held",
    "reserve_chain_changed",
    "reserve_disabled",
    "reserve_due",
    "reserve_expired",
    "reserve_expires_unapplied",
    "reserve_generation_lowered",
    "reserve_generation_raised",
    "successor_validity_bounded",
]


# Refusals of a definition.


def issued_reserve_for_custom_main(at: Situation) -> Notice | None:
    """R4: no reserve is issued for a custom main, and a definition that requests one is refused."""
    if at.main.source is not Source.INSTALLED or not isinstance(at.definition.reserve, IssueReserve):
        return None
    return refusal(
        "custom-main",
        "reserve.issue requests an issued reserve, but main is a custom certificate: a reserve is never issued for "
        "it. Remove reserve.issue, and install a custom reserve",
    )


def certificate_has_two_chains(at: Situation) -> Notice | None:
    """R20: if both files have the same certificate, because the reserve became main, their chains must be equal."""
    main, reserve = at.definition.main, at.definition.reserve
    if not isinstance(main, InstallMain) or not isinstance(reserve, InstallReserve):
        return None
    one, other = main.offered, reserve.offered
    if one.sha256 != other.sha256 or one.chain == other.chain or "" in {one.chain, other.chain}:
        return None
    return refusal(
        "two-chains",
        f"main.install and reserve.install have the same certificate, {one.sha256}, with different chains: name the "
        "same file under both, or remove reserve.install",
    )


def reserve_generation_lowered(at: Situation) -> Notice | None:
    """R10: a lowered request counter is refused."""
    wanted = at.definition.reserve
    if not isinstance(wanted, IssueReserve) or at.reserve is None or at.reserve.facts is None:
        return None
    has = at.reserve.facts.generation
    if wanted.generation >= has or at.now >= expiry(at.reserve.facts):
        return None
    return refusal(
        "generation-lowered",
        f"reserve.issue.generation is {wanted.generation}, but the reserve has generation {has}, and a generation must "
        f"not be lowered: set it to {has}, or to {has + 1} for another reserve",
    )


def deletion_unconfirmed(at: Situation) -> Notice | None:
    """R10, R32: inside the warning window, a reserve is deleted only if the definition has its fingerprint.

    R49: a custom reserve under the same root replaces it without the fingerprint, because devices trust both.
    """
    wanted = at.definition.reserve
    if at.reserve is None or at.reserve.facts is None or at.now < at.critical_from:
        return None
    if isinstance(wanted, InstallReserve) and wanted.offered.anchor == at.reserve.facts.anchor:
        return None
    request = first_answer((reserve_disabled, reserve_generation_raised, another_reserve_offered), at)
    expired = at.now >= expiry(at.reserve.facts)
    if request is None or expired or fingerprint_digits(at.definition.confirm) == at.reserve.facts.sha256:
        return None
    return refusal(
        "unconfirmed",
        f"main expires on {expiry(at.main):%Y-%m-%d}, and certificate {at.reserve.ordinal} is its reserve, but "
        f"{request.message}. To confirm this, add `reserve.confirm: {at.reserve.facts.sha256}` to the definition",
    )


REFUSALS: tuple[Policy, ...] = (
    issued_reserve_for_custom_main,
    certificate_has_two_chains,
    reserve_generation_lowered,
    deletion_unconfirmed,
)


# Dismissals: reasons for which the waiting reserve leaves its slot.


def reserve_expired(at: Situation) -> Notice | None:
    """R32: an expired reserve is dismissed."""
    if at.reserve is None or at.reserve.facts is None or at.now < expiry(at.reserve.facts):
        return None
    return Notice(
        reason="reserve-expired",
        severity=Severity.WARNING,
        message=f"the reserve, certificate {at.reserve.ordinal}, has expired and is replaced",
    )


def reserve_expires_unapplied(at: Situation) -> Notice | None:
    """R3, R32: a reserve that expires before its apply time is dismissed when a better reserve can be issued."""
    wanted = at.reserve_request
    if not at.is_expiring_unapplied or at.reserve is None or not isinstance(wanted, IssueReserve):
        return None
    without = replace(at, reserve=None)
    if not reserve_always_held(without) and not main_expires_soon(without):
        return None
    days = wanted.validity_days or max_validity_days(at.main)
    lead = timedelta(minutes=at.definition.promotion.lead_minutes)
    if at.now - BACKDATED + timedelta(days=days) <= apply_time(wanted.apply, lead, at.main, at.main, stored_at=at.now):
        return None  # the next reserve also expires before its apply time
    return Notice(
        reason="reserve-too-short",
        severity=Severity.WARNING,
        message=f"the reserve, certificate {at.reserve.ordinal}, expires before its apply time and is replaced",
    )


def reserve_disabled(at: Situation) -> Notice | None:
    """R10: only `reserve.none: true` deletes a reserve without a successor."""
    if not isinstance(at.definition.reserve, NoReserve):
        return None
    return Notice(reason="none-wanted", severity=Severity.NOTICE, message="reserve.none deletes it")


def reserve_generation_raised(at: Situation) -> Notice | None:
    """R10: a raised generation deletes the reserve and issues another one in the same run."""
    wanted = at.definition.reserve
    if not isinstance(wanted, IssueReserve) or at.reserve is None or at.reserve.facts is None:
        return None
    if wanted.generation <= at.reserve.facts.generation:
        return None
    return Notice(
        reason="another-wanted",
        severity=Severity.NOTICE,
        message="a raised reserve.issue.generation replaces it",
    )


def another_reserve_offered(at: Situation) -> Notice | None:
    """R10: another custom certificate takes the place of the reserve."""
    wanted = at.definition.reserve
    if not isinstance(wanted, InstallReserve) or at.reserve is None or at.reserve.facts is None:
        return None
    if not at.is_new(wanted.offered):
        return None
    return Notice(
        reason="another-offered",
        severity=Severity.NOTICE,
        message=f"reserve.install replaces it with certificate {wanted.offered.sha256}",
    )


def reserve_chain_changed(at: Situation) -> Notice | None:
    """R20: a custom reserve with another chain is installed again. R10 needs no confirmation: the certificate stays."""
    wanted = at.definition.reserve
    if not isinstance(wanted, InstallReserve) or at.reserve is None or at.reserve.facts is None:
        return None
    if not at.is_rechained(wanted.offered, at.reserve.facts):
        return None
    return Notice(
        reason="another-chain",
        severity=Severity.NOTICE,
        message=f"the chain of certificate {at.reserve.ordinal} has changed: the certificate is installed again with "
        "the same key",
    )


DELETIONS: tuple[Policy, ...] = (
    reserve_disabled,
    reserve_generation_raised,
    another_reserve_offered,
    reserve_chain_changed,
)
"""Dismissals that the definition requests: they end the offer to devices (R10, R35)."""

DISMISSALS: tuple[Policy, ...] = (reserve_expired, reserve_expires_unapplied, *DELETIONS)


# Promotions: reasons for which the waiting reserve becomes main now.


def reserve_due(at: Situation) -> Notice | None:
    """R6, R7, R11, R15, R32: a valid reserve is promoted at its apply time, unless it is unsent or on hold.

    After main has expired, a reserve is promoted even if devices were not sent it.
    """
    if at.is_unsent and at.now < expiry(at.main):
        return None
    if not at.is_due or at.definition.promotion.hold or at.reserve is None or at.reserve.facts is None:
        return None
    if not is_valid_at(at.reserve.facts, at.now):
        return None
    return Notice(
        reason="due",
        severity=Severity.NOTICE,
        message=f"certificate {at.reserve.ordinal} becomes main: its apply time, {at.apply_at:%Y-%m-%d %H:%M} UTC, "
        "is reached",
    )


PROMOTIONS: tuple[Policy, ...] = (reserve_due,)


# Reasons for which a reserve is issued or installed now. Only an issued main gets an issued reserve (R4).


def reserve_always_held(at: Situation) -> bool:
    """R2: with `when: now`, a reserve is issued whenever the pair has none."""
    return _issues(at) and isinstance(at.reserve_request, IssueReserve) and at.reserve_request.when is When.NOW


def main_expires_soon(at: Situation) -> bool:
    """R3: an automatic reserve is issued `beforeDays` before main expires."""
    if not _issues(at) or not isinstance(at.reserve_request, IssueReserve):
        return False
    return at.now >= reserve_time(at.reserve_request, at.main)


def custom_reserve_offered(at: Situation) -> bool:
    """R2, R4: a custom reserve is installed as soon as the definition offers a certificate that is not in the pair."""
    wanted = at.definition.reserve
    if at.reserve is not None or not isinstance(wanted, InstallReserve):
        return False
    return at.is_new(wanted.offered) and at.now <= wanted.offered.not_after


ISSUES: tuple[Condition, ...] = (reserve_always_held, main_expires_soon, custom_reserve_offered)


def successor_validity_bounded(at: Situation, days: int) -> Notice | None:
    """R8: the validity of a reserve limits the validity of all later certificates."""
    longest = max_validity_days(at.main)
    if days >= longest:
        return None
    return Notice(
        reason="shorter",
        severity=Severity.WARNING,
        message=f"the reserve is valid for {days} days, and main for {longest} days: after the reserve became main, no "
        f"later reserve can be valid for more than {days} days",
    )


def _issues(at: Situation) -> bool:
    return at.reserve is None and at.main.source is Source.ISSUED
