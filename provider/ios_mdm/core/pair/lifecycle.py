"""The decision about a pair: a pure function of its definition, its observed state and the time.

:func:`desired` returns the desired state and the reason for it. ``core.pair.policies`` has the rules.
``core.pair.steps`` turns the desired state into effects, one at a time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair import policies
from ios_mdm.core.pair.budget import MAX_EXPIRED_FORMERS
from ios_mdm.core.pair.certificate_times import BACKDATED, expiry, max_validity_days
from ios_mdm.core.pair.decision import (
    DesiredState,
    InstallRequest,
    IssueRequest,
    Notice,
    Phase,
    Severity,
    coverage_text,
)
from ios_mdm.core.pair.definition import (
    AfterCurrentExpires,
    AfterDays,
    AtTime,
    InstallMain,
    InstallReserve,
    IssueReserve,
    NoReserve,
    Slot,
)
from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.pair.guard import ended_offers, guarded_certificates
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.observed import ObservedPair, Role
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.situation import Situation, staged_main, waiting_reserve
from ios_mdm.core.pair.windows import reserve_time, reserve_window, validity, window_text
from ios_mdm.core.times import shifted_time
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from ios_mdm.core.pair.decision import Request
    from ios_mdm.core.pair.definition import ApplyTime, PairDefinition
    from ios_mdm.core.pair.observed import StoredVersion

__all__ = ["desired_state", "foreseen_facts"]


def desired_state(definition: PairDefinition, observed: ObservedPair | None, now: datetime) -> DesiredState:
    """Return the desired state of the pair at *now*.

    Args:
        definition: definition of the pair.
        observed: observed state of the pair; None if the pair does not exist yet.
        now: current time, aware UTC, whole seconds.

    Raises:
        DefinitionError: The definition requests a change that this pair does not allow; the message says what is
            allowed.
    """
    observed = observed or ObservedPair()
    return _with_guarded_certificates(_slot_decision(definition, observed, now), definition, observed, now)


def _slot_decision(definition: PairDefinition, observed: ObservedPair, now: datetime) -> DesiredState:
    """Decide which certificates are main and reserve, and which former mains devices still need."""
    main = observed.main
    if main is None or _is_only_created(observed):
        # Nothing was issued yet, or a run that began to issue main was interrupted.
        if definition.replace_main and definition.confirm_main is None:
            raise DefinitionError("main.replaceNow is set, but the pair has no main yet: remove main.replaceNow")
        return _with_new_main(definition, observed, now, None)
    if main.ordinal is None:
        raise DefinitionError(
            f"AWSCURRENT is on version {main.version_id}, which is not a certificate of this pair: "
            f"{_recovery_advice(observed)}, then run again"
        )
    if main.facts is None:
        return _with_unknown_main(definition, observed, main.ordinal, now)
    return _with_known_main(
        Situation(
            definition=definition,
            observed=observed,
            now=now,
            main=main.facts,
            reserve=waiting_reserve(observed),
        )
    )


def _recovery_advice(observed: ObservedPair) -> str:
    """Return how the user moves AWSCURRENT back to a certificate of the pair, or restores a deleted version."""
    move = "move AWSCURRENT back to a certificate of the pair with `aws secretsmanager update-secret-version-stage`"
    numbered = [one for one in observed.versions if one.ordinal is not None]
    if any(one.slots for one in numbered):
        return move
    mains = [one for one in numbered if one.role is Role.MAIN] or numbered
    number = 1 if not mains else mains[-1].ordinal
    name = observed.arn.partition(":secret:")[2].rpartition("-")[0]
    token = mains[-1].version_id if mains else version_id(name, 1)
    return (
        f"{move}. If the version of certificate {number} was deleted, restore its value with `aws secretsmanager "
        f"put-secret-value --version-stages AWSCURRENT --client-request-token {token}`"
    )


def _with_guarded_certificates(
    wanted: DesiredState, definition: PairDefinition, observed: ObservedPair, now: datetime
) -> DesiredState:
    """Add the certificates that devices must still trust, and remove those that the definition distrusts (R35)."""
    wanted = replace(wanted, formers=policies.trusted_formers(definition, observed, wanted.formers))
    _refuse(policies.distrusted_certificate_kept(definition, observed, wanted, now))
    kept = guarded_certificates(
        observed,
        wanted.trusted_ordinals,
        deleted=_deleted_reserve(wanted, definition, observed, now),
        distrust=definition.distrust,
        now=now,
    )
    wanted = replace(wanted, guarded=kept)
    slots = {wanted.main, wanted.next_main, wanted.reserve}
    return replace(
        wanted,
        withdrawn=ended_offers(observed, wanted.trusted_ordinals, slots=slots, now=now),
        notices=(
            *wanted.notices,
            *policies.guard_notices(definition, observed, wanted),
            *policies.label_notices(observed),
            *policies.connection_notices(observed.served),
        ),
    )


def _deleted_reserve(
    wanted: DesiredState, definition: PairDefinition, observed: ObservedPair, now: datetime
) -> int | None:
    """Return the ordinal of the reserve that the definition deletes now; None if it deletes none."""
    main, reserve = observed.main, waiting_reserve(observed)
    if main is None or main.facts is None or reserve is None or reserve.ordinal in {wanted.main, wanted.reserve}:
        return None
    at = Situation(definition=definition, observed=observed, now=now, main=main.facts, reserve=reserve)
    return None if policies.first_answer(policies.DELETIONS, at) is None else reserve.ordinal


def _is_only_created(observed: ObservedPair) -> bool:
    """Return whether the secret has an owner, and no certificate was in a slot yet.

    AWSCURRENT can be on another version: an emulator gives a new secret an empty version. If a run is interrupted
    right after it created the secret, the next run must continue. A certificate that was in a slot and lost its label
    is a different case: devices trust it, and it must not be replaced (R32).
    """
    numbered = [version for version in observed.versions if version.ordinal is not None]
    only_begun = (
        all(version.slots == {Label.STAGED} for version in numbered) if numbered else observed.highest_ordinal == 0
    )
    return observed.owner is not None and only_begun


def _with_unknown_main(definition: PairDefinition, observed: ObservedPair, main: int, now: datetime) -> DesiredState:
    """Return the present state, because main's facts are lost. They are written again before anything is decided."""
    reserve = observed.reserve
    phase = Phase.STEADY if reserve is None else Phase.OVERLAP
    return DesiredState(
        phase=phase,
        main=main,
        reserve=None if reserve is None else reserve.ordinal,
        formers=_formers(observed, main, now),
        requests=(),
        reason=_reason(definition, phase, None),
        apply_at=None,
    )


def _with_known_main(found: Situation) -> DesiredState:
    """Decide for a pair whose main has facts."""
    _refuse(policies.first_answer(policies.REFUSALS, found))
    if found.now < expiry(found.main) or found.definition.replace_main:
        _refuse(policies.main_replacement_refused(found))
    # Promotions first: AWS might have begun to act on the schedule, and it promotes a reserve that is deleted now, too.
    promotion = policies.first_answer(policies.PROMOTIONS, found)
    if promotion is not None:
        assert found.reserve is not None  # noqa: S101 - no policy promotes a reserve that does not exist,
        assert found.reserve.facts is not None  # noqa: S101 - or whose dates are unknown
        # The cycle starts again from the new main's dates (R12).
        return _with_current_main(replace(found, main=found.reserve.facts, reserve=None), (promotion,))
    dismissal = policies.first_answer(policies.DISMISSALS, found) if found.reserve is not None else None
    notices = () if dismissal is None or dismissal.severity is Severity.NOTICE else (dismissal,)
    if dismissal is not None:
        found = replace(found, reserve=None)
        if found.now < expiry(found.main):
            # Checked again without the reserve: main.install might offer the certificate that is deleted.
            _refuse(policies.main_replacement_refused(found))
    if found.now >= expiry(found.main):
        return _after_expiry(found, notices)
    replacement = policies.main_replaced(found) or policies.main_chain_changed(found)
    if replacement is not None and policies.next_main_waits(found):
        return _with_next_main(found, (*notices, replacement))
    if replacement is not None:
        wanted = _with_new_main(
            definition=found.definition, observed=found.observed, now=found.now, reserve=found.reserve
        )
        return replace(wanted, notices=(*notices, replacement, *wanted.notices))
    return _with_current_main(found, notices)


def _with_current_main(at: Situation, notices: tuple[Notice, ...], requests: tuple[Request, ...] = ()) -> DesiredState:
    """Decide about the reserve of a main that stays: the waiting reserve, a new reserve, or no reserve."""
    reserve = None if at.reserve is None else at.reserve.ordinal
    wanted = at.reserve_request
    is_due = any(condition(at) for condition in policies.ISSUES)
    reserve_at = None
    if is_due and isinstance(wanted, IssueReserve):
        reserve = _reserve_ordinal(at)
        request = _reserve_request(at.definition, wanted, reserve, max_validity_days(at.main))
        shorter = policies.successor_validity_bounded(at, request.validity_days)
        notices = notices if shorter is None else (*notices, shorter)
        requests = (*requests, request)
    elif is_due and isinstance(wanted, InstallReserve):
        reserve = _reserve_ordinal(at)
        requests = (*requests, InstallRequest(ordinal=reserve, slot=Slot.RESERVE, offered=wanted.offered))
    elif reserve is None and at.main.source is Source.ISSUED and isinstance(wanted, IssueReserve):
        reserve_at = reserve_time(wanted, at.main)
    phase = _phase(at, reserve)
    return DesiredState(
        phase=phase,
        main=at.main.ordinal,
        reserve=reserve,
        formers=_formers(at.observed, at.main.ordinal, at.now),
        requests=requests,
        reason=_reason(at.definition, phase, at.main),
        apply_at=at.apply_at,
        gate=at.gate,
        reserve_at=reserve_at,
        notices=(*notices, *policies.all_answers(policies.WARNINGS, at)),
    )


def _with_new_main(
    definition: PairDefinition, observed: ObservedPair, now: datetime, reserve: StoredVersion | None
) -> DesiredState:
    """Decide for a pair whose next main is issued or installed now, and whose *reserve* stays.

    The reserve is decided from the dates that main will have, so that a preview shows everything that the run does.
    """
    request = _main_request(definition, observed, now)
    stored = observed.version_of(request.ordinal)
    main = foreseen_facts(request, now) if stored is None or stored.facts is None else stored.facts
    at = Situation(definition=definition, observed=observed, now=now, main=main, reserve=reserve)
    _refuse(policies.certificate_has_two_chains(at))
    useless = policies.reserve_expires_unapplied(at)
    if useless is not None:
        return _with_current_main(replace(at, reserve=None), (useless,), (request,))
    return _with_current_main(at, (), (request,))


def _with_next_main(at: Situation, notices: tuple[Notice, ...]) -> DesiredState:
    """Decide for a pair whose main stays until devices were sent the next main.

    A waiting reserve and its schedule stay: if main expires before it is replaced, the reserve becomes main, which
    devices trust. A missing reserve is not issued now, because it must follow the next main, and STAGED is on only one
    certificate at a time.
    """
    request = _main_request(at.definition, at.observed, at.now)
    stored = at.observed.version_of(request.ordinal)
    reserve = None if at.reserve is None else at.reserve.ordinal
    return DesiredState(
        phase=_phase(at, reserve),
        main=at.main.ordinal,
        next_main=request.ordinal,
        reserve=reserve,
        formers=_formers(at.observed, at.main.ordinal, at.now),
        requests=(request,) if stored is None or stored.facts is None else (),
        reason="main.replaceNow: the next main is sent to the devices, and then becomes main"
        + ("; promotion is on hold" if at.definition.promotion.hold else ""),
        apply_at=at.apply_at,
        gate=at.gate,
        notices=(*notices, *policies.all_answers(policies.WARNINGS, at)),
    )


def _main_request(definition: PairDefinition, observed: ObservedPair, now: datetime) -> Request:
    """Return the request for another main, with the number of the main that an earlier run stored, or a new number."""
    ordinal = staged_main(definition, observed, now) or observed.highest_ordinal + 1
    if isinstance(definition.main, InstallMain):
        return InstallRequest(ordinal=ordinal, slot=Slot.MAIN, offered=definition.main.offered)
    return IssueRequest(
        ordinal=ordinal,
        slot=Slot.MAIN,
        key=definition.main.key,
        validity_days=definition.main.validity_days,
        generation=definition.main.generation,
    )


def _after_expiry(at: Situation, notices: tuple[Notice, ...]) -> DesiredState:
    """Decide for a pair whose main has expired and that has no reserve to promote (R13)."""
    if policies.new_main_requested(at):
        wanted = _with_new_main(at.definition, at.observed, at.now, at.reserve)
        # Devices trust a next main that they were sent before main expired.
        is_sent = at.observed.is_sent(at.staged_main)
        return replace(
            wanted, notices=(*notices, *wanted.notices, *(() if is_sent else (policies.reinstallation_notice(),)))
        )
    held = at.reserve is not None
    expired = f"main expired on {at.main.not_after:%Y-%m-%d %H:%M} UTC and "
    if not held:
        lost = (
            f"{expired}there is no reserve to promote: raise main.issue.generation to {at.main_generation + 1} to get "
        )
        lost += "a new main, or install one"
        notices = (*notices, Notice(reason="lost", severity=Severity.CRITICAL, message=lost, due=expiry(at.main)))
        notices = (*notices, policies.reinstallation_notice())
    phase = Phase.OVERDUE if held else Phase.CONNECTION_LOST
    return DesiredState(
        phase=phase,
        main=at.main.ordinal,
        reserve=None if at.reserve is None else at.reserve.ordinal,
        formers=_formers(at.observed, at.main.ordinal, at.now),
        requests=(),
        reason=_reason(at.definition, phase, at.main),
        apply_at=at.apply_at,
        gate=at.gate,
        notices=(*policies.all_answers(policies.WARNINGS, at), *notices),
    )


def _phase(at: Situation, reserve: int | None) -> Phase:
    if reserve is None:
        return Phase.EXPIRING if at.now >= at.critical_from else Phase.STEADY
    return Phase.OVERDUE if at.apply_at is not None and at.now >= at.apply_at else Phase.OVERLAP


def _formers(observed: ObservedPair, main: int, now: datetime) -> tuple[int, ...]:
    """Return the ordinals of the former mains that devices still need, ascending (R17).

    Devices need a former main until it has expired and every checked endpoint presents main or a later certificate.
    """
    kept: list[int] = []
    expired: list[int] = []
    for version in observed.versions:
        former = version.is_former or Label.MAIN in version.labels or observed.was_main(version)
        if version.ordinal in {None, main} or version.facts is None or not former:
            continue
        # A deleted reserve with AWSPREVIOUS was main: an operator promoted it during its deletion.
        if version.role is Role.DELETED and (Label.FORMER not in version.labels or now >= expiry(version.facts)):
            continue
        if now < expiry(version.facts):
            kept.append(version.facts.ordinal)
        elif not _is_replaced_everywhere(observed, version.facts.ordinal, main):
            expired.append(version.facts.ordinal)
    return tuple(sorted((*kept, *expired[-MAX_EXPIRED_FORMERS:])))


def _is_replaced_everywhere(observed: ObservedPair, former: int, main: int) -> bool:
    """Return whether at least one endpoint was checked, and each one presents main or a certificate after *former*."""
    ordinals = {version.facts.sha256: version.facts.ordinal for version in observed.versions if version.facts}
    seen = [ordinals.get(one.sha256, 0) for one in observed.served if one.sha256 is not None]
    return bool(seen) and all(ordinal == main or ordinal > former for ordinal in seen)


def _reserve_ordinal(at: Situation) -> int:
    """Return the number for the next reserve: that of a reserve that an earlier run stored, otherwise a new number."""
    started = at.staged_reserve
    if started is not None and started != at.main.ordinal:
        return started
    return max(at.main.ordinal, at.observed.highest_ordinal) + 1


def _reserve_request(definition: PairDefinition, wanted: IssueReserve, ordinal: int, bound: int) -> IssueRequest:
    """Return the request for a reserve.

    Args:
        definition: definition of the pair.
        wanted: settings for the reserve.
        ordinal: number for the reserve.
        bound: maximum validity in days, from main's validity (R8).

    Raises:
        DefinitionError: The definition has a longer validity.
    """
    days = bound if wanted.validity_days is None else wanted.validity_days
    if days > bound:
        raise DefinitionError(
            f"reserve.issue.validityDays is {days}, but the validity of a reserve must not exceed main's, which is "
            f"{bound} days: set it to {bound} or less, or leave it out"
        )
    return IssueRequest(
        ordinal=ordinal,
        slot=Slot.RESERVE,
        key=wanted.key or definition.issue.key,
        validity_days=days,
        generation=wanted.generation,
    )


def _reason(definition: PairDefinition, phase: Phase, main: CertificateFacts | None) -> str:
    """Return why the pair has this phase.

    The reason is stored and compared at every run. It depends on no observed date or number, so that it stays the same
    after the run has carried out the decision. It depends on main's validity, which is constant for each main.

    Args:
        definition: definition of the pair.
        phase: phase of the pair.
        main: facts of main; None if they are lost. Then main counts as issued with the validity in the definition.
    """
    wanted = definition.reserve or IssueReserve()
    if phase is Phase.CONNECTION_LOST:
        return "main has expired and there is no reserve"
    if isinstance(wanted, NoReserve):
        return "the definition wants no reserve"
    if phase in {Phase.STEADY, Phase.EXPIRING}:
        if main is not None and main.source is Source.INSTALLED:
            return "main is a custom certificate and no reserve is installed"
        if isinstance(wanted, InstallReserve):
            return "the certificate of reserve.install was applied already"
        days = timedelta(days=definition.issue.validity_days) if main is None else validity(main)
        return f"a reserve is issued {window_text(reserve_window(wanted.before_days, days))} before main expires"
    came = "installed" if isinstance(wanted, InstallReserve) else "issued"
    minimum, is_early = definition.promotion.minimum_coverage, not isinstance(wanted.apply, AfterCurrentExpires)
    gated = f", if at least {coverage_text(minimum)}" if minimum is not None and is_early else ""
    return (
        _apply_reason(wanted.apply, definition.promotion.lead_minutes, came)
        + gated
        + ("; promotion is on hold" if definition.promotion.hold else "")
    )


def _apply_reason(apply: ApplyTime, lead_minutes: int, came: str) -> str:
    match apply:
        case AfterDays(days=days):
            return f"the reserve becomes main {days} days after it was {came}"
        case AtTime(time=moment):
            return f"the reserve becomes main at {moment:%Y-%m-%d %H:%M} UTC"
        case _:
            lead = f"{lead_minutes} minutes before" if lead_minutes else "when"
            return f"the reserve becomes main {lead} main expires"


def _refuse(answer: Notice | None) -> None:
    if answer is not None:
        raise DefinitionError(answer.message)


def foreseen_facts(request: Request, now: datetime) -> CertificateFacts:
    """Return the facts that a requested certificate will have. The digests of an issued certificate are empty.

    Args:
        request: request for the certificate.
        now: time of issue, aware UTC, whole seconds.
    """
    if isinstance(request, InstallRequest):
        return CertificateFacts(
            ordinal=request.ordinal,
            source=Source.INSTALLED,
            generation=request.generation,
            not_before=request.offered.not_before,
            not_after=request.offered.not_after,
            sha256=request.offered.sha256,
            root=request.offered.root,
            chain=request.offered.chain,
        )
    return CertificateFacts(
        ordinal=request.ordinal,
        source=Source.ISSUED,
        generation=request.generation,
        not_before=now - BACKDATED,
        not_after=shifted_time(now - BACKDATED, timedelta(days=request.validity_days, seconds=-1)),
        sha256="",
        root="",
    )
