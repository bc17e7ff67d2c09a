"""Properties of a pair's life with edits, missed runs, crashes, wrong clocks, and labels and tags changed by hand."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ios_mdm.app.delivery.service import DeliveryService
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import PairRequest
from ios_mdm.app.reconcile import Distribution, Reconciler, ReconcileRequest
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.pair.certificate_times import BACKDATED, expiry, is_valid_at
from ios_mdm.core.pair.definition import (
    AfterDays,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    PairDefinition,
    Promotion,
    When,
)
from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.pair.layout import HIGHEST_TAG, MAIN_GENERATION_TAG, facts_tag, facts_value, version_id
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.schedule import Kind, schedule_names
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import next_step
from ios_mdm.errors import DefinitionError, LabelMovedError
from ios_mdm.settings import PromotionSettings
from ios_mdm.settings.distribution import ProfileSettings
from tests.support.crashes import Crash, CrashError
from tests.support.lifecycle import DEFINITIONS, facts, pair
from tests.support.lifecycle import version as stored
from tests.support.long import examples
from tests.support.memory import MemorySecretStore
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tests.support.model_pair import SECRET, Secret, Value, carried_out, fingerprint, observe
from tests.support.pairs import KNOWN, OWNER, HandClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.app.pair.values import PairResult
    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion
    from tests.support.crashes import Edge

START = datetime(2040, 1, 1, tzinfo=UTC)
AWS_TRIES_FOR = timedelta(hours=6)
PROMOTE = schedule_names("berlin", SECRET)[Kind.PROMOTE]


def _definition(
    reserve: IssueReserve | NoReserve | None = None, *, hold: bool = False, main: int = 1, days: int = 397
) -> PairDefinition:
    return PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=IssueMain(key=KeyType.EC_P256, generation=main, validity_days=days),
        reserve=reserve,
        distributed=True,
        promotion=Promotion(hold=hold),
    )


class TakingChannel:
    """An MDM server that accepts every command."""

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return all ids as one batch."""
        return [enrollment_ids]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Accept the command."""
        assert enrollment_ids
        assert command
        return ()


NAMED_DEFINITIONS = {
    "silent": _definition(),
    "hold": _definition(hold=True),
    "now": _definition(IssueReserve(when=When.NOW, apply=AfterDays(days=30))),
    "now, later": _definition(IssueReserve(when=When.NOW, apply=AfterDays(days=90))),
    "another": _definition(IssueReserve(when=When.NOW, apply=AfterDays(days=30), generation=2, validity_days=300)),
    "none": _definition(NoReserve()),
    "a new main": _definition(main=2),
    "short": _definition(days=47),
}


class Life(RuleBasedStateMachine):
    """Years of one pair and its schedule, with changes by users, operators and AWS."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock(START)
        self.store = MemorySecretStore(clock=self.clock)
        self.scheduler = MemoryScheduler()
        self.pairs = PairService(self.store, self.clock)
        switches = SwitchService(self.scheduler, MemoryPrerequisites(), self.store, self.clock)
        deliveries = DeliveryService(TakingChannel, self.store, None, self.clock, report=lambda _line: None)
        self.reconciler = Reconciler(self.pairs, switches, deliveries)
        self.wish = NAMED_DEFINITIONS["silent"]
        self.held: dict[str, str] = {}
        self.taken_back: set[int | None] = set()

    # Events in the life of the pair.

    @initialize(wish=st.sampled_from(sorted(NAMED_DEFINITIONS)))
    def begins(self, wish: str) -> None:
        """The first run creates the pair."""
        self.wish = NAMED_DEFINITIONS[wish]
        self._up()

    @rule(wish=st.sampled_from(sorted(NAMED_DEFINITIONS)))
    def the_user_edits(self, wish: str) -> None:
        """The next run uses another definition."""
        self.wish = NAMED_DEFINITIONS[wish]

    @rule()
    def a_run(self) -> None:
        """A run succeeds or is refused. A second run at the same time writes nothing."""
        with contextlib.suppress(DefinitionError):
            self._up()

    @rule(number=st.integers(1, 12), edge=st.sampled_from(["before", "after"]))
    def a_run_dies(self, number: int, edge: Edge) -> None:
        """A run is interrupted at a write, if it has this many writes."""
        self.store.fail = self.scheduler.fail = Crash(number, edge)
        try:
            with contextlib.suppress(CrashError, DefinitionError):
                self._up()
        finally:
            self.store.fail = self.scheduler.fail = None

    @rule(days=st.sampled_from([0, 1, 15, 29, 30, 31, 60, 200, 336, 340, 395]), minutes=st.integers(0, 1440))
    def time_passes(self, days: int, minutes: int) -> None:
        """Time passes, so that a run can be missed or a schedule can be due."""
        self.clock.moment += timedelta(days=days, minutes=minutes)

    @rule(minutes=st.integers(1, 10))
    def the_clock_goes_back(self, minutes: int) -> None:
        """A wrong clock is corrected."""
        self.clock.moment -= timedelta(minutes=minutes)

    @precondition(lambda self: self.due)
    @rule(lost=st.booleans())
    def the_schedule_is_due(self, *, lost: bool) -> None:
        """AWS makes the call of the schedule, or fails, and deletes the schedule."""
        schedule = self.scheduler.schedules.pop(PROMOTE)
        call = json.loads(schedule.input)
        if lost or self.pair.is_deleted or self.clock.now() > schedule.at + AWS_TRIES_FOR:
            return
        before = self.pair
        with contextlib.suppress(LabelMovedError):
            self.store.move_label(
                SECRET, call["VersionStage"], to=call["MoveToVersionId"], current=call["RemoveFromVersionId"]
            )
        self._check_promotion(before)

    @precondition(lambda self: self.is_there)
    @rule()
    def an_operator_moves_main_back(self) -> None:
        """AWSCURRENT is moved back to a valid former main. Only an operator moves it forward again."""
        pair = self.pair
        main, former = pair.main, pair.holder(Label.FORMER)
        if main is None or former is None or former.facts is None or not is_valid_at(former.facts, self.clock.now()):
            return
        self.store.move_label(SECRET, Label.MAIN, to=former.version_id, current=main.version_id)
        self.taken_back = (self.taken_back | {main.ordinal}) - {former.ordinal}

    @precondition(lambda self: self.is_there)
    @rule()
    def an_operator_promotes_early(self) -> None:
        """AWSCURRENT is moved to the reserve before its apply time."""
        main, reserve = self.pair.main, self.pair.reserve
        if main is None or reserve is None or reserve.facts is None or not is_valid_at(reserve.facts, self.clock.now()):
            return
        self.store.move_label(SECRET, Label.MAIN, to=reserve.version_id, current=main.version_id)
        self.taken_back -= {reserve.ordinal}

    @precondition(lambda self: self.is_there)
    @rule(what=st.sampled_from(["RESERVE", "facts", HIGHEST_TAG, MAIN_GENERATION_TAG, "STAGED", "secret"]))
    def operator_tampers(self, what: str) -> None:
        """A label or a tag is removed, STAGED is on main, or the secret is scheduled for deletion."""
        pair = self.pair
        reserve, main, staged = pair.reserve, pair.main, pair.holder(Label.STAGED)
        assert main is not None
        if what == "RESERVE" and reserve is not None:
            self.store.move_label(SECRET, Label.RESERVE, to=None, current=reserve.version_id)
        elif what == "STAGED":
            self.store.move_label(
                SECRET, Label.STAGED, to=main.version_id, current=None if staged is None else staged.version_id
            )
        elif what == "facts" and reserve is not None:
            self.store.untag(SECRET, [facts_tag(reserve.version_id)])
        elif what == "secret":
            self.pairs.delete(SECRET, recovery_window_days=7)
        elif what.startswith("ios-mdm"):
            self.store.untag(SECRET, [what])

    # Invariants after each event.

    @invariant()
    def no_version_is_used_twice(self) -> None:
        """R32: the value of a version never changes, no version is lost, and no two versions have the same key."""
        values = {key: version.value for key, version in self.store._secrets[SECRET].versions.items()}
        assert self.held.items() <= values.items()
        assert len({json.loads(value)["tls.key"] for value in values.values()}) == len(values)
        self.held = values

    @invariant()
    def the_pair_is_sound(self) -> None:
        """Main is a certificate of the pair, no reserve is valid for longer than R8 allows, and there are few tags."""
        pair = self.pair
        assert pair.main is not None
        assert pair.main.ordinal is not None
        assert len(pair.tags) <= 20
        for version in pair.versions:
            if version.role is Role.RESERVE and version.facts is not None and pair.main.facts is not None:
                longest = max(_validity(one) for one in pair.versions if one.facts is not None)
                assert _validity(version) <= longest

    @property
    def pair(self) -> ObservedPair:
        """The observed pair."""
        pair = self.pairs.observe(SECRET)
        assert pair is not None
        return pair

    @property
    def is_there(self) -> bool:
        """Whether the pair has a main, and is not scheduled for deletion."""
        pair = self.pairs.observe(SECRET)
        return pair is not None and not pair.is_deleted and pair.main is not None

    @property
    def due(self) -> bool:
        """Whether there is a schedule whose time has passed."""
        schedule = self.scheduler.schedules.get(PROMOTE)
        return schedule is not None and schedule.at <= self.clock.now()

    def _up(self) -> None:
        """Reconcile the pair and its schedule, then once again, which must write nothing."""
        before = self.pairs.observe(SECRET)
        puts = self._puts()
        request = ReconcileRequest(
            pair=PairRequest(
                definition=self.wish, secret=SECRET, owner=OWNER, known=None if before is None else KNOWN, tags={}
            ),
            promotion=PromotionSettings(),
            distribution=Distribution(
                settings=ProfileSettings(identifier="com.example.mdm.trust"), enrollment_ids=("device",)
            ),
        )
        try:
            result = self.reconciler.reconcile(request).pair
        finally:
            if before is not None:
                self._check_promotion(before)
        assert result is not None
        self._check_result(result, before, self._puts() - puts)
        decided = result.view.observed
        assert decided is not None
        if self._was_reserve(decided):
            # The reserve was due, but devices did not have it before this run. The next run decides its successor.
            assert before is not None
            assert not before.is_sent(self.pair.main.ordinal if self.pair.main else None)
            self.reconciler.reconcile(request)
        left = (list(self.store.calls), dict(self.scheduler.schedules))
        self.reconciler.reconcile(request)
        assert (self.store.calls, self.scheduler.schedules) == left

    def _was_reserve(self, decided: ObservedPair) -> bool:
        """Return whether the present main was the reserve of *decided*."""
        main, reserve = self.pair.main, decided.reserve
        return main is not None and reserve is not None and main.version_id == reserve.version_id

    def _puts(self) -> int:
        return sum(call[0] == "put" for call in self.store.calls)

    def _check_promotion(self, before: ObservedPair) -> None:
        """R13, R32: main is replaced only by a valid reserve, or, after its expiry, by a new main on request."""
        pair, now = self.pair, self.clock.now()
        if before.main is None or pair.main is None or pair.main.version_id == before.main.version_id:
            return
        assert pair.main.ordinal not in self.taken_back
        former = pair.version_of(before.main.ordinal or 0)
        main = pair.main.facts
        was_valid = former is not None and former.facts is not None and now < expiry(former.facts)
        if main is not None:
            # After the clock was corrected, the notBefore of a new main can be in the future. It still replaces an
            # expired main.
            assert is_valid_at(main, now) if was_valid else now < expiry(main)
        was = before.version_of(pair.main.ordinal or 0)
        if was is not None:
            assert was.role is not Role.DELETED
        elif former is not None and former.facts is not None and (pair.main.ordinal or 0) > before.highest_ordinal:
            assert now >= expiry(former.facts)

    def _check_result(self, result: PairResult, before: ObservedPair | None, puts: int) -> None:
        """R5, R10, R11, R17: check certificates, schedule and number of stored versions after a run."""
        wanted, now = result.view.desired, self.clock.now()
        pair = self.pair
        assert set(result.certificates) == set(wanted.trusted_ordinals)
        for version in pair.versions:
            if version.is_former and version.facts is not None and now < expiry(version.facts):
                assert version.ordinal in wanted.trusted_ordinals
        schedule = self.scheduler.schedules.get(PROMOTE)
        if self.wish.promotion.hold or wanted.reserve is None:
            assert schedule is None
        elif wanted.apply_at is not None and now < wanted.apply_at < expiry(result.certificates[wanted.reserve].facts):
            assert schedule is not None
            assert schedule.at >= wanted.apply_at
            assert version_id(SECRET, wanted.reserve) in schedule.input
        assert puts <= 2
        if before is not None and before.main is not None and before.reserve is not None:
            kept = (wanted.main, wanted.reserve) == (before.main.ordinal, before.reserve.ordinal)
            assert not kept or puts == 0


Life.TestCase.settings = settings(
    max_examples=examples(75),
    stateful_step_count=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestLife(Life.TestCase):  # type: ignore[misc, valid-type]  # hypothesis creates it on access
    """R8 R10 R11 R12 R13 R17 R30 R32: the rules and invariants of :class:`Life`."""


@pytest.mark.parametrize("after", ["another", "none"])
def test_a_pair_in_a_secret_that_is_scheduled_for_deletion_gets_another_reserve(after: str) -> None:
    """The schedule of the former reserve is withdrawn at once, and its record after the secret is restored."""
    # R10 R11 R33 R35
    life = Life()
    life.begins("now")
    life.operator_tampers("secret")
    life.the_user_edits(after)
    life.a_run()
    life.no_version_is_used_twice()
    life.the_pair_is_sound()
    armed, reserve = life.pair.armed, life.pair.reserve
    expected = None if after == "none" else 3
    assert (armed.certificate if armed else None, reserve.ordinal if reserve else None) == (expected, expected)


def _validity(version: StoredVersion) -> timedelta:
    assert version.facts is not None
    return version.facts.not_after - version.facts.not_before


# Secrets with any combination of tags and labels.

NOW = START + timedelta(days=800)


@st.composite
def _secrets(draw: st.DrawFn, *, intact: bool = False) -> Secret:
    """Return a pair's secret in any state. An *intact* secret has every facts tag, and no version is only staged."""
    values, tags = [], {"ios-mdm:owner": OWNER, "ios-mdm:address": "mdm.example.com"}
    count = draw(st.integers(1, 4))
    for ordinal in range(1, count + 1):
        issued = NOW - timedelta(
            days=draw(st.sampled_from([-3, -1, 0]) | st.integers(-3, 800)), seconds=draw(st.integers(0, 86400))
        )
        days = draw(st.sampled_from([1, 3, 30]) | st.integers(1, 824))
        known = CertificateFacts(
            ordinal=ordinal,
            source=draw(st.sampled_from(Source)),
            generation=draw(st.integers(1, 2)),
            not_before=issued - BACKDATED,
            not_after=issued - BACKDATED + timedelta(days=days, seconds=-1),
            sha256=fingerprint(ordinal),
            root=fingerprint(ordinal),
        )
        role = draw(st.sampled_from(Role))
        if intact or draw(st.integers(0, 4)):
            tags[facts_tag(version_id(SECRET, ordinal))] = facts_value(known, role)
        values.append(Value(facts=known, made_as=(KeyType.EC_P256, days), role=role, follows=0))
    if intact or draw(st.booleans()):
        tags[HIGHEST_TAG] = str(count)
    if intact or draw(st.booleans()):
        tags[MAIN_GENERATION_TAG] = str(draw(st.integers(1, 2)))
    labels = {str(Label.MAIN): draw(st.integers(1, count))}
    for label in (Label.FORMER, Label.RESERVE, *([] if intact else [Label.STAGED])):
        holder = draw(st.none() | st.integers(1, count))
        if holder is not None and (label is not Label.FORMER or holder != labels[Label.MAIN]):
            labels[str(label)] = holder
    return Secret(tags=tuple(sorted(tags.items())), labels=tuple(sorted(labels.items())), values=tuple(values))


@settings(max_examples=examples(400), derandomize=True)
@given(wish=DEFINITIONS, secret=_secrets())
def test_any_observed_pair_is_decided_or_refused(wish: PairDefinition, secret: Secret) -> None:
    """For the same secret, the decision is always the same: a desired state, or a refusal."""
    # R30
    found = observe(secret)
    try:
        wanted = desired_state(wish, found, NOW)
    except DefinitionError:
        with pytest.raises(DefinitionError, match=r"\w"):
            desired_state(wish, found, NOW)
        return
    assert desired_state(wish, found, NOW) == wanted
    begun = secret.holder(Label.STAGED)
    main = secret.value(wanted.main)
    if main is not None and wanted.main not in {secret.holder(Label.MAIN), begun}:
        assert is_valid_at(main.facts, NOW)  # R32
    for request in wanted.requests:
        assert request.ordinal == begun or not secret.is_known(request.ordinal)


def test_a_new_main_that_was_begun_and_has_expired_since_is_not_taken_up() -> None:
    """A new main that an interrupted run stored is not used after it has expired. The next run issues another one."""
    # R13 R32
    versions = (
        stored(facts(1, days=10), Role.MAIN, Label.MAIN),
        stored(facts(2, issued=START + timedelta(days=20), days=10), Role.MAIN, Label.STAGED),
    )
    wanted = desired_state(_definition(main=2), pair(*versions), START + timedelta(days=40))
    assert wanted.main == 3


@settings(max_examples=examples(300), derandomize=True)
@given(wish=DEFINITIONS, secret=_secrets(intact=True))
def test_a_decision_carried_out_is_a_fixed_point(wish: PairDefinition, secret: Secret) -> None:
    """The steps lead to the state that was decided first, unless a step leads to a refusal. Then no step is left."""
    # R30
    setting = PairRequest(definition=wish, secret=SECRET, owner=OWNER, tags={}).setting(None, None)
    try:
        first = desired_state(wish, observe(secret), NOW)
    except DefinitionError:
        assume(False)
    # No run leaves two reserves, because it deletes a reserve before it stores the next one.
    seen = observe(secret)
    assume(seen is None or sum(version.role is Role.RESERVE for version in seen.versions) <= 1)
    before = secret.holder(Label.MAIN)
    for _ in range(60):
        found = observe(secret)
        try:
            wanted = desired_state(wish, found, NOW)
        except DefinitionError:
            # An effect can lead to a refusal: because of a second reserve, or because of a wrong request for another
            # reserve after a reserve replaced an expired main. No certificate was lost until then.
            assert secret.holder(Label.MAIN) in {before, first.main}
            return
        step = next_step(wanted, found, setting)
        assert (wanted.main, wanted.reserve, wanted.phase) == (first.main, first.reserve, first.phase)
        if step is None:
            break
        secret = carried_out(secret, step, observed=found, now=NOW)
    else:
        raise AssertionError("after 60 steps there are still pending steps")
    assert secret.holder(Label.MAIN) == first.main
    assert secret.holder(Label.RESERVE) == first.reserve
    assert secret.holder(Label.STAGED) is None
