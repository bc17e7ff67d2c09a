"""Each policy alone: when it returns a notice, with which reason and severity, and when it returns None."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.pair import policies
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.definition import (
    AfterDays,
    AtTime,
    InstallMain,
    InstallReserve,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    OfferedCertificate,
    Promotion,
    When,
)
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.observed import Role, ServedCertificate
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.situation import Situation
from ios_mdm.errors import DefinitionError
from tests.support.lifecycle import DAY, END, LEAD, SECOND, START, definition, facts, main, pair, reserve, version

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion
    from ios_mdm.core.pair.policies import Condition, Policy

CHAINS: tuple[tuple[Policy | Condition, ...], ...] = (
    policies.REFUSALS,
    policies.DISMISSALS,
    policies.PROMOTIONS,
    policies.ISSUES,
    policies.WARNINGS,
)
ALONE: tuple[Policy | Condition, ...] = (
    policies.main_replacement_refused,
    policies.main_replaced,
    policies.main_chain_changed,
    policies.new_main_requested,
)
WINDOW = END - 30 * DAY
RESERVED = facts(2, issued=END - 60 * DAY)


def at(
    now: datetime,
    wish: PairDefinition | None = None,
    *,
    known: CertificateFacts | None = None,
    waits: CertificateFacts | None = None,
    observed: ObservedPair | None = None,
) -> Situation:
    """Return a situation with main, and with a reserve if *waits* has its facts."""
    certificate = known or facts(1)
    waiting: StoredVersion | None = None if waits is None else reserve(waits)
    seen = observed or pair(main(certificate), *([] if waiting is None else [waiting]))
    return Situation(definition=wish or definition(), observed=seen, now=now, main=certificate, reserve=waiting)


def says(policy: Policy, situation: Situation) -> tuple[str, Severity] | None:
    """Return reason and severity of the policy's notice; None if it returns none."""
    answer = policy(situation)
    return None if answer is None else (answer.reason, answer.severity)


def test_every_policy_is_tested_by_name() -> None:
    """Each policy of a chain has a test in this module, and a docstring that begins with a requirement id."""
    text = Path(__file__).read_text(encoding="utf-8")
    names = [policy.__name__ for chain in CHAINS for policy in chain] + [policy.__name__ for policy in ALONE]
    assert len(names) == len(set(names))
    assert [name for name in names if f"policies.{name}" not in text] == []
    assert [policy.__name__ for chain in CHAINS for policy in chain if not (policy.__doc__ or "").startswith("R")] == []


class TestRefusals:
    """Refusals of a definition."""

    def test_an_issued_reserve_for_a_custom_main(self) -> None:
        """A definition that requests one is refused. The message says to install a custom reserve."""  # R4
        custom = facts(1, source=Source.INSTALLED)
        for wanted in (IssueReserve(), IssueReserve(when=When.NOW)):
            answer = policies.issued_reserve_for_custom_main(at(START, definition(wanted), known=custom))
            assert answer is not None
            assert "install a custom reserve" in answer.message
        assert policies.issued_reserve_for_custom_main(at(START, definition(), known=custom)) is None
        assert policies.issued_reserve_for_custom_main(at(START, definition(NoReserve()), known=custom)) is None
        assert policies.issued_reserve_for_custom_main(at(START, definition(IssueReserve()))) is None

    def test_one_certificate_with_two_chains(self) -> None:
        """Both files can have the same certificate, but only with the same chain."""  # R20
        known = replace(facts(1, source=Source.INSTALLED), chain="a" * 16)
        for other, refused in (("a" * 16, False), ("b" * 16, True), ("", False)):
            files = definition(InstallReserve(offered=replace(offer(known), chain=other)))
            wish = replace(files, main=InstallMain(offered=offer(known)))
            assert (policies.certificate_has_two_chains(at(START, wish, known=known)) is not None) is refused
        another = definition(InstallReserve(offered=offer(replace(known, sha256="c" * 64, chain="b" * 16))))
        wish = replace(another, main=InstallMain(offered=offer(known)))
        assert policies.certificate_has_two_chains(at(START, wish, known=known)) is None

    def test_an_offered_main_is_checked_without_the_leaving_reserve(self) -> None:
        """A definition that deletes the reserve and offers the same certificate as main is refused."""
        # R10 R32
        custom = replace(facts(2, issued=END - 60 * DAY), source=Source.INSTALLED)
        wish = replace(definition(NoReserve()), main=InstallMain(offered=offer(custom)))
        with pytest.raises(DefinitionError, match=r"main\.install offers"):
            desired_state(wish, pair(main(), reserve(custom)), END - 59 * DAY)

    def test_reserve_generation_lowered(self) -> None:
        """A lowered generation is refused. The message has both valid values."""  # R10
        third = facts(2, generation=3)
        answer = policies.reserve_generation_lowered(at(START, definition(IssueReserve(generation=2)), waits=third))
        assert answer is not None
        assert "set it to 3, or to 4" in answer.message
        same = at(START, definition(IssueReserve(generation=3)), waits=third)
        assert policies.reserve_generation_lowered(same) is None
        assert policies.reserve_generation_lowered(at(START, definition(IssueReserve(generation=1)))) is None

    @pytest.mark.parametrize("wish", [NoReserve(), IssueReserve(generation=2)], ids=["none", "generation"])
    def test_a_deletion_in_the_window_without_the_fingerprint(self, wish: NoReserve | IssueReserve) -> None:
        """From warnDays before main's expiry, a deletion needs the fingerprint. The message has it."""  # R10 R32
        asked = says(policies.deletion_unconfirmed, at(WINDOW, definition(wish), waits=RESERVED))
        assert asked == ("unconfirmed", Severity.CRITICAL)
        answer = policies.deletion_unconfirmed(at(WINDOW, definition(wish, confirm="ab" * 32), waits=RESERVED))
        assert answer is not None
        assert RESERVED.sha256 in answer.message
        assert policies.deletion_unconfirmed(at(WINDOW - SECOND, definition(wish), waits=RESERVED)) is None
        right = definition(wish, confirm=":".join(f"{RESERVED.sha256}"[i : i + 2] for i in range(0, 64, 2)).upper())
        assert policies.deletion_unconfirmed(at(WINDOW, right, waits=RESERVED)) is None
        assert policies.deletion_unconfirmed(at(WINDOW, definition(), waits=RESERVED)) is None

    def test_a_renewal_in_the_window_needs_no_fingerprint(self) -> None:
        """A custom reserve replaces the waiting one without a confirmation if both have the same root."""  # R10 R49
        custom = facts(1, source=Source.INSTALLED)
        waits = replace(facts(2, issued=END - 60 * DAY, source=Source.INSTALLED), root=custom.root)
        renewed = offer(replace(facts(3, issued=END - 20 * DAY), root=custom.root))
        wish = definition(InstallReserve(offered=renewed))
        assert policies.deletion_unconfirmed(at(WINDOW, wish, known=custom, waits=waits)) is None
        other = definition(InstallReserve(offered=replace(renewed, root="e" * 64)))
        assert says(policies.deletion_unconfirmed, at(WINDOW, other, known=custom, waits=waits)) == (
            "unconfirmed",
            Severity.CRITICAL,
        )

    def test_another_main_while_main_is_valid(self) -> None:
        """A raised main generation is refused. The message has the former value."""  # R13 R32
        raised = definition(main=IssueMain(key=KeyType.EC_P256, generation=2))
        answer = policies.main_replacement_refused(at(START, raised))
        assert answer is not None
        assert "set it back to 1" in answer.message
        assert policies.main_replacement_refused(at(START)) is None


class TestDismissals:
    """Reasons for which a waiting reserve leaves its slot."""

    def test_reserve_expired(self) -> None:
        """An expired reserve is replaced, with a warning."""  # R32
        short = facts(2, days=10)
        assert says(policies.reserve_expired, at(short.not_after + SECOND, waits=short)) == (
            "reserve-expired",
            Severity.WARNING,
        )
        assert policies.reserve_expired(at(short.not_after, waits=short)) is None

    def test_reserve_expires_unapplied(self) -> None:
        """A reserve that expires before its apply time is dismissed when another reserve is due, not before."""
        # R3 R32
        short = facts(2, issued=END - 200 * DAY, days=190)
        assert policies.reserve_expires_unapplied(at(END - 60 * DAY - SECOND, waits=short)) is None
        assert says(policies.reserve_expires_unapplied, at(END - 60 * DAY, waits=short)) == (
            "reserve-too-short",
            Severity.WARNING,
        )
        long = facts(2, issued=END - 200 * DAY, days=201)
        assert policies.reserve_expires_unapplied(at(END - 60 * DAY, waits=long)) is None
        held = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=300)))
        assert policies.reserve_expires_unapplied(at(START + 210 * DAY, held, waits=short)) is not None

    def test_a_reserve_stays_if_the_next_one_would_be_no_better(self) -> None:
        """The reserve stays if the next one also expires before its apply time: no run issues another one."""  # R10
        short = facts(2, issued=END - 200 * DAY, days=190)
        same = definition(IssueReserve(validity_days=50))
        assert policies.reserve_expires_unapplied(at(END - 60 * DAY, same, waits=short)) is None
        assert policies.reserve_expires_unapplied(at(END - 40 * DAY, same, waits=short)) is not None

    def test_reserve_disabled(self) -> None:
        """Only `none: true` deletes the reserve. A definition without a reserve keeps it."""  # R10
        assert policies.reserve_disabled(at(START, definition(NoReserve()), waits=RESERVED)) is not None
        assert policies.reserve_disabled(at(START, definition(), waits=RESERVED)) is None

    def test_reserve_generation_raised(self) -> None:
        """Only a raised generation requests another reserve. Other changed settings do not."""  # R9 R10
        assert (
            policies.reserve_generation_raised(at(START, definition(IssueReserve(generation=2)), waits=RESERVED))
            is not None
        )
        edited = IssueReserve(apply=AfterDays(days=20), validity_days=200, key=KeyType.RSA_2048)
        assert policies.reserve_generation_raised(at(START, definition(edited), waits=RESERVED)) is None


class TestPromotion:
    """When the waiting reserve becomes main."""

    def test_reserve_due(self) -> None:
        """The reserve is promoted from the apply time on, and not a second before."""  # R6 R11
        assert policies.reserve_due(at(END - LEAD - SECOND, waits=RESERVED)) is None
        assert says(policies.reserve_due, at(END - LEAD, waits=RESERVED)) == ("due", Severity.NOTICE)

    def test_a_reserve_on_hold_or_not_valid_is_not_due(self) -> None:
        """A reserve is not promoted on hold, before its validity, or after its validity."""  # R32
        assert policies.reserve_due(at(END, definition(hold=True), waits=RESERVED)) is None
        future = replace(RESERVED, not_before=END + DAY)
        assert policies.reserve_due(at(END, waits=future)) is None
        past = facts(2, issued=END - 60 * DAY, days=30)
        assert policies.reserve_due(at(END, waits=past)) is None

    def test_a_reserve_that_devices_were_not_sent_is_not_due(self) -> None:
        """While main is valid, the reserve waits until devices were sent it. After main's expiry it is promoted."""
        # R15 R32
        wish = replace(definition(), distributed=True)
        unsent = at(END - LEAD, wish, waits=RESERVED)
        assert policies.reserve_due(unsent) is None
        assert says(policies.reserve_overdue, unsent) == ("overdue", Severity.WARNING)
        sent = replace(unsent, observed=replace(unsent.observed, sent=frozenset({1, 2})))
        assert policies.reserve_due(sent) is not None
        assert policies.reserve_overdue(sent) is None

    def test_a_reserve_under_a_root_that_devices_were_sent_is_due(self) -> None:
        """Devices trust a renewal under the root of main, even if no profile with the renewal was sent."""  # R36 R49
        wish = replace(definition(), distributed=True)
        renewed = replace(RESERVED, root=facts(1).root)
        waits = at(END - LEAD, wish, waits=renewed)
        assert waits.is_unsent, "nothing was sent"
        assert policies.reserve_due(waits) is None
        sent = replace(waits, observed=replace(waits.observed, sent=frozenset({1})))
        assert not sent.is_unsent
        assert policies.reserve_due(sent) is not None
        gone = replace(waits, observed=replace(waits.observed, sent=frozenset({7})))
        assert gone.is_unsent, "the root of a certificate without a record is unknown"
        assert policies.reserve_due(at(END, wish, waits=RESERVED)) is not None
        assert policies.reserve_due(at(END - LEAD, waits=RESERVED)) is not None, "there is no distribution"

    def test_a_root_that_devices_have_can_expire_before_main(self) -> None:
        """A renewed root has the same key. So a former main with this root does not prove that devices trust it."""
        # R24 R36 R49
        wish = replace(definition(), distributed=True)
        renewed = replace(RESERVED, ordinal=3, root=facts(1).root)
        for days, is_trusted in ((-1, False), (0, True)):
            former = version(replace(facts(1), not_after=END + days * DAY), Role.MAIN, Label.FORMER)
            current = replace(facts(2), not_after=END - SECOND)
            seen = replace(pair(former, main(current), reserve(renewed)), sent=frozenset({1, 2}))
            waits = replace(at(END - LEAD, wish, known=current, observed=seen), reserve=reserve(renewed))
            assert waits.is_unsent != is_trusted

    def test_a_renewed_certificate_that_is_its_own_root_is_unsent(self) -> None:
        """Devices have the former certificate, which did not issue the renewed one. The key does not matter."""
        # R36 R49
        wish = replace(definition(), distributed=True)
        own = replace(facts(1, source=Source.INSTALLED), sha256="a" * 64, chain="a" * 16)
        renewed = replace(RESERVED, source=Source.INSTALLED, sha256="b" * 64, chain="b" * 16, root=own.root)
        waits = at(END - LEAD, wish, known=own, waits=renewed)
        assert replace(waits, observed=replace(waits.observed, sent=frozenset({1}))).is_unsent
        replacing = replace(wish, main=InstallMain(offered=offer(renewed)), replace_main=True)
        assert policies.next_main_waits(at(START, replacing, known=own))
        third = replace(offer(renewed), sha256="c" * 64, chain="c" * 16)
        again = definition(InstallReserve(offered=third))
        assert policies.deletion_unconfirmed(at(WINDOW, again, known=own, waits=renewed)) is not None


class TestIssues:
    """When a reserve is issued."""

    def test_reserve_always_held(self) -> None:
        """With `when: now`, a reserve is issued whenever the pair has none."""  # R2
        wish = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=30)))
        assert policies.reserve_always_held(at(START, wish))
        assert not policies.reserve_always_held(at(START, wish, waits=RESERVED))
        assert not policies.reserve_always_held(at(START, definition()))

    def test_main_expires_soon(self) -> None:
        """A reserve is issued 60 days before main's expiry, or `beforeDays` before it."""  # R3
        assert not policies.main_expires_soon(at(END - 60 * DAY - SECOND))
        assert policies.main_expires_soon(at(END - 60 * DAY))
        assert policies.main_expires_soon(at(END - 70 * DAY, definition(IssueReserve(before_days=70))))

    def test_no_reserve_is_issued_for_a_custom_main(self) -> None:
        """No reserve is issued for a custom main, with `when: now` or automatically."""  # R4
        custom = facts(1, source=Source.INSTALLED)
        wish = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=30)))
        assert not policies.reserve_always_held(at(START, wish, known=custom))
        assert not policies.main_expires_soon(at(END - SECOND, known=custom))

    def test_new_main_requested(self) -> None:
        """A raised generation requests a new main. A stored new main also counts as a request."""  # R13
        raised = definition(main=IssueMain(key=KeyType.EC_P256, generation=2))
        assert policies.new_main_requested(at(END, raised))
        assert not policies.new_main_requested(at(END))
        begun = version(facts(2, issued=END), Role.MAIN, Label.STAGED)
        assert policies.new_main_requested(at(END, observed=pair(main(), begun)))

    def test_a_new_main_that_expired_before_it_was_main_is_not_requested(self) -> None:
        """A stored new main that expired before it became main is no longer a request."""  # R13
        begun = version(facts(2), Role.MAIN, Label.STAGED)
        assert policies.new_main_requested(at(END - SECOND, observed=pair(main(), begun)))
        assert not policies.new_main_requested(at(END, observed=pair(main(), begun)))


class TestWarnings:
    """Notices for the user."""

    def test_reserve_expires_first(self) -> None:
        """A reserve that expires before its apply time is reported, with the remedy."""  # R5 R21
        short = facts(2, issued=END - 200 * DAY, days=190)
        assert says(policies.reserve_expires_first, at(START, waits=short)) == ("expires-first", Severity.WARNING)
        assert says(policies.reserve_expires_first, at(WINDOW, waits=short)) == ("expires-first", Severity.CRITICAL)
        assert policies.reserve_expires_first(at(START, waits=RESERVED)) is None
        answer = policies.reserve_expires_first(at(START, waits=short, known=facts(1, source=Source.INSTALLED)))
        assert answer is not None
        assert "install another one" in answer.message

    @pytest.mark.parametrize("custom", [True, False], ids=["custom main", "reserve switched off"])
    def test_reserve_missing(self, custom: bool) -> None:  # noqa: FBT001 - pytest passes it by name
        """There is a warning from the first run, critical from warnDays before the expiry, with the date."""  # R5
        known = facts(1, source=Source.INSTALLED if custom else Source.ISSUED)
        wish = definition(None if custom else NoReserve())
        policy = policies.reserve_missing
        assert says(policy, at(START, wish, known=known)) == ("no-reserve", Severity.WARNING)
        assert says(policy, at(WINDOW - SECOND, wish, known=known)) == ("no-reserve", Severity.WARNING)
        assert says(policy, at(WINDOW, wish, known=known)) == ("no-reserve", Severity.CRITICAL)
        answer = policy(at(WINDOW, wish, known=known))
        assert answer is not None
        assert (f"{END:%Y-%m-%d %H:%M} UTC" in answer.message, answer.due) == (True, END)
        assert ("install one" if custom else "remove `reserve.none`") in answer.message
        assert policy(at(START)) is None, "the reserve is issued automatically"
        assert policy(at(WINDOW, waits=RESERVED)) is None

    def test_a_short_lived_custom_main_needs_no_reserve_before_the_warning_window(self) -> None:
        """Up to 100 days, the missing reserve is a notice with the time from which it is critical."""  # R5 R49
        for days, before in ((47, Severity.NOTICE), (100, Severity.NOTICE), (101, Severity.WARNING)):
            known = facts(1, source=Source.INSTALLED, days=days)
            window = expiry(known) - days * DAY / 6
            for now in (START, window - SECOND):
                assert says(policies.reserve_missing, at(now, known=known)) == ("no-reserve", before)
            assert says(policies.reserve_missing, at(window, known=known)) == ("no-reserve", Severity.CRITICAL)
            answer = policies.reserve_missing(at(START, known=known))
            assert answer is not None
            assert (f"install one before {window:%Y-%m-%d %H:%M} UTC" in answer.message) == (days <= 100)
        issued = facts(1, days=47)
        assert says(policies.reserve_missing, at(START, definition(NoReserve()), known=issued)) == (
            "no-reserve",
            Severity.WARNING,
        )

    @pytest.mark.parametrize(
        ("days", "lead", "longest"),
        [(824, 1440, 411), (397, 1440, 197), (397, 0, 198), (400, 43200, 184), (100, 1440, 49), (4, 1440, 1)],
    )
    def test_a_period_of_more_than_half_of_the_validity(self, days: int, lead: int, longest: int) -> None:
        """It is a warning from the first run, with the longest period that is the same in each cycle."""  # R7
        known = facts(1, days=days)
        for period, expected in ((longest, None), (longest + 1, ("unsteady", Severity.WARNING))):
            reserve_wish = IssueReserve(when=When.NOW, apply=AfterDays(days=period))
            wish = definition(reserve_wish, lead_minutes=lead)
            assert says(policies.rotation_unsteady, at(START, wish, known=known)) == expected
            once = definition(replace(reserve_wish, when=When.AUTO), lead_minutes=lead)
            assert policies.rotation_unsteady(at(START, once, known=known)) is None
            custom = replace(known, source=Source.INSTALLED)
            assert policies.rotation_unsteady(at(START, wish, known=custom)) is None
            assert policies.rotation_unsteady(at(expiry(known), wish, known=known)) is None
        answer = policies.rotation_unsteady(at(START, wish, known=known))
        assert answer is not None
        assert f"set it to at most {longest} for equal periods" in answer.message

    def test_a_period_that_no_validity_of_a_few_days_allows(self) -> None:
        """The validity of the reserve decides. The lead and two days do not fit into two days."""  # R7
        wish = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=1), validity_days=2))
        answer = policies.rotation_unsteady(at(START, wish))
        assert answer is not None
        assert "let main be valid for longer" in answer.message

    def test_reserve_period_shortened(self) -> None:
        """If main expires before the period of the reserve ends, there is a warning."""  # R7
        wish = definition(IssueReserve(apply=AfterDays(days=50)))
        assert (
            policies.reserve_period_shortened(at(END - 60 * DAY, wish, waits=facts(2, issued=END - 60 * DAY))) is None
        )
        assert says(policies.reserve_period_shortened, at(END - DAY, wish, waits=facts(2, issued=END - 40 * DAY))) == (
            "late",
            Severity.WARNING,
        )

    def test_reserve_overdue(self) -> None:
        """A reserve on hold is a warning after its apply time, and critical after main's expiry."""  # R11 R32
        held = definition(hold=True)
        assert policies.reserve_overdue(at(END - LEAD - SECOND, held, waits=RESERVED)) is None
        assert says(policies.reserve_overdue, at(END - LEAD, held, waits=RESERVED)) == ("overdue", Severity.WARNING)
        assert says(policies.reserve_overdue, at(END, held, waits=RESERVED)) == ("overdue", Severity.CRITICAL)
        future = replace(RESERVED, not_before=END + DAY)
        answer = policies.reserve_overdue(at(END, waits=future))
        assert answer is not None
        assert f"not valid before {END + DAY:%Y-%m-%d %H:%M} UTC" in answer.message
        assert policies.reserve_overdue(at(END - LEAD, waits=RESERVED)) is None, "it is promoted instead"

    def test_distribution_missing(self) -> None:
        """If devices have a profile and the definition has no distribution, the reserve is not promoted."""  # R36
        sent = pair(main(facts(1)), version(facts(2), Role.RESERVE, Label.RESERVE))
        gone = replace(sent, sent=frozenset({1}))
        assert says(policies.distribution_missing, at(START, waits=RESERVED, observed=gone)) == (
            "no-distribution",
            Severity.WARNING,
        )
        assert policies.reserve_due(at(END - LEAD, waits=RESERVED, observed=gone)) is None
        distributed = replace(definition(), distributed=True)
        assert policies.distribution_missing(at(START, distributed, waits=RESERVED, observed=gone)) is None
        assert policies.distribution_missing(at(START, waits=RESERVED, observed=sent)) is None
        both = replace(sent, sent=frozenset({1, 2}))
        assert policies.distribution_missing(at(START, waits=RESERVED, observed=both)) is None

    def test_gate_closed(self) -> None:
        """R46: the notice has the condition; ``test_gate`` has its text and its severity."""
        wish = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=30)))
        gated = replace(wish, promotion=replace(wish.promotion, minimum_coverage=95))
        assert policies.gate_closed(at(START, wish, waits=RESERVED)) is None
        answer = policies.gate_closed(at(START, gated, waits=RESERVED))
        assert answer is not None
        assert "if at least 95 % of the devices have proved the reserve (acknowledged it, " in answer.message
        held = replace(gated, promotion=replace(gated.promotion, hold=True))
        assert policies.gate_closed(at(START, held, waits=RESERVED)) is None

    def test_promotion_needs_run(self) -> None:
        """Without schedules, a notice has the time at which a run makes the reserve main."""  # R36
        alone = replace(definition(), promotion=Promotion(schedule=False))
        answer = policies.promotion_needs_run(at(END - LEAD - SECOND, alone, waits=RESERVED))
        assert answer is not None
        assert (answer.severity, answer.due) == (Severity.NOTICE, END - LEAD)
        assert f"run `pulumi up` at {END - LEAD:%Y-%m-%d %H:%M} UTC to make certificate 2 main" in answer.message
        held = replace(definition(), promotion=Promotion(schedule=False, hold=True))
        assert policies.promotion_needs_run(at(START, held, waits=RESERVED)) is None
        assert policies.promotion_needs_run(at(END - LEAD, alone, waits=RESERVED)) is None, "it is promoted instead"
        assert policies.promotion_needs_run(at(START, alone)) is None
        assert policies.promotion_needs_run(at(START, waits=RESERVED)) is None

    def test_main_moved_by_operator(self) -> None:
        """A main with a lower number than a former main was moved back by hand."""  # R32
        back = pair(main(facts(1)), version(facts(2), Role.MAIN, Label.FORMER))
        assert says(policies.main_moved_by_operator, at(START, observed=back)) == ("rolled-back", Severity.WARNING)
        forth = pair(version(facts(1), Role.MAIN, Label.FORMER), main(facts(2)))
        assert policies.main_moved_by_operator(at(START, known=facts(2), observed=forth)) is None
        # Main was replaced while reserve 1 waited, so the promoted reserve 1 has a lower number than its former main.
        assert policies.main_moved_by_operator(at(START, observed=replace(back, promoted=1))) is None
        by_schedule = pair(version(facts(1), Role.RESERVE, Label.MAIN), version(facts(2), Role.MAIN, Label.FORMER))
        assert policies.main_moved_by_operator(at(START, observed=by_schedule)) is None

    def test_server_presents_another_certificate(self) -> None:
        """A presented certificate that is not main is critical, even if it belongs to the pair."""  # R16 R17
        formers = pair(version(facts(1), Role.MAIN, Label.FORMER), main(facts(2)))
        for ordinal, name in ((1, "certificate 1"), (7, "an unknown certificate"), (2, None)):
            seen = ServedCertificate(endpoint="10.0.0.5:443", sha256=facts(ordinal).sha256)
            situation = at(START, known=facts(2), observed=replace(formers, served=(seen,)))
            answer = policies.server_presents_another_certificate(situation)
            if name is None:
                assert answer is None
            else:
                assert answer is not None
                assert answer.severity is Severity.CRITICAL
                assert f"10.0.0.5:443 presents {name}, but main is certificate 2" in answer.message

    def test_a_server_has_a_grace_period_after_a_switch(self) -> None:
        """A valid former main may be presented for 15 minutes after the last change of the secret."""
        # R16 R17
        formers = pair(version(facts(1), Role.MAIN, Label.FORMER), main(facts(2)))

        def severity(ordinal: int, *, minutes: float | None, now: datetime = START) -> Severity:
            seen = ServedCertificate(endpoint="10.0.0.5:443", sha256=facts(ordinal).sha256)
            changed = None if minutes is None else now - timedelta(minutes=minutes)
            observed = replace(formers, served=(seen,), changed_at=changed)
            answer = policies.server_presents_another_certificate(at(now, known=facts(2), observed=observed))
            assert answer is not None
            return answer.severity

        assert severity(1, minutes=0) is Severity.NOTICE
        assert severity(1, minutes=14.9) is Severity.NOTICE
        assert severity(1, minutes=15) is Severity.CRITICAL
        assert severity(1, minutes=-1) is Severity.CRITICAL, "the clock is wrong"
        assert severity(1, minutes=None) is Severity.CRITICAL
        assert severity(7, minutes=1) is Severity.CRITICAL, "an unknown certificate"
        assert severity(1, minutes=1, now=expiry(facts(1))) is Severity.CRITICAL, "devices refuse an expired main"

    def test_endpoint_unchecked(self) -> None:
        """An endpoint that could not be checked is a notice, with the reason."""  # R17
        blind = ServedCertificate(endpoint="10.0.0.5:443", sha256=None, problem="connection refused")
        answer = policies.endpoint_unchecked(at(START, observed=replace(pair(main()), served=(blind,))))
        assert answer is not None
        assert answer.severity is Severity.NOTICE
        assert "10.0.0.5:443 (connection refused)" in answer.message
        assert policies.endpoint_unchecked(at(START)) is None

    def test_successors_inherit_a_shorter_validity(self) -> None:
        """A reserve with a shorter validity than main limits the validity of all successors."""  # R8
        assert policies.successor_validity_bounded(at(START), 397) is None
        answer = policies.successor_validity_bounded(at(START), 200)
        assert answer is not None
        assert "no later reserve can be valid for more than 200 days" in answer.message


def offer(known: CertificateFacts) -> OfferedCertificate:
    """Return the public facts of a file with this certificate, as the definition offers it."""
    return OfferedCertificate(
        sha256=known.sha256,
        root=known.root,
        not_before=known.not_before,
        not_after=known.not_after,
        chain=known.chain,
    )


class TestCustom:
    """Custom certificates."""

    custom = facts(1, source=Source.INSTALLED)
    second = facts(2, issued=END - 60 * DAY, source=Source.INSTALLED)

    def test_custom_reserve_offered(self) -> None:
        """A custom reserve is installed unless it is reserve, main or a former main, or has expired."""  # R2 R4
        wish = definition(InstallReserve(offered=offer(self.second)))
        assert policies.custom_reserve_offered(at(END - 50 * DAY, wish, known=self.custom))
        assert not policies.custom_reserve_offered(at(END - 50 * DAY, wish, known=self.custom, waits=self.second))
        assert not policies.custom_reserve_offered(at(END - 50 * DAY, wish, known=self.second))
        formers = pair(version(self.second, Role.MAIN, Label.FORMER), main(facts(3)))
        assert not policies.custom_reserve_offered(at(END - 50 * DAY, wish, known=facts(3), observed=formers))
        assert not policies.custom_reserve_offered(at(self.second.not_after + SECOND, wish, known=self.custom))

    def test_another_reserve_offered(self) -> None:
        """Another file replaces the waiting reserve. In the warning window this needs its fingerprint."""  # R10
        wish = definition(InstallReserve(offered=offer(facts(3, issued=END - 50 * DAY))))
        assert policies.another_reserve_offered(at(END - 50 * DAY, wish, waits=self.second)) is not None
        same = definition(InstallReserve(offered=offer(self.second)))
        assert policies.another_reserve_offered(at(END - 50 * DAY, same, waits=self.second)) is None
        assert says(policies.deletion_unconfirmed, at(WINDOW, wish, waits=self.second)) is not None

    def test_main_chain_changed(self) -> None:
        """Main with another chain to the same root is installed again, if both chains are recorded."""
        # R20 R32
        known, changed = replace(self.custom, chain="a" * 16), replace(self.custom, chain="b" * 16)
        wish = replace(definition(), main=InstallMain(offered=offer(changed)))
        assert policies.main_replacement_refused(at(START, wish, known=known)) is None
        told = says(policies.main_chain_changed, at(START, wish, known=known))
        assert told == ("another-chain", Severity.NOTICE)
        assert policies.main_chain_changed(at(START, wish, known=changed)) is None
        assert policies.main_chain_changed(at(START, wish, known=self.custom)) is None
        elsewhere = replace(wish, main=InstallMain(offered=offer(replace(changed, root="c" * 64))))
        assert policies.main_chain_changed(at(START, elsewhere, known=known)) is None
        assert says(policies.main_replacement_refused, at(START, elsewhere, known=known)) == (
            "another-root",
            Severity.CRITICAL,
        )

    def test_reserve_chain_changed(self) -> None:
        """A reserve with another chain is installed again without confirmation; another root needs one."""
        # R10 R20
        known, changed = replace(self.second, chain="a" * 16), replace(self.second, chain="b" * 16)
        wish = definition(InstallReserve(offered=offer(changed)))
        told = says(policies.reserve_chain_changed, at(WINDOW, wish, known=self.custom, waits=known))
        assert told == ("another-chain", Severity.NOTICE)
        assert policies.deletion_unconfirmed(at(WINDOW, wish, known=self.custom, waits=known)) is None
        assert policies.reserve_chain_changed(at(WINDOW, wish, known=self.custom, waits=changed)) is None
        elsewhere = definition(InstallReserve(offered=offer(replace(changed, root="c" * 64))))
        assert policies.reserve_chain_changed(at(WINDOW, elsewhere, known=self.custom, waits=known)) is None
        assert policies.another_reserve_offered(at(WINDOW, elsewhere, known=self.custom, waits=known)) is not None
        assert policies.deletion_unconfirmed(at(WINDOW, elsewhere, known=self.custom, waits=known)) is not None

    def test_offered_reserve_applied(self) -> None:
        """After a promotion, an unchanged definition stays valid, and a notice says what was applied."""  # R12
        wish = replace(
            definition(InstallReserve(offered=offer(self.second))), main=InstallMain(offered=offer(self.custom))
        )
        promoted = pair(version(self.custom, Role.MAIN, Label.FORMER), main(self.second))
        situation = at(END, wish, known=self.second, observed=promoted)
        answer = policies.offered_reserve_applied(situation)
        assert answer is not None
        assert answer.message == (
            "reserve.install is already applied; main.install is superseded: its certificate was main before"
        )
        assert policies.main_replacement_refused(situation) is None
        assert policies.offered_reserve_applied(at(START, wish, known=self.custom)) is None

    def test_a_healthy_main_is_replaced_only_by_name(self) -> None:
        """Another file as main is refused, with both remedies. With main's fingerprint it is installed, once."""  # R32
        wish = replace(definition(), main=InstallMain(offered=offer(self.second)))
        refused = policies.main_replacement_refused(at(END - 50 * DAY, wish, known=self.custom))
        assert refused is not None
        assert f"main.confirm: {self.custom.sha256}" in refused.message
        assert "Install it as the reserve" in refused.message
        asked = replace(wish, replace_main=True)
        assert says(policies.main_replacement_refused, at(END - 50 * DAY, asked, known=self.custom)) is not None
        assert policies.main_replaced(at(END - 50 * DAY, asked, known=self.custom)) is None
        named = replace(asked, confirm_main=self.custom.sha256)
        assert policies.main_replacement_refused(at(END - 50 * DAY, named, known=self.custom)) is None
        assert says(policies.main_replaced, at(END - 50 * DAY, named, known=self.custom)) == (
            "replaced",
            Severity.CRITICAL,
        )
        done = at(
            END - 50 * DAY,
            named,
            known=self.second,
            observed=pair(version(self.custom, Role.MAIN, Label.FORMER), main(self.second)),
        )
        assert policies.main_replacement_refused(done) is None
        assert policies.main_replaced(done) is None

    def test_devices_are_sent_the_next_main_first(self) -> None:
        """With a distribution, the next main waits unless it has main's root or main is distrusted."""
        # R15 R32
        now = END - 50 * DAY
        wish = replace(
            definition(),
            main=InstallMain(offered=offer(replace(self.second, root="e" * 64))),
            replace_main=True,
            confirm_main=self.custom.sha256,
            distributed=True,
        )
        waits = at(now, wish, known=self.custom)
        assert policies.next_main_waits(waits)
        assert says(policies.main_replaced, waits) == ("replaced", Severity.WARNING)
        held = policies.main_replaced(at(now, replace(wish, promotion=Promotion(hold=True)), known=self.custom))
        assert held is not None
        assert "becomes main after promotion.hold is removed" in held.message
        same_root = replace(wish, main=InstallMain(offered=offer(replace(self.second, root=self.custom.root))))
        at_once = at(now, same_root, known=self.custom)
        assert not policies.next_main_waits(at_once)
        assert says(policies.main_replaced, at_once) == ("replaced", Severity.NOTICE)
        stolen = at(now, replace(wish, distrust=frozenset({self.custom.sha256})), known=self.custom)
        assert not policies.next_main_waits(stolen)
        assert says(policies.main_replaced, stolen) == (policies.REPLACED_UNSENT, Severity.CRITICAL)
        assert not policies.next_main_waits(at(now, replace(wish, distributed=False), known=self.custom))

    def test_from_custom_to_issued_by_name_only(self) -> None:
        """A definition without main keeps a custom main. `replaceNow` with its fingerprint issues a main."""  # R1 R32
        assert policies.main_replacement_refused(at(START, known=self.custom)) is None
        named = replace(definition(), replace_main=True, confirm_main=self.custom.sha256)
        assert policies.main_replaced(at(START, named, known=self.custom)) is not None
        assert policies.main_replaced(at(START, definition(), known=self.custom)) is None


def test_a_fixed_time_counts_as_it_is_written() -> None:
    """With `at`, the reserve is promoted at this time, and not a second before."""  # R6
    moment = END - 10 * DAY
    wish = definition(IssueReserve(apply=AtTime(time=moment)))
    assert policies.reserve_due(at(moment - SECOND, wish, waits=RESERVED)) is None
    assert policies.reserve_due(at(moment, wish, waits=RESERVED)) is not None
