"""What a pair should be: pure decisions from a definition, what was observed, and the moment.

:func:`desired` says *what should be* and *why*; ``core.steps`` turns it into effects, one at a time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from provider.core.decision import Desired, IssueRequest, Notice, Phase, Severity
from provider.core.definition import AfterCurrentExpires, AfterDays, At, IssueReserve, NoReserve, When
from provider.core.model import CertificateFacts, Label, ObservedPair, Role, Source
from provider.core.moments import BACKDATED, apply_moment, expires, issued_at, longest_validity_days, valid_at
from provider.errors import DefinitionError

if TYPE_CHECKING:
    from provider.core.definition import ApplyMoment, PairDefinition
    from provider.core.model import StoredVersion

__all__ = ["desired", "foreseen"]


def desired(definition: PairDefinition, observed: ObservedPair | None, now: datetime) -> Desired:
    """Return what the pair should be at *now*.

    Args:
        definition: what the user wants.
        observed: the pair as it is, None where there is none yet.
        now: aware UTC, whole seconds.

    Raises:
        DefinitionError: The definition asks for what must not be done to this pair; the message says what is allowed.
    """
    observed = observed or ObservedPair()
    if observed.main is None or _only_created(observed):
        # Everything is yet to be issued, or was begun by a run that crashed.
        return _Decision(definition, observed, now).new_main(None)
    return _Decision(definition, observed, now).made()


def _only_created(observed: ObservedPair) -> bool:
    """Return whether our secret was created and no certificate has been in a slot yet, whatever AWSCURRENT is on.

    An emulator gives a new secret an empty version; a run that died just then must not stop the next one. A
    certificate that was once in a slot and lost its label is different: devices know it, and nothing replaces it (R32).
    """
    ours = [version for version in observed.versions if version.ordinal is not None]
    begun = all(version.labels == {Label.STAGED} for version in ours) if ours else observed.highest_ordinal == 0
    return observed.owner is not None and begun


def _reason(definition: PairDefinition, phase: Phase, main: Source) -> str:
    """Return why the pair should be in this phase, without a date or a number: equal as long as the phase is right.

    It is stored and compared at every run, so what it says must not change by being carried out.
    """
    wanted = definition.reserve or IssueReserve()
    if phase is Phase.CONNECTION_LOST:
        return "main has expired and there is no reserve"
    if isinstance(wanted, NoReserve):
        return "the definition wants no reserve"
    if phase in {Phase.STEADY, Phase.EXPIRING}:
        if main is Source.INSTALLED:
            return "main is a custom certificate and no reserve is installed"
        return f"a reserve is issued {wanted.before_days} days before main expires"
    return _apply_reason(wanted.apply, definition.promotion.lead_minutes) + (
        "; promotion is on hold" if definition.promotion.hold else ""
    )


def _apply_reason(apply: ApplyMoment, lead_minutes: int) -> str:
    match apply:
        case AfterDays(days=days):
            return f"the reserve becomes main {days} days after it was issued"
        case At(moment=moment):
            return f"the reserve becomes main at {moment:%Y-%m-%d %H:%M} UTC"
        case _:
            lead = f"{lead_minutes} minutes before" if lead_minutes else "when"
            return f"the reserve becomes main {lead} main expires"


def _begun(observed: ObservedPair, role: Role) -> int | None:
    """Return the ordinal of a certificate that an interrupted run has stored but not put into its slot."""
    staged = observed.holder(Label.STAGED)
    if staged is None or staged.labels != {Label.STAGED} or staged.role not in {None, role}:
        return None
    return staged.ordinal


def _main_request(definition: PairDefinition, ordinal: int) -> IssueRequest:
    return IssueRequest(
        ordinal=ordinal,
        role=Role.MAIN,
        key=definition.main.key,
        validity_days=definition.main.validity_days,
        generation=definition.main.generation,
    )


def _reserve_request(definition: PairDefinition, wanted: IssueReserve, ordinal: int, bound: int) -> IssueRequest:
    """Return the request for a reserve that is valid for at most *bound* days, main's own validity (R8)."""
    days = bound if wanted.validity_days is None else wanted.validity_days
    if days > bound:
        raise DefinitionError(
            f"reserve.issue.validityDays is {days}, but the validity of a reserve must not exceed main's, which is "
            f"{bound} days: set it to {bound} or less, or leave it out (R8)"
        )
    return IssueRequest(
        ordinal=ordinal,
        role=Role.RESERVE,
        key=wanted.key or definition.main.key,
        validity_days=days,
        generation=wanted.generation,
    )


class _Decision:
    """One decision about a pair that has a main: its parts share what was observed."""

    def __init__(self, definition: PairDefinition, observed: ObservedPair, now: datetime) -> None:
        self.definition = definition
        self.observed = observed
        self.now = now
        self.notices: list[Notice] = []
        self.lead = timedelta(minutes=definition.promotion.lead_minutes)
        self.requested = definition.reserve or IssueReserve()

    def made(self) -> Desired:
        main = self.observed.main
        assert main is not None  # noqa: S101 - `desired` asks this of pairs that have a main
        if main.ordinal is None:
            raise DefinitionError(
                f"AWSCURRENT is on version {main.version_id}, which is no certificate of this pair: move it back onto "
                "one with `aws secretsmanager update-secret-version-stage`, then run again"
            )
        if main.facts is None:
            return self._unknown(main.ordinal)
        waiting = self._waiting(main)
        reserve = self._kept(main.facts, waiting)
        if reserve is not None and reserve.facts is not None and self._due(main.facts, reserve.facts):
            return self._promoted(main, reserve)
        if not valid_at(main.facts, self.now) and self.now >= expires(main.facts):
            return self._lost(main, reserve)
        self._refuse_main_generation()
        return self._steady(main, main.facts, reserve)

    def _unknown(self, main: int) -> Desired:
        """Keep everything as it is while main's facts are lost: they are written again first, then decided on."""
        reserve = self.observed.reserve
        return Desired(
            phase=Phase.STEADY if reserve is None else Phase.OVERLAP,
            main=main,
            reserve=None if reserve is None else reserve.ordinal,
            formers=self._formers(main),
            requests=(),
            reason=_reason(self.definition, Phase.STEADY if reserve is None else Phase.OVERLAP, Source.ISSUED),
            apply_at=None,
        )

    def _waiting(self, main: StoredVersion) -> StoredVersion | None:
        """Return the reserve: the version labelled so, or the one that lost its label out of band."""
        reserve = self.observed.reserve
        if reserve is not None and reserve.ordinal is not None and reserve.role is not Role.DELETED:
            return reserve
        lost = [
            version
            for version in self.observed.versions
            if version.role is Role.RESERVE
            and _later(version, main)
            and not version.labels & {Label.MAIN, Label.FORMER}
        ]
        return lost[-1] if lost else None

    def _kept(self, main: CertificateFacts, waiting: StoredVersion | None) -> StoredVersion | None:
        """Return the waiting reserve unless the definition wants it gone (R10), or it is of no use any more."""
        if waiting is None or waiting.facts is None:
            return waiting
        wanted = self.definition.reserve
        if self.now >= expires(waiting.facts):
            self._notice(Severity.WARNING, f"the reserve, certificate {waiting.ordinal}, has expired and is replaced")
            return None
        if isinstance(wanted, NoReserve):
            self._confirm(main, waiting.facts, "reserve.none deletes it")
            return None
        if isinstance(wanted, IssueReserve) and wanted.generation != waiting.facts.generation:
            if wanted.generation < waiting.facts.generation:
                raise DefinitionError(
                    f"reserve.issue.generation is {wanted.generation}, but the reserve is of generation "
                    f"{waiting.facts.generation}: a generation is only raised, so set it to "
                    f"{waiting.facts.generation}, or to {waiting.facts.generation + 1} for another reserve"
                )
            self._confirm(main, waiting.facts, "a raised reserve.issue.generation replaces it")
            return None
        return waiting

    def _confirm(self, main: CertificateFacts, reserve: CertificateFacts, why: str) -> None:
        """Ask twice before a reserve goes inside the warning window (R10, R32)."""
        window = expires(main) - timedelta(days=self.definition.warn_days)
        if self.now >= window and (self.definition.confirm or "").replace(":", "").lower() != reserve.sha256:
            raise DefinitionError(
                f"main expires on {expires(main):%Y-%m-%d} and certificate {reserve.ordinal} is its reserve; {why}. "
                f"If that is meant, add to the definition `reserve.confirm: {reserve.sha256}` (R10)"
            )

    def _due(self, main: CertificateFacts, reserve: CertificateFacts) -> bool:
        """Return whether the reserve should be main by now (R6, R7, R11); never one that is not valid now (R32)."""
        due = self.now >= apply_moment(self._apply(), self.lead, main, reserve) and valid_at(reserve, self.now)
        if due and self.definition.promotion.hold:
            self._notice(
                Severity.CRITICAL if self.now >= expires(main) else Severity.WARNING,
                f"certificate {reserve.ordinal} should have been applied, but promotion.hold is set: set it to false",
            )
        return due and not self.definition.promotion.hold

    def _apply(self) -> ApplyMoment:
        return self.requested.apply if isinstance(self.requested, IssueReserve) else AfterCurrentExpires()

    def _promoted(self, former: StoredVersion, promoted: StoredVersion) -> Desired:
        """Decide for the pair in which the waiting reserve is main: the cycle starts again (R12)."""
        assert promoted.facts is not None  # noqa: S101 - a version without facts is never due
        self._notice(
            Severity.NOTICE,
            f"certificate {promoted.ordinal} becomes main: its apply moment, "
            f"{apply_moment(self._apply(), self.lead, _known(former), promoted.facts):%Y-%m-%d %H:%M} UTC, has come",
        )
        return self._steady(promoted, promoted.facts, None)

    def _lost(self, main: StoredVersion, reserve: StoredVersion | None) -> Desired:
        """Decide for a pair whose main has expired and that has no reserve to promote (R13)."""
        answered = self.observed.main_generation or self.definition.main.generation
        staged = self.observed.holder(Label.STAGED)
        begun = staged is not None and staged.labels == {Label.STAGED} and staged.role is Role.MAIN
        if self.definition.main.generation > answered or begun:
            wanted = self.new_main(reserve)
            return replace(wanted, notices=(*wanted.notices, _reinstall()))
        held = reserve is not None and self.definition.promotion.hold
        message = (
            f"main expired on {_known(main).not_after:%Y-%m-%d %H:%M} UTC and "
            + ("its reserve is on hold: set promotion.hold to false" if held else "there is no reserve to promote")
            + ("" if held else f": raise main.issue.generation to {answered + 1} to get a new main")
        )
        self._notice(Severity.CRITICAL, message)
        if not held:
            self.notices.append(_reinstall())
        phase = Phase.OVERDUE if held else Phase.CONNECTION_LOST
        return Desired(
            phase=phase,
            main=_known(main).ordinal,
            reserve=None if reserve is None else reserve.ordinal,
            formers=self._formers(_known(main).ordinal),
            requests=(),
            reason=_reason(self.definition, phase, _known(main).source),
            apply_at=None,
            notices=tuple(self.notices),
        )

    def new_main(self, reserve: StoredVersion | None) -> Desired:
        """Decide for a pair whose main is yet to be issued; *reserve* is one that stays.

        What follows from the dates that main will have is decided with it: else a preview would promise less than the
        run does.
        """
        request = _main_request(self.definition, self._next(Role.MAIN))
        begun = self.observed.numbered(request.ordinal)
        facts = foreseen(request, self.now) if begun is None or begun.facts is None else begun.facts
        return self._decided(request.ordinal, facts, reserve, (request,))

    def _refuse_main_generation(self) -> None:
        answered = self.observed.main_generation or self.definition.main.generation
        if self.definition.main.generation != answered:
            raise DefinitionError(
                f"main.issue.generation is {self.definition.main.generation}, but main is valid and answers "
                f"generation {answered}: set it back to {answered}. A working main is only followed by its reserve; "
                "to get there sooner, issue a reserve now and apply it after few days"
            )

    def _steady(self, main: StoredVersion, facts: CertificateFacts, reserve: StoredVersion | None) -> Desired:
        """Decide for a main that stays."""
        self._tell_of_rollback(main)
        return self._decided(facts.ordinal, facts, reserve)

    def _decided(
        self,
        main: int,
        facts: CertificateFacts,
        reserve: StoredVersion | None,
        requests: tuple[IssueRequest, ...] = (),
    ) -> Desired:
        """Decide about the reserve of a main with these *facts*: the one that waits, a new one, or none."""
        ordinal = None
        apply_at = None
        if reserve is not None:
            ordinal = reserve.ordinal
            apply_at = None if reserve.facts is None else self._apply_at(facts, reserve.facts)
        elif self._wants_reserve(facts) and isinstance(self.requested, IssueReserve):
            begun = _begun(self.observed, Role.RESERVE)
            ordinal = max(main, self.observed.highest_ordinal) + 1 if begun in {None, main} else begun
            assert ordinal is not None  # noqa: S101 - one of the two above is a number
            requests = (*requests, self._new_reserve(ordinal, self.requested, facts))
        else:
            self._warn_of_no_reserve(facts)
        phase = self._phase(facts, ordinal, apply_at)
        return Desired(
            phase=phase,
            main=main,
            reserve=ordinal,
            formers=self._formers(main),
            requests=requests,
            reason=_reason(self.definition, phase, facts.source),
            apply_at=apply_at,
            notices=tuple(self.notices),
        )

    def _apply_at(self, main: CertificateFacts, reserve: CertificateFacts) -> datetime:
        """Return when the waiting reserve is applied, and tell where that is before its period ends (R7)."""
        apply = self._apply()
        moment = apply_moment(apply, self.lead, main, reserve)
        if isinstance(apply, AfterDays) and moment < issued_at(reserve) + timedelta(days=apply.days):
            self._notice(
                Severity.WARNING,
                f"certificate {reserve.ordinal} came late: main expires before the period of {apply.days} days ends, "
                f"so it becomes main on {moment:%Y-%m-%d %H:%M} UTC",
            )
        return moment

    def _new_reserve(self, ordinal: int, wanted: IssueReserve, main: CertificateFacts) -> IssueRequest:
        """Return the request for a reserve, and tell where its successors inherit a shorter validity (R8)."""
        longest = longest_validity_days(main)
        request = _reserve_request(self.definition, wanted, ordinal, longest)
        if request.validity_days < longest:
            self._notice(
                Severity.WARNING,
                f"the reserve is valid for {request.validity_days} days, main for {longest}: once it is main, no "
                f"reserve can be valid for more than its {request.validity_days} days",
            )
        return request

    def _phase(self, main: CertificateFacts, reserve: int | None, apply_at: datetime | None) -> Phase:
        if reserve is None:
            window = expires(main) - timedelta(days=self.definition.warn_days)
            return Phase.EXPIRING if self.now >= window else Phase.STEADY
        return Phase.OVERDUE if apply_at is not None and self.now >= apply_at else Phase.OVERLAP

    def _wants_reserve(self, main: CertificateFacts) -> bool:
        """Return whether a reserve is to be issued: only where main is issued itself (R3, R4)."""
        if main.source is not Source.ISSUED or not isinstance(self.requested, IssueReserve):
            return False
        return self.requested.when is When.NOW or self.now >= self._auto_from(main)

    def _auto_from(self, main: CertificateFacts) -> datetime:
        days = self.requested.before_days if isinstance(self.requested, IssueReserve) else 0
        return expires(main) - timedelta(days=days)

    def _warn_of_no_reserve(self, main: CertificateFacts) -> None:
        """Warn where no reserve will come by itself (R5)."""
        if main.source is Source.ISSUED and not isinstance(self.requested, NoReserve):
            return
        left = (expires(main) - self.now).days
        critical = self.now >= expires(main) - timedelta(days=self.definition.warn_days)
        remedy = "install one" if main.source is Source.INSTALLED else "remove `reserve.none` to get one automatically"
        self._notice(
            Severity.CRITICAL if critical else Severity.WARNING,
            f"main expires on {expires(main):%Y-%m-%d %H:%M} UTC, in {left} days, and there is no reserve: {remedy}",
        )

    def _tell_of_rollback(self, main: StoredVersion) -> None:
        """Tell that an operator's own move of AWSCURRENT is respected (R32)."""
        later = [version.ordinal for version in self.observed.versions if version.former and _later(version, main)]
        if later:
            self._notice(
                Severity.WARNING,
                f"certificate {main.ordinal} is main again, after certificate {later[-1]}: AWSCURRENT was moved back "
                "by hand, which is respected",
            )

    def _next(self, role: Role) -> int:
        """Return the ordinal of the next certificate: one that was begun for this slot, else a new one."""
        return _begun(self.observed, role) or self.observed.highest_ordinal + 1

    def _formers(self, main: int) -> tuple[int, ...]:
        """Return former mains that are still valid: devices keep them until then (R17)."""
        return tuple(
            version.ordinal
            for version in self.observed.versions
            if version.ordinal is not None
            and version.ordinal != main
            and version.facts is not None
            and (version.former or Label.MAIN in version.labels)
            and self.now < expires(version.facts)
        )

    def _notice(self, severity: Severity, message: str) -> None:
        self.notices.append(Notice(severity=severity, message=message))


def foreseen(request: IssueRequest, now: datetime) -> CertificateFacts:
    """Return the facts that a certificate will have that is issued at *now*, but for its digests."""
    return CertificateFacts(
        ordinal=request.ordinal,
        source=Source.ISSUED,
        generation=request.generation,
        not_before=now - BACKDATED,
        not_after=now - BACKDATED + timedelta(days=request.validity_days, seconds=-1),
        sha256="",
        root="",
    )


def _known(version: StoredVersion) -> CertificateFacts:
    assert version.facts is not None  # noqa: S101 - decided before: a version without facts is not judged
    return version.facts


def _later(version: StoredVersion, than: StoredVersion) -> bool:
    return version.ordinal is not None and than.ordinal is not None and version.ordinal > than.ordinal


def _reinstall() -> Notice:
    return Notice(
        severity=Severity.CRITICAL,
        message="no device trusts a certificate that it has never seen: every device must get its management profile "
        "reinstalled (R13)",
    )
