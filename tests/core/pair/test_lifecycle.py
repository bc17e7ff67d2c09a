"""The desired state of a pair at each time of its life."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import PairRequest
from ios_mdm.core.pair.certificate_times import apply_time, expiry, is_valid_at, issued_at
from ios_mdm.core.pair.decision import IssueRequest, Phase, Severity
from ios_mdm.core.pair.definition import (
    AfterCurrentExpires,
    AfterDays,
    AtTime,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    PairDefinition,
    Slot,
    When,
)
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.observed import ObservedPair, Role, ServedCertificate, StoredVersion
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import DefinitionError
from ios_mdm.resources.wire import desired_block
from tests.support.lifecycle import (
    DAY,
    DEFINITIONS,
    END,
    LEAD,
    SECOND,
    START,
    definition,
    facts,
    main,
    pair,
    reserve,
    version,
)
from tests.support.long import examples
from tests.support.memory import MemorySecretStore
from tests.support.pairs import HandClock

if TYPE_CHECKING:
    from ios_mdm.core.pair.decision import DesiredState
    from ios_mdm.core.pair.definition import ApplyTime

NOW = IssueReserve(when=When.NOW, apply=AfterDays(days=30))


def severities(wanted: DesiredState) -> list[Severity]:
    """Return the severities of the notices."""
    return [notice.severity for notice in wanted.notices]


def issues(wanted: DesiredState) -> list[IssueRequest]:
    """Return the requests for issued certificates."""
    return [request for request in wanted.requests if isinstance(request, IssueRequest)]


class TestFirst:
    """A pair that does not exist yet."""

    def test_main_is_issued(self) -> None:
        """A new server gets an issued main as in its definition, and no reserve yet."""
        # R1
        wanted = desired_state(definition(main=IssueMain(key=KeyType.RSA_3072, validity_days=200)), None, START)
        (request,) = issues(wanted)
        assert (request.ordinal, request.slot, request.key) == (1, Slot.MAIN, KeyType.RSA_3072)
        assert (request.validity_days, request.generation) == (200, 1)
        assert (wanted.phase, wanted.main, wanted.reserve, wanted.trusted_ordinals) == (Phase.STEADY, 1, None, (1,))

    def test_a_reserve_that_is_wanted_now_is_issued_with_main(self) -> None:
        """With `when: now`, the reserve is issued in the same run, with main's key type and validity."""
        # R2 R9
        wanted = desired_state(definition(NOW), None, START)
        request = issues(wanted)[1]
        assert (request.ordinal, request.slot, request.key) == (2, Slot.RESERVE, KeyType.EC_P256)
        assert (request.validity_days, wanted.phase, wanted.trusted_ordinals) == (397, Phase.OVERLAP, (1, 2))

    def test_a_number_that_was_used_is_not_used_again(self) -> None:
        """A pair that has lost all certificates uses a new number."""
        wanted = desired_state(definition(), ObservedPair(highest_ordinal=7), START)
        assert wanted.main == 8


class TestAutomatic:
    """A reserve that is issued automatically."""

    @pytest.mark.parametrize("silent", [None, IssueReserve()])
    def test_a_reserve_is_issued_sixty_days_before_main_expires(self, silent: IssueReserve | None) -> None:
        """Sixty days before main expires a reserve is issued, and not a second earlier."""
        # R3
        moment = END - 60 * DAY
        early = desired_state(definition(silent), pair(main()), moment - SECOND)
        assert (early.reserve, early.requests, early.phase) == (None, (), Phase.STEADY)
        due = desired_state(definition(silent), pair(main()), moment)
        assert (due.reserve, due.phase) == (2, Phase.OVERLAP)
        assert [request.ordinal for request in due.requests] == [2]

    def test_the_days_are_a_setting(self) -> None:
        """Another `before_days` moves the time of issue."""
        # R3
        wish = definition(IssueReserve(before_days=100))
        assert desired_state(wish, pair(main()), END - 100 * DAY - SECOND).reserve is None
        assert desired_state(wish, pair(main()), END - 100 * DAY).reserve == 2

    def test_a_reserve_is_issued_at_any_time_on_request(self) -> None:
        """With `when: now`, a reserve is issued at once, even a second before main expires."""
        # R2
        for now in (START, END - SECOND):
            assert desired_state(definition(NOW), pair(main()), now).reserve == 2

    def test_a_custom_main_gets_no_issued_reserve(self) -> None:
        """No reserve is issued for a custom main, even a second before main expires."""
        # R4 R5
        custom = main(facts(1, source=Source.INSTALLED))
        assert desired_state(definition(), pair(custom), END - SECOND).requests == ()

    @pytest.mark.parametrize("installed", [True, False])
    def test_a_missing_reserve_is_critical_thirty_days_before_the_end(self, installed: bool) -> None:  # noqa: FBT001 - pytest passes by name
        """A pair without an automatic reserve has a warning, which is critical from 30 days before main's expiry."""
        # R5
        source = Source.INSTALLED if installed else Source.ISSUED
        wish = definition(None if installed else NoReserve())
        observed = pair(main(facts(1, source=source)))
        assert severities(desired_state(wish, observed, START)) == [Severity.WARNING]
        early, late = (desired_state(wish, observed, END - 30 * DAY - gap) for gap in (SECOND, timedelta()))
        assert (severities(early), early.phase) == ([Severity.WARNING], Phase.STEADY)
        assert (severities(late), late.phase) == ([Severity.CRITICAL], Phase.EXPIRING)

    def test_a_healthy_pair_has_no_notices(self) -> None:
        """A main whose reserve is issued automatically has no notice."""
        assert desired_state(definition(), pair(main()), START).notices == ()


class TestApplyTime:
    """When the reserve becomes main."""

    def test_a_lead_before_main_expires(self) -> None:
        """The apply time is main's expiry minus the lead."""
        # R6
        assert apply_time(AfterCurrentExpires(), LEAD, facts(1), facts(2)) == END - LEAD
        assert apply_time(AfterCurrentExpires(), timedelta(), facts(1), facts(2)) == END

    def test_a_lead_takes_half_of_what_is_left_at_most(self) -> None:
        """A reserve that is issued within the lead is applied after half of the time, so that devices get it first."""
        # R6
        came = END - 2 * timedelta(hours=10)
        assert apply_time(AfterCurrentExpires(), LEAD, facts(1), facts(2, issued=came)) == END - timedelta(hours=10)

    def test_a_reserve_that_came_after_the_end_is_applied_at_the_end(self) -> None:
        """A reserve that is issued after main's expiry has main's expiry as apply time."""
        # R6
        assert apply_time(AfterCurrentExpires(), LEAD, facts(1), facts(2, issued=END + DAY)) == END

    def test_days_count_from_the_issue(self) -> None:
        """A period in days starts at the time of issue, not at the start of validity."""
        # R7
        late = facts(2, issued=START + 100 * DAY)
        assert issued_at(late) == START + 100 * DAY
        assert apply_time(AfterDays(days=30), LEAD, facts(1), late) == START + 130 * DAY

    def test_a_late_run_leaves_less_than_the_period(self) -> None:
        """If the period ends after main's expiry, the apply time is main's expiry minus the lead."""
        # R7
        late = facts(2, issued=END - 10 * DAY)
        assert apply_time(AfterDays(days=30), LEAD, facts(1), late) == END - LEAD

    def test_a_reserve_is_applied_at_a_given_time(self) -> None:
        """A given apply time is limited by main's expiry. It is ignored if the reserve was issued at or after it."""
        # R7
        moment = START + 50 * DAY
        assert apply_time(AtTime(time=moment), LEAD, facts(1), facts(2)) == moment
        assert apply_time(AtTime(time=END + DAY), LEAD, facts(1), facts(2)) == END - LEAD
        assert apply_time(AtTime(time=moment), LEAD, facts(1), facts(2, issued=moment)) == END - LEAD


class TestValidity:
    """The validity of a reserve."""

    def test_a_reserve_is_valid_no_longer_than_main(self) -> None:
        """A reserve has the actual validity of main, not the validity in the definition."""
        # R8
        short = pair(main(facts(1, days=200)))
        wanted = desired_state(definition(NOW), short, START)
        assert issues(wanted)[0].validity_days == 200

    def test_a_reserve_valid_for_longer_than_main_is_refused(self) -> None:
        """A validity above main's is refused. The message has the maximum."""
        # R8
        wish = definition(IssueReserve(when=When.NOW, validity_days=201), main=IssueMain(validity_days=397))
        with pytest.raises(DefinitionError, match=r"validityDays is 201.*set it to 200 or less, or leave it out"):
            desired_state(wish, pair(main(facts(1, days=200))), START)
        with pytest.raises(DefinitionError, match="must not exceed main's"):
            desired_state(definition(IssueReserve(when=When.NOW, validity_days=398)), None, START)

    def test_a_reserve_valid_for_less_than_main_is_accepted(self) -> None:
        """A validity below main's is used."""
        # R8
        wish = definition(IssueReserve(when=When.NOW, validity_days=100))
        assert issues(desired_state(wish, pair(main()), START))[0].validity_days == 100


class TestKept:
    """A reserve that exists."""

    @pytest.mark.parametrize(
        "apply", [AfterCurrentExpires(), AfterDays(days=7), AfterDays(days=390), AtTime(time=START + 200 * DAY)]
    )
    def test_changing_only_the_apply_time_requests_nothing(self, apply: ApplyTime) -> None:
        """With another apply time, the reserve stays."""
        # R9
        wish = definition(IssueReserve(when=When.NOW, apply=apply, before_days=90))
        wanted = desired_state(wish, pair(main(), reserve()), START + DAY)
        assert (wanted.requests, wanted.reserve) == ((), 2)
        assert wanted.apply_at == apply_time(apply, LEAD, facts(1), facts(2))

    def test_changing_key_and_validity_requests_nothing(self) -> None:
        """Another key type or validity applies to the next reserve."""
        # R9
        wish = definition(IssueReserve(when=When.NOW, key=KeyType.RSA_2048, validity_days=50))
        assert desired_state(wish, pair(main(), reserve()), START).requests == ()

    @pytest.mark.parametrize("silent", [None, IssueReserve()])
    def test_a_definition_without_a_reserve_never_deletes(self, silent: IssueReserve | None) -> None:
        """A reserve stays if the definition no longer has settings for it."""
        # R10
        wanted = desired_state(definition(silent), pair(main(), reserve()), START + DAY)
        assert (wanted.reserve, wanted.requests) == (2, ())

    def test_reserve_none_deletes_the_reserve(self) -> None:
        """Only `none: true` deletes the reserve."""
        # R10
        wanted = desired_state(definition(NoReserve()), pair(main(), reserve()), START + DAY)
        assert (wanted.reserve, wanted.requests, wanted.trusted_ordinals) == (None, (), (1,))

    def test_a_raised_generation_deletes_and_issues(self) -> None:
        """With a raised generation, a reserve with a new number is issued."""
        # R10
        wanted = desired_state(
            definition(IssueReserve(when=When.NOW, generation=2)), pair(main(), reserve()), START + DAY
        )
        assert wanted.reserve == 3
        assert [(request.ordinal, request.generation) for request in wanted.requests] == [(3, 2)]

    def test_a_lowered_generation_is_refused(self) -> None:
        """A lowered generation is refused. The message has the valid values."""
        # R10
        observed = pair(main(), reserve(facts(2, generation=3)))
        with pytest.raises(DefinitionError, match=r"generation 3.*must not be lowered: set it to 3, or to 4"):
            desired_state(definition(IssueReserve(generation=2)), observed, START)

    @pytest.mark.parametrize("wish", [NoReserve(), IssueReserve(generation=2)])
    def test_a_deletion_near_the_end_is_asked_for_twice(self, wish: IssueReserve | NoReserve) -> None:
        """Inside the warning window, a deletion needs the fingerprint of the reserve, with or without colons."""
        # R10 R32
        observed, now = pair(main(), reserve()), END - 30 * DAY
        fingerprint = facts(2).sha256
        assert desired_state(definition(wish), observed, now - SECOND).reserve != 2
        for wrong in (None, facts(1).sha256):
            with pytest.raises(DefinitionError, match=f"confirm: {fingerprint}"):
                desired_state(definition(wish, confirm=wrong), observed, now)
        coloned = ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
        for right in (fingerprint, coloned):
            assert desired_state(definition(wish, confirm=right), observed, now).reserve != 2

    def test_an_expired_reserve_is_replaced(self) -> None:
        """An expired reserve is replaced by another one."""
        observed = pair(main(), reserve(facts(2, days=10)))
        wanted = desired_state(definition(NOW), observed, START + 11 * DAY)
        assert wanted.reserve == 3
        assert "has expired and is replaced" in wanted.notices[0].message

    def test_a_lost_label_is_no_lost_reserve(self) -> None:
        """A reserve whose label was removed outside a run is still the reserve."""
        wanted = desired_state(definition(NOW), pair(main(), version(facts(2), Role.RESERVE)), START + DAY)
        assert (wanted.reserve, wanted.requests) == (2, ())


class TestPromotion:
    """The promotion of the reserve."""

    def test_an_overdue_reserve_is_promoted(self) -> None:
        """A run at or after the apply time promotes the reserve."""
        # R6 R11
        observed, moment = pair(main(), reserve(facts(2, issued=END - 60 * DAY))), END - LEAD
        assert desired_state(definition(), observed, moment - SECOND).main == 1
        for now in (moment, END, END + 200 * DAY):
            assert desired_state(definition(), observed, now).main == 2

    def test_a_deleted_reserve_that_an_operator_promoted_was_main(self) -> None:
        """A deleted reserve with AWSPREVIOUS was main, so devices trust it until it expires."""  # R17
        second = facts(2)
        found = pair(main(), version(second, Role.DELETED, Label.FORMER))
        assert desired_state(definition(), found, START).formers == (2,)
        without_label = pair(main(), version(second, Role.DELETED))
        assert desired_state(definition(), without_label, START).formers == ()
        assert desired_state(definition(), found, expiry(second)).formers == ()

    @pytest.mark.parametrize(
        ("served", "trusted"),
        [
            pytest.param((), (1, 2), id="no endpoint was checked"),
            pytest.param((None,), (1, 2), id="the endpoint could not be checked"),
            pytest.param((1,), (1, 2), id="the former main is presented"),
            pytest.param((2, 1), (1, 2), id="one of two endpoints presents the former main"),
            pytest.param((9,), (1, 2), id="an unknown certificate is presented"),
            pytest.param((2,), (2,), id="main is presented"),
            pytest.param((2, None), (2,), id="main is presented by the endpoint that could be checked"),
        ],
    )
    def test_a_former_main_leaves_when_it_has_expired_and_the_server_was_seen_to_serve_main(
        self, served: tuple[int | None, ...], trusted: tuple[int, ...]
    ) -> None:
        """Both conditions are needed. Before its expiry, a former main always stays."""
        # R17
        formers = pair(
            version(facts(1), Role.MAIN, Label.FORMER), main(facts(2, issued=END - 60 * DAY)), main_generation=1
        )
        seen = tuple(
            ServedCertificate(endpoint=f"10.0.0.{index}:443", sha256=None if ordinal is None else facts(ordinal).sha256)
            for index, ordinal in enumerate(served)
        )
        formers = replace(formers, served=seen)
        assert desired_state(definition(), formers, END - SECOND).trusted_ordinals == (1, 2)
        assert desired_state(definition(), formers, END).trusted_ordinals == trusted

    def test_expired_formers_that_were_not_seen_replaced_do_not_accumulate(self) -> None:
        """Only the newest five stay, because each keeps a tag, and AWS allows 50 tags."""
        # R17
        old = [version(facts(n, issued=START - 1000 * DAY), Role.MAIN) for n in range(1, 9)]
        many = pair(*old, main(facts(9)), main_generation=1)
        assert desired_state(definition(), many, START).formers == (4, 5, 6, 7, 8)

    def test_the_next_cycle_starts_from_the_new_main(self) -> None:
        """After a promotion, the dates of the new main decide, with an unchanged definition."""
        # R12 R3
        second = facts(2, issued=END - 60 * DAY)
        observed = pair(version(facts(1), Role.MAIN, Label.FORMER), main(second))
        start = expiry(second) - 60 * DAY
        assert desired_state(definition(), observed, start - SECOND).reserve is None
        assert desired_state(definition(), observed, start).reserve == 3

    def test_a_periodic_rotation_holds_the_next_reserve_at_once(self) -> None:
        """With `when: now`, the run that promotes the reserve also requests the next reserve."""
        # R12
        wanted = desired_state(definition(NOW), pair(main(), reserve()), START + 30 * DAY)
        assert (wanted.main, wanted.reserve, wanted.trusted_ordinals) == (2, 3, (1, 2, 3))
        assert [request.ordinal for request in wanted.requests] == [3]
        assert issues(wanted)[0].validity_days == 397

    @pytest.mark.parametrize("days", [-1, 500])
    def test_a_reserve_that_is_not_valid_now_is_never_promoted(self, days: int) -> None:
        """A reserve is not promoted before or after its validity."""
        # R32
        observed = pair(main(), reserve(facts(2, issued=START + 380 * DAY if days < 0 else START, days=30)))
        now = START + 379 * DAY if days < 0 else START + 31 * DAY
        wish = definition(IssueReserve(apply=AfterDays(days=1)))
        assert desired_state(wish, observed, now).main == 1

    def test_a_reserve_of_the_future_waits_although_main_has_expired(self) -> None:
        """A reserve that is not valid yet is not promoted, even if main has expired."""
        # R32
        observed = pair(main(), reserve(facts(2, issued=END + 10 * DAY)))
        assert desired_state(definition(), observed, END + DAY).main == 1

    def test_hold_promotes_nothing(self) -> None:
        """A reserve on hold stays the reserve, with a warning that is critical from main's expiry."""
        observed = pair(main(), reserve(facts(2, issued=END - 60 * DAY)))
        held = definition(hold=True)
        before, after = desired_state(held, observed, END - SECOND), desired_state(held, observed, END)
        assert (before.main, before.reserve, before.phase) == (1, 2, Phase.OVERDUE)
        assert (after.main, after.reserve, after.phase) == (1, 2, Phase.OVERDUE)
        assert severities(before) == [Severity.WARNING]
        assert severities(after)[0] is Severity.CRITICAL

    def test_an_operators_rollback_is_respected_and_reported(self) -> None:
        """A main that was moved back by hand stays main."""
        # R32
        observed = pair(main(), version(facts(2), Role.MAIN, Label.FORMER))
        wanted = desired_state(definition(), observed, START + 40 * DAY)
        assert (wanted.main, wanted.reserve, wanted.trusted_ordinals) == (1, None, (1, 2))
        assert "moved back by hand" in wanted.notices[0].message

    def test_a_rolled_back_reserve_label_does_not_undo_the_rollback(self) -> None:
        """A certificate that an operator rolled back is not promoted again, even with the label RESERVE."""
        # R32
        observed = pair(main(), version(facts(2), Role.MAIN, Label.FORMER, Label.RESERVE))
        assert desired_state(definition(NOW), observed, START + 40 * DAY).main == 1


class TestConnectionLost:
    """An expired main without a reserve."""

    def test_a_lost_connection_is_reported_and_nothing_is_issued(self) -> None:
        """The phase is connection-lost, with critical notices about main and about the devices."""
        # R13
        wanted = desired_state(definition(), pair(main()), END)
        assert (wanted.phase, wanted.main, wanted.requests) == (Phase.CONNECTION_LOST, 1, ())
        assert severities(wanted) == [Severity.CRITICAL, Severity.CRITICAL]
        assert "raise main.issue.generation to 2" in wanted.notices[0].message
        assert "every device must get its management profile reinstalled" in wanted.notices[1].message
        assert desired_state(definition(), pair(main()), END - SECOND).phase is Phase.OVERLAP

    def test_a_raised_generation_issues_a_new_main(self) -> None:
        """With a raised generation, a new main is issued. Devices need their management profile reinstalled."""
        # R13
        wanted = desired_state(definition(main=IssueMain(generation=2)), pair(main()), END)
        assert [(request.ordinal, request.slot, request.generation) for request in wanted.requests] == [
            (2, Slot.MAIN, 2)
        ]
        assert "reinstalled" in wanted.notices[-1].message

    @pytest.mark.parametrize("generation", [1, 3])
    def test_another_main_is_refused_while_main_is_valid(self, generation: int) -> None:
        """While main is valid, another generation is refused."""
        # R13 R32
        with pytest.raises(DefinitionError, match="set it back to 2"):
            desired_state(
                definition(main=IssueMain(generation=generation)), pair(main(), main_generation=2), END - SECOND
            )

    def test_a_reserve_on_hold_outlives_a_new_main(self) -> None:
        """A raised generation of main deletes no valid reserve."""
        # R10 R13
        wish = definition(main=IssueMain(generation=2), hold=True)
        wanted = desired_state(wish, pair(main(), reserve(facts(2, issued=END - 60 * DAY))), END)
        assert (wanted.main, wanted.reserve) == (3, 2)


@pytest.mark.parametrize("labels", [(Label.FORMER,), (Label.RESERVE,), ()])
def test_a_main_of_another_program_is_refused(labels: tuple[Label, ...]) -> None:
    """AWSCURRENT on a version of another program is refused, even if main has lost its last label."""
    # R32
    foreign = StoredVersion(version_id="x" * 36, ordinal=None, labels=frozenset({Label.MAIN}), facts=None)
    with pytest.raises(DefinitionError, match=r"not a certificate of this pair: move AWSCURRENT back"):
        desired_state(definition(), pair(foreign, version(facts(1), Role.MAIN, *labels)), START)


def test_a_main_that_no_version_is_left_of_is_restored_under_its_version_id() -> None:
    """The message has the version id, because AWS can delete a version without labels."""  # R32
    foreign = StoredVersion(version_id="x" * 36, ordinal=None, labels=frozenset({Label.MAIN}), facts=None)
    former = version(facts(1), Role.MAIN)
    with pytest.raises(
        DefinitionError, match=f"of certificate 1 was deleted.*--client-request-token {former.version_id}"
    ):
        desired_state(definition(), pair(foreign, former), START)
    bare = replace(
        pair(foreign), highest_ordinal=1, arn="arn:aws:secretsmanager:eu-west-1:1:secret:ios-mdm/berlin-a1b2c3"
    )
    with pytest.raises(DefinitionError, match=f"of certificate 1 was deleted.*{version_id('ios-mdm/berlin', 1)}"):
        desired_state(definition(), bare, START)


@pytest.mark.parametrize("staged", [True, False])
def test_a_secret_that_was_only_created_gets_its_main(staged: bool) -> None:  # noqa: FBT001 - pytest passes by name
    """The empty version of a new secret in an emulator does not stop the run that continues."""
    foreign = StoredVersion(version_id="x" * 36, ordinal=None, labels=frozenset({Label.MAIN}), facts=None)
    begun = (version(facts(1), Role.MAIN, Label.STAGED),) if staged else ()
    assert desired_state(definition(), pair(foreign, *begun), START).main == 1


def test_lost_facts_of_main_decide_nothing() -> None:
    """While main's facts are lost, the pair stays unchanged."""
    unknown = StoredVersion(
        version_id=version_id("ios-mdm/berlin", 1), ordinal=1, labels=frozenset({Label.MAIN}), facts=None
    )
    wanted = desired_state(definition(NoReserve()), pair(unknown, reserve()), END)
    assert (wanted.main, wanted.reserve, wanted.requests) == (1, 2, ())


def test_validity_includes_its_last_second() -> None:
    """A certificate is valid at its notAfter, and not a second later."""
    known = facts(1)
    assert is_valid_at(known, known.not_after)
    assert not is_valid_at(known, known.not_after + SECOND)
    assert is_valid_at(known, known.not_before)
    assert not is_valid_at(known, known.not_before - SECOND)


@settings(max_examples=examples(150))
@given(wish=DEFINITIONS, pauses=st.lists(st.integers(0, 700 * 86400), min_size=0, max_size=4))
def test_a_decision_is_not_changed_by_its_execution(wish: PairDefinition, pauses: list[int]) -> None:
    """Two decisions at the same time are equal, and the state after a run is the state that its preview shows."""
    # R30
    clock = HandClock(START)
    store = MemorySecretStore(clock=clock)
    service = PairService(store, clock)
    request = PairRequest(definition=wish, secret="ios-mdm/berlin", owner="o/p/s", tags={})  # noqa: S106 - its name
    for pause in [0, *pauses]:
        clock.moment += timedelta(seconds=pause)
        before = service.view(request).desired
        assert service.view(request).desired == before
        result = service.apply(request)
        assert desired_block(result.view.desired) == desired_block(before)
        assert service.view(request).step is None
