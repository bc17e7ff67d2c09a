"""Policies for the reserve: its issue or installation, its dismissal and its promotion."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.definition import InstallMain, InstallReserve, IssueReserve, NoReserve, When
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.moments import BACKDATED, apply_moment, expires, longest_validity_days, valid_at
from ios_mdm.core.pair.policies.answers import Condition, Policy, digits, first_answer, refusal

if TYPE_CHECKING:
    from ios_mdm.core.pair.situation import Situation

__all__ = [
    "DELETIONS",
    "DISMISSALS",
    "ISSUES",
    "PROMOTIONS",
    "REFUSALS",
    "another_is_offered",
    "another_is_wanted",
    "custom_main_gets_no_issued_reserve",
    "deletion_is_confirmed",
    "generation_is_only_raised",
    "it_comes_to_nothing",
    "it_gets_another_chain",
    "it_has_expired",
    "its_moment_has_come",
    "main_expires_soon",
    "none_is_wanted",
    "one_certificate_has_one_chain",
    "one_is_held_at_all_times",
    "one_is_offered",
    "successors_inherit",
]


# Refusals of a definition.


def custom_main_gets_no_issued_reserve(at: Situation) -> Notice | None:
    """R4: no reserve is issued for a custom main, and a definition that requests one is refused."""
    if at.main.source is not Source.INSTALLED or not isinstance(at.definition.reserve, IssueReserve):
        return None
    return refusal(
        "custom-main",
        "reserve.issue requests an issued reserve, but main is a custom certificate: a reserve is never issued for "
        "it. Remove reserve.issue, and install a custom reserve",
    )


def one_certificate_has_one_chain(at: Situation) -> Notice | None:
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


def generation_is_only_raised(at: Situation) -> Notice | None:
    """R10: a lowered request counter is refused."""
    wanted = at.definition.reserve
    if not isinstance(wanted, IssueReserve) or at.reserve is None or at.reserve.facts is None:
        return None
    has = at.reserve.facts.generation
    if wanted.generation >= has or at.now >= expires(at.reserve.facts):
        return None
    return refusal(
        "generation-lowered",
        f"reserve.issue.generation is {wanted.generation}, but the reserve has generation {has}, and a generation must "
        f"not be lowered: set it to {has}, or to {has + 1} for another reserve",
    )


def deletion_is_confirmed(at: Situation) -> Notice | None:
    """R10, R32: inside the warning window, a reserve is deleted only if the definition has its fingerprint."""
    if at.reserve is None or at.reserve.facts is None or at.now < at.window:
        return None
    wish = first_answer((none_is_wanted, another_is_wanted, another_is_offered), at)
    expired = at.now >= expires(at.reserve.facts)
    if wish is None or expired or digits(at.definition.confirm) == at.reserve.facts.sha256:
        return None
    return refusal(
        "unconfirmed",
        f"main expires on {expires(at.main):%Y-%m-%d}, and certificate {at.reserve.ordinal} is its reserve, but "
        f"{wish.message}. To confirm this, add `reserve.confirm: {at.reserve.facts.sha256}` to the definition",
    )


REFUSALS: tuple[Policy, ...] = (
    custom_main_gets_no_issued_reserve,
    one_certificate_has_one_chain,
    generation_is_only_raised,
    deletion_is_confirmed,
)


# Dismissals: reasons for which the waiting reserve leaves its slot.


def it_has_expired(at: Situation) -> Notice | None:
    """R32: an expired reserve is dismissed."""
    if at.reserve is None or at.reserve.facts is None or at.now < expires(at.reserve.facts):
        return None
    return Notice(
        reason="reserve-expired",
        severity=Severity.WARNING,
        message=f"the reserve, certificate {at.reserve.ordinal}, has expired and is replaced",
    )


def it_comes_to_nothing(at: Situation) -> Notice | None:
    """R3, R32: a reserve that expires before its apply time is dismissed when a better reserve can be issued."""
    wanted = at.requested
    if not at.comes_to_nothing or at.reserve is None or not isinstance(wanted, IssueReserve):
        return None
    without = replace(at, reserve=None)
    if not one_is_held_at_all_times(without) and not main_expires_soon(without):
        return None
    days = wanted.validity_days or longest_validity_days(at.main)
    lead = timedelta(minutes=at.definition.promotion.lead_minutes)
    if at.now - BACKDATED + timedelta(days=days) <= apply_moment(wanted.apply, lead, at.main, at.main, came=at.now):
        return None  # the next reserve also expires before its apply time
    return Notice(
        reason="reserve-too-short",
        severity=Severity.WARNING,
        message=f"the reserve, certificate {at.reserve.ordinal}, expires before its apply time and is replaced",
    )


def none_is_wanted(at: Situation) -> Notice | None:
    """R10: only `reserve.none: true` deletes a reserve without a successor."""
    if not isinstance(at.definition.reserve, NoReserve):
        return None
    return Notice(reason="none-wanted", severity=Severity.NOTICE, message="reserve.none deletes it")


def another_is_wanted(at: Situation) -> Notice | None:
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


def another_is_offered(at: Situation) -> Notice | None:
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


def it_gets_another_chain(at: Situation) -> Notice | None:
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
    none_is_wanted,
    another_is_wanted,
    another_is_offered,
    it_gets_another_chain,
)
"""Dismissals that the definition requests: they end the offer to devices (R10, R35)."""

DISMISSALS: tuple[Policy, ...] = (it_has_expired, it_comes_to_nothing, *DELETIONS)


# Promotions: reasons for which the waiting reserve becomes main now.


def its_moment_has_come(at: Situation) -> Notice | None:
    """R6, R7, R11, R15, R32: a valid reserve is promoted at its apply time, unless it is unsent or on hold.

    After main has expired, a reserve is promoted even if devices were not sent it.
    """
    if at.unsent and at.now < expires(at.main):
        return None
    if not at.is_due or at.definition.promotion.hold or at.reserve is None or at.reserve.facts is None:
        return None
    if not valid_at(at.reserve.facts, at.now):
        return None
    return Notice(
        reason="due",
        severity=Severity.NOTICE,
        message=f"certificate {at.reserve.ordinal} becomes main: its apply time, {at.apply_at:%Y-%m-%d %H:%M} UTC, "
        "is reached",
    )


PROMOTIONS: tuple[Policy, ...] = (its_moment_has_come,)


# Reasons for which a reserve is issued or installed now. Only an issued main gets an issued reserve (R4).


def one_is_held_at_all_times(at: Situation) -> bool:
    """R2: with `when: now`, a reserve is issued whenever the pair has none."""
    return _issues(at) and isinstance(at.requested, IssueReserve) and at.requested.when is When.NOW


def main_expires_soon(at: Situation) -> bool:
    """R3: an automatic reserve is issued `beforeDays` before main expires."""
    if not _issues(at) or not isinstance(at.requested, IssueReserve):
        return False
    return at.now >= expires(at.main) - timedelta(days=at.requested.before_days)


def one_is_offered(at: Situation) -> bool:
    """R2, R4: a custom reserve is installed as soon as the definition offers a certificate that is not in the pair."""
    wanted = at.definition.reserve
    if at.reserve is not None or not isinstance(wanted, InstallReserve):
        return False
    return at.is_new(wanted.offered) and at.now <= wanted.offered.not_after


ISSUES: tuple[Condition, ...] = (one_is_held_at_all_times, main_expires_soon, one_is_offered)


def successors_inherit(at: Situation, days: int) -> Notice | None:
    """R8: the validity of a reserve limits the validity of all later certificates."""
    longest = longest_validity_days(at.main)
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
