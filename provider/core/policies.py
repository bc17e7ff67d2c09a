"""The rules of a pair's life as named policies: pure functions that answer with a reason and a message, or not at all.

They stand in chains. Of a chain that decides, the first answer counts; of :data:`WARNINGS`, every one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from provider.core.decision import Notice, Severity
from provider.core.definition import AfterDays, InstallMain, InstallReserve, IssueMain, IssueReserve, NoReserve, When
from provider.core.model import Label, Role, Source
from provider.core.moments import expires, longest_validity_days, valid_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider.core.situation import Situation

__all__ = [
    "DISMISSALS",
    "ISSUES",
    "PROMOTIONS",
    "REFUSALS",
    "WARNINGS",
    "Policy",
    "all_answers",
    "first_answer",
    "main_gets_another_chain",
    "main_is_replaced",
    "main_not_replaced",
    "new_main_asked",
    "reinstall",
]

Policy = Callable[["Situation"], Notice | None]


def first_answer(policies: Iterable[Policy], situation: Situation) -> Notice | None:
    """Return what the first policy that answers says, None where none does."""
    return next((answer for policy in policies if (answer := policy(situation)) is not None), None)


def all_answers(policies: Iterable[Policy], situation: Situation) -> tuple[Notice, ...]:
    """Return what every policy that answers says, in their order."""
    return tuple(answer for policy in policies if (answer := policy(situation)) is not None)


# What must not be done. An answer refuses the definition.


def custom_main_gets_no_issued_reserve(at: Situation) -> Notice | None:
    """R4: beside a custom main a reserve is never issued, and asking for one is an error."""
    if at.main.source is not Source.INSTALLED or not isinstance(at.definition.reserve, IssueReserve):
        return None
    return _refusal(
        "custom-main",
        "reserve.issue asks for an issued reserve, but main is a custom certificate: a reserve is never issued for "
        "it. Remove reserve.issue, and install a custom reserve (R4)",
    )


def generation_is_only_raised(at: Situation) -> Notice | None:
    """R10: a lowered request counter is a mistake, not a wish."""
    wanted = at.definition.reserve
    if not isinstance(wanted, IssueReserve) or at.reserve is None or at.reserve.facts is None:
        return None
    has = at.reserve.facts.generation
    if wanted.generation >= has or at.now >= expires(at.reserve.facts):
        return None
    return _refusal(
        "generation-lowered",
        f"reserve.issue.generation is {wanted.generation}, but the reserve is of generation {has}: a generation is "
        f"only raised, so set it to {has}, or to {has + 1} for another reserve",
    )


def deletion_is_confirmed(at: Situation) -> Notice | None:
    """R10, R32: inside the warning window a reserve goes only with its fingerprint."""
    if at.reserve is None or at.reserve.facts is None or at.now < at.window:
        return None
    wish = first_answer((none_is_wanted, another_is_wanted, another_is_offered), at)
    expired = at.now >= expires(at.reserve.facts)
    if wish is None or expired or (at.definition.confirm or "").replace(":", "").lower() == at.reserve.facts.sha256:
        return None
    return _refusal(
        "unconfirmed",
        f"main expires on {expires(at.main):%Y-%m-%d} and certificate {at.reserve.ordinal} is its reserve; "
        f"{wish.message}. If that is meant, add to the definition `reserve.confirm: {at.reserve.facts.sha256}` (R10)",
    )


REFUSALS: tuple[Policy, ...] = (
    custom_main_gets_no_issued_reserve,
    generation_is_only_raised,
    deletion_is_confirmed,
)


def main_not_replaced(at: Situation) -> Notice | None:
    """R13, R32: while main works it is followed by its reserve, or replaced on a request that names it."""
    wanted = at.definition.main
    if at.definition.replace_main:
        return _refused_replacement(at)
    if isinstance(wanted, InstallMain):
        if not at.is_new(wanted.offered):
            return None
        if wanted.offered.sha256 == at.main.sha256:
            return _refusal(
                "another-root",
                f"main.install offers certificate {at.main.ordinal}, which is main, under another root, and devices "
                f"trust it by the one that it has: put the former chain back into the file. {_how_to_replace(at)}",
            )
        return _refusal(
            "main-is-valid",
            f"main.install offers the certificate {wanted.offered.sha256}, but main is certificate {at.main.ordinal} "
            f"and valid until {at.main.not_after:%Y-%m-%d %H:%M} UTC. Install it as the reserve: devices then trust it "
            f"before the switch. {_how_to_replace(at)}",
        )
    if wanted.generation == at.answered_main:
        return None
    return _refusal(
        "main-is-valid",
        f"main.issue.generation is {wanted.generation}, but main is valid and answers generation {at.answered_main}: "
        f"set it back to {at.answered_main}. A working main is only followed by its reserve; to get there sooner, "
        "issue a reserve now and apply it after few days",
    )


def _refused_replacement(at: Situation) -> Notice | None:
    confirmed = (at.definition.confirm_main or "").replace(":", "").lower()
    wanted = at.definition.main
    done = isinstance(wanted, InstallMain) and wanted.offered.sha256 == at.main.sha256 and not at.is_new(wanted.offered)
    if done or confirmed == at.main.sha256 or at.was_main(confirmed):
        return None
    return _refusal(
        "unconfirmed-main", f"main.replaceNow is set, and main.confirm does not name main. {_how_to_replace(at)}"
    )


def _how_to_replace(at: Situation) -> str:
    offered = at.definition.main.offered if isinstance(at.definition.main, InstallMain) else None
    same_root = offered is not None and offered.root == at.main.root
    count = at.definition.devices
    devices = "no device trusts" if count is None else f"none of the {count} devices trusts"
    trust = "devices trust its root already" if same_root else f"{devices} it before it has the next profile"
    return (
        f"To replace certificate {at.main.ordinal} at once ({trust}), set `main.replaceNow: true` and "
        f"`main.confirm: {at.main.sha256}`"
    )


def main_is_replaced(at: Situation) -> Notice | None:
    """R32: `main.replaceNow` with the fingerprint of the main that goes; once it has gone, it asks for nothing."""
    confirmed = (at.definition.confirm_main or "").replace(":", "").lower()
    if not at.definition.replace_main or confirmed != at.main.sha256:
        return None
    if isinstance(at.definition.main, InstallMain) and not at.is_new(at.definition.main.offered):
        return None
    return Notice(
        reason="replaced",
        severity=Severity.CRITICAL,
        message=f"certificate {at.main.ordinal} is replaced at once: a device that has not got the next profile when "
        "the server changes loses its connection"
        + ("" if at.definition.devices is None else f"; {at.definition.devices} devices need it"),
    )


def main_gets_another_chain(at: Situation) -> Notice | None:
    """R20: a CA renewed what is between the certificate and its root. Certificate, key and root stay, and so trust."""
    wanted = at.definition.main
    if not isinstance(wanted, InstallMain) or not at.is_rechained(wanted.offered, at.main):
        return None
    return Notice(
        reason="another-chain",
        severity=Severity.NOTICE,
        message=f"the chain of certificate {at.main.ordinal} has changed: it is installed anew with the same key, and "
        "devices trust it as before",
    )


# Why the waiting reserve goes.


def it_has_expired(at: Situation) -> Notice | None:
    """R32: a reserve that is not valid any more is of no use."""
    if at.reserve is None or at.reserve.facts is None or at.now < expires(at.reserve.facts):
        return None
    return Notice(
        reason="reserve-expired",
        severity=Severity.WARNING,
        message=f"the reserve, certificate {at.reserve.ordinal}, has expired and is replaced",
    )


def none_is_wanted(at: Situation) -> Notice | None:
    """R10: `none: true`, and nothing else, deletes without a successor."""
    if not isinstance(at.definition.reserve, NoReserve):
        return None
    return Notice(reason="none-wanted", severity=Severity.NOTICE, message="reserve.none deletes it")


def another_is_wanted(at: Situation) -> Notice | None:
    """R10: a raised generation deletes and issues in one run."""
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
        message=f"reserve.install replaces it by {wanted.offered.sha256}",
    )


def it_gets_another_chain(at: Situation) -> Notice | None:
    """R20: the same for the reserve; R10's confirmation is not asked for, since the certificate stays."""
    wanted = at.definition.reserve
    if not isinstance(wanted, InstallReserve) or at.reserve is None or at.reserve.facts is None:
        return None
    if not at.is_rechained(wanted.offered, at.reserve.facts):
        return None
    return Notice(
        reason="another-chain",
        severity=Severity.NOTICE,
        message=f"the chain of certificate {at.reserve.ordinal} has changed: it is installed anew with the same key",
    )


DISMISSALS: tuple[Policy, ...] = (
    it_has_expired,
    none_is_wanted,
    another_is_wanted,
    another_is_offered,
    it_gets_another_chain,
)


# Why the waiting reserve becomes main now.


def its_moment_has_come(at: Situation) -> Notice | None:
    """R6, R7, R11, R15, R32: at its apply moment, if it is valid, was sent to the devices, and nothing is on hold.

    Once main has expired, a reserve that no device has seen is better than none.
    """
    if at.unsent and at.now < expires(at.main):
        return None
    if not _due(at) or at.definition.promotion.hold or at.reserve is None or at.reserve.facts is None:
        return None
    if not valid_at(at.reserve.facts, at.now):
        return None
    return Notice(
        reason="due",
        severity=Severity.NOTICE,
        message=f"certificate {at.reserve.ordinal} becomes main: its apply moment, {at.apply_at:%Y-%m-%d %H:%M} UTC, "
        "has come",
    )


PROMOTIONS: tuple[Policy, ...] = (its_moment_has_come,)


# Why a reserve is issued now. Only an issued main gets one (R4).


def one_is_held_at_all_times(at: Situation) -> Notice | None:
    """R2: `when: now`."""
    if not _issues(at) or not isinstance(at.requested, IssueReserve) or at.requested.when is not When.NOW:
        return None
    return Notice(reason="when-now", severity=Severity.NOTICE, message="a reserve is held at all times")


def main_expires_soon(at: Situation) -> Notice | None:
    """R3: beforeDays before main expires."""
    if not _issues(at) or not isinstance(at.requested, IssueReserve):
        return None
    if at.now < expires(at.main) - timedelta(days=at.requested.before_days):
        return None
    return Notice(
        reason="before-expiry",
        severity=Severity.NOTICE,
        message=f"main expires in less than {at.requested.before_days} days",
    )


def one_is_offered(at: Situation) -> Notice | None:
    """R2, R4: a custom reserve is installed as soon as the definition offers one that is not in the pair."""
    wanted = at.definition.reserve
    if at.reserve is not None or not isinstance(wanted, InstallReserve) or not at.is_new(wanted.offered):
        return None
    if at.now > wanted.offered.not_after:
        return None
    return Notice(reason="offered", severity=Severity.NOTICE, message="the definition offers a custom reserve")


ISSUES: tuple[Policy, ...] = (one_is_held_at_all_times, main_expires_soon, one_is_offered)


def new_main_asked(at: Situation) -> Notice | None:
    """R13: an expired main without a successor is replaced only on request, or where a run had begun to."""
    staged = at.observed.holder(Label.STAGED)
    started = staged is not None and staged.labels == {Label.STAGED} and staged.role is Role.MAIN
    wanted = at.definition.main
    asked = wanted.generation > at.answered_main if isinstance(wanted, IssueMain) else at.is_new(wanted.offered)
    if not asked and not started:
        return None
    return Notice(reason="new-main", severity=Severity.NOTICE, message="another main is asked for")


# What a person should know. Every answer is told.


def no_reserve_comes_by_itself(at: Situation) -> Notice | None:
    """R5: a custom main without a reserve, or an issued one whose reserve is switched off."""
    if at.reserve is not None or at.now >= expires(at.main) or one_is_offered(at) is not None:
        return None
    if at.main.source is Source.ISSUED and isinstance(at.requested, IssueReserve):
        return None
    switched_off = isinstance(at.requested, NoReserve) and at.main.source is Source.ISSUED
    remedy = "remove `reserve.none` to get one automatically" if switched_off else "install one"
    return Notice(
        reason="no-reserve",
        severity=Severity.CRITICAL if at.now >= at.window else Severity.WARNING,
        message=f"main expires on {expires(at.main):%Y-%m-%d %H:%M} UTC, and there is no reserve: {remedy}",
        due=expires(at.main),
    )


def it_came_late(at: Situation) -> Notice | None:
    """R7: a period that main's expiry cuts short."""
    if at.reserve is None or at.came is None or at.apply_at is None or not isinstance(at.apply, AfterDays):
        return None
    if at.apply_at >= at.came + timedelta(days=at.apply.days):
        return None
    return Notice(
        reason="late",
        severity=Severity.WARNING,
        message=f"certificate {at.reserve.ordinal} came late: main expires before the period of {at.apply.days} days "
        f"ends, so it becomes main on {at.apply_at:%Y-%m-%d %H:%M} UTC",
        due=at.apply_at,
    )


def it_is_overdue(at: Situation) -> Notice | None:
    """R11: the apply moment has passed, and the switch must not happen: on hold, not valid yet, or not sent (R15)."""
    if not _due(at) or at.reserve is None or at.reserve.facts is None:
        return None
    expired = at.now >= expires(at.main)
    if at.definition.promotion.hold:
        why = "but promotion.hold is set: set it to false"
    elif not valid_at(at.reserve.facts, at.now):
        why = f"but is valid from {at.reserve.facts.not_before:%Y-%m-%d %H:%M} UTC only, and is applied then"
    elif at.unsent and not expired:
        why = "but was not sent to the devices yet: the run that sends it is followed by one that applies it"
    else:
        return None
    return Notice(
        reason="overdue",
        severity=Severity.CRITICAL if expired else Severity.WARNING,
        message=f"certificate {at.reserve.ordinal} should have been applied, {why}",
        due=expires(at.main),
    )


def what_is_offered_was_applied(at: Situation) -> Notice | None:
    """R12: after a promotion the definition stays right; what it offers is main by now, or was it."""
    offers = [
        (f"{slot}.install", wanted.offered)
        for slot, wanted in (("main", at.definition.main), ("reserve", at.definition.reserve))
        if isinstance(wanted, InstallMain | InstallReserve)
    ]
    told = [f"{key} is already applied" for key, one in offers[::-1] if one.sha256 == at.main.sha256 and key[0] == "r"]
    told += [
        f"{key} has another chain for it now: to install that, offer the file under main.install"
        for key, one in offers
        if key[0] == "r" and at.is_rechained(one, at.main)
    ]
    told += [
        f"{key} is superseded: it was main before"
        for key, one in offers
        if at.was_main(one.sha256) and one.sha256 != at.main.sha256
    ]
    if not told:
        return None
    return Notice(reason="applied", severity=Severity.NOTICE, message="; ".join(told))


def an_operator_moved_main(at: Situation) -> Notice | None:
    """R32: AWSCURRENT on a valid certificate of ours is main, whoever put it there."""
    mains = [version.facts for version in at.observed.versions if version.former and version.facts is not None]
    # One that was installed anew, for its chain, came first when it was installed first.
    before = {one.sha256 for one in mains if one.ordinal < at.main.ordinal}
    after = [one.ordinal for one in mains if one.ordinal > at.main.ordinal and one.sha256 not in before]
    if not after:
        return None
    return Notice(
        reason="rolled-back",
        severity=Severity.WARNING,
        message=f"certificate {at.main.ordinal} is main again, after certificate {after[-1]}: AWSCURRENT was moved "
        "back by hand, which is respected",
    )


def the_server_serves_another(at: Situation) -> Notice | None:
    """R16, R17: what devices meet is what the server presents, not what a label says."""
    main = at.observed.main
    if main is None or main.facts is None:
        return None
    known = {version.facts.sha256: version.facts.ordinal for version in at.observed.versions if version.facts}
    others = [one for one in at.observed.served if one.sha256 is not None and one.sha256 != main.facts.sha256]
    if not others:
        return None
    seen = ", ".join(
        f"{one.endpoint} serves " + (f"certificate {known[one.sha256]}" if one.sha256 in known else "an unknown one")
        for one in others
        if one.sha256 is not None
    )
    return Notice(
        reason="serves-another",
        severity=Severity.CRITICAL,
        message=f"{seen}, and main is certificate {main.facts.ordinal}: let the server fetch AWSCURRENT and reload "
        "(`python -m provider consume`, docs/servers.md)",
    )


def nobody_could_look(at: Situation) -> Notice | None:
    """R17: what was not seen is not assumed."""
    blind = [one for one in at.observed.served if one.sha256 is None]
    if not blind:
        return None
    seen = ", ".join(f"{one.endpoint} ({one.problem})" for one in blind)
    return Notice(
        reason="not-seen",
        severity=Severity.NOTICE,
        message=f"what the server serves cannot be seen at {seen}: name reachable addresses under endpoints, or none "
        "(`endpoints: []`)",
    )


WARNINGS: tuple[Policy, ...] = (
    no_reserve_comes_by_itself,
    it_came_late,
    it_is_overdue,
    what_is_offered_was_applied,
    an_operator_moved_main,
    the_server_serves_another,
    nobody_could_look,
)


def successors_inherit(at: Situation, days: int) -> Notice | None:
    """R8: the validity of a reserve bounds every certificate after it."""
    longest = longest_validity_days(at.main)
    if days >= longest:
        return None
    return Notice(
        reason="shorter",
        severity=Severity.WARNING,
        message=f"the reserve is valid for {days} days, main for {longest}: once it is main, no reserve can be valid "
        f"for more than its {days} days",
    )


def reinstall() -> Notice:
    """R13: what a lost connection means for the devices."""
    return Notice(
        reason="reinstall",
        severity=Severity.CRITICAL,
        message="no device trusts a certificate that it has never seen: every device must get its management profile "
        "reinstalled (R13)",
    )


def _due(at: Situation) -> bool:
    return at.apply_at is not None and at.now >= at.apply_at


def _issues(at: Situation) -> bool:
    return at.reserve is None and at.main.source is Source.ISSUED


def _refusal(reason: str, message: str) -> Notice:
    return Notice(reason=reason, severity=Severity.CRITICAL, message=message)
