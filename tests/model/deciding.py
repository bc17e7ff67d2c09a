"""The decisions of the provider, cached: states of the search are numbers, and each question is answered once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from ios_mdm.app.pair.reader import pair_view
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import PairRequest, PairResult
from ios_mdm.app.reconcile import Progress, Reconciler, ReconcileRequest, Stage
from ios_mdm.app.switch_request import switch_request
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.guard import uncovered_versions, unoffered_versions
from ios_mdm.core.pair.layout import SENT_TAG, sent_value
from ios_mdm.core.pair.observed import Role, ServedCertificate
from ios_mdm.core.pair.schedule import Kind, schedule_names
from ios_mdm.core.pair.secret import Label, trusted_label
from ios_mdm.core.pair.steps import MoveLabel, Tag, step_description
from ios_mdm.core.pair.switch import Switch, switch
from ios_mdm.errors import DefinitionError, LabelMovedError, StoreError
from ios_mdm.settings import PromotionSettings
from tests.model.checks import complaint, promotion
from tests.model.story import DEFINITIONS, LIFE, Seed
from tests.support.memory import MemorySecretStore
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tests.support.model_pair import SECRET, carried_out, describe, number, observe, with_label_moved
from tests.support.pairs import HandClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from ios_mdm.app.pair.values import PairView
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.schedule import Schedule
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.core.pair.steps import Step
    from tests.model.story import Story
    from tests.support.model_pair import Secret

__all__ = ["OWNER", "Decided", "Deciding", "Due", "Effect", "View", "mask"]

OWNER = "organization/ios-mdm/demo"
_NAME = schedule_names("berlin", SECRET)[Kind.PROMOTE]

P = ParamSpec("P")
R = TypeVar("R")
View = tuple[int, int, int, int]
"""The inputs of a run's decision, as numbers: its definition, its time, the secret that it observed, and the
certificate that it saw the server present (0 if it saw none)."""


def cache_answers(method: Callable[Concatenate[Deciding, P], R]) -> Callable[Concatenate[Deciding, P], R]:
    """Cache the answers of a method for the story."""
    name = method.__name__

    def answer(self: Deciding, /, *args: P.args, **kwargs: P.kwargs) -> R:
        key = (name, args)
        if key not in self._answers:
            self._answers[key] = method(self, *args, **kwargs)
        return cast("R", self._answers[key])

    return answer


def mask(ordinals: tuple[int, ...]) -> int:
    """Return a set of certificates as a bit mask."""
    return sum(1 << ordinal for ordinal in ordinals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The decisions of a run.

    Args:
        view: the pair as it was observed, and the decision about it.
        trusted: certificates that devices must trust, as a mask.
        switch: the required state of the switch.
    """

    view: PairView
    trusted: int
    switch: Switch

    @property
    def step(self) -> Step | None:
        """The next effect; None if the pair matches its definition."""
        return self.view.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The result of an effect.

    Args:
        secret: number of the secret afterwards.
        promoted: numbers of the former and the new main; None if main did not change.
        complaint: the violated invariant; empty if there is none.
        refused: whether the effect was refused, which ends the run.
        text: description of the effect.
    """

    secret: int
    promoted: tuple[int, int] | None = None
    complaint: str = ""
    refused: bool = False
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The result of arming the switch.

    Args:
        schedule: number of the schedule afterwards.
        secret: number of the secret afterwards; the promotion is recorded in it.
        recorded: whether the promotion was recorded just now, and its schedule does not exist yet.
        paused: whether the schedule was created just now, and the run has not read the pair again yet.
        refused: whether the pair was changed, which ends the run.
    """

    schedule: int
    secret: int
    recorded: bool = False
    paused: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A promotion that a run makes after its delivery.

    Args:
        schedule: number of the schedule after the run has deleted it.
        secret: number of the secret at that time.
        step: the promotion; None if the run ends because a schedule may still fire.
    """

    schedule: int
    secret: int
    step: MoveLabel | None


class PausedError(Exception):
    """The code under test continues in another event."""


class RecordedError(Exception):
    """As :class:`PausedError`, after the tag was written."""


def _pause_after_put(operation: str, edge: str) -> None:
    if (operation, edge) == ("put_schedule", "after"):
        raise PausedError


class Shown(MemorySecretStore):
    """Shows a secret of the model, and changes its tags.

    Attributes:
        records: whether to keep the record of the armed promotion. No decision needs it while Scheduler answers.
    """

    secret: Secret | None = None
    records: bool = False

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Set these tags; the run continues in another event."""
        del name
        assert self.secret is not None
        if self.records:
            self.secret = self.secret.with_tags(tags)
            raise RecordedError

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove these tags. The caller has no later effect, or one more before a refusal."""
        del name
        assert self.secret is not None
        self.secret = self.secret.without_tags(keys)

    def describe(self, name: str) -> SecretDescription | None:
        """Return the secret's description."""
        del name
        return None if self.secret is None else describe(self.secret)


class Deciding:
    """The decisions for one story.

    Args:
        story: bounds and seed.
    """

    def __init__(self, story: Story) -> None:
        self._seed = story.seed
        self._one_wish = story.runs == 1 or len(story.definitions) == 1
        self._definitions = [DEFINITIONS[name] for name in story.definitions]
        self.moments: list[datetime] = [LIFE[name] for name in story.moments]
        self.secrets: list[Secret | None] = [None]
        self._secret_ids: dict[Secret | None, int] = {None: 0}
        self.schedules: list[Schedule | None] = [None]
        self._schedule_ids: dict[Schedule | None, int] = {None: 0}
        self._answers: dict[tuple[object, ...], object] = {}
        self._clock = HandClock(self.moments[0])
        self._store = Shown(clock=self._clock)
        self._store.records = story.outages
        self._scheduler = MemoryScheduler()
        self._switches = SwitchService(self._scheduler, MemoryPrerequisites(), self._store, self._clock)
        self._reconciler = Reconciler(PairService(self._store, self._clock), self._switches)

    def secret_id(self, secret: Secret | None) -> int:
        """Return the number of a secret."""
        found = self._secret_ids.setdefault(secret, len(self.secrets))
        if found == len(self.secrets):
            self.secrets.append(secret)
        return found

    @cache_answers
    def _observed_pair(self, secret: int) -> ObservedPair | None:
        """Return the pair in the secret of this number, without the certificate that its server presents."""
        return observe(self.secrets[secret])

    @cache_answers
    def secret_with_record(self, secret: int, sent: int) -> int:
        """Return the number of a secret that records which certificates the devices were sent."""
        before = self.secrets[secret]
        assert before is not None
        ordinals = [ordinal for ordinal in range(1, sent.bit_length()) if sent >> ordinal & 1]
        step = Tag(tags={SENT_TAG: sent_value(ordinals)})
        return self.secret_id(carried_out(before, step, observed=None, now=self.moments[0]))

    def forgotten(self, secret: int) -> int:
        """Return the number of the secret without the record of the certificates that the devices were sent."""
        before = self.secrets[secret]
        assert before is not None
        return self.secret_id(before.without_tags((SENT_TAG,)))

    def is_noted(self, secret: int, sent: int, moment: int) -> bool:
        """Return whether a secret records that the devices were offered and sent these certificates."""
        if self._seed is Seed.NOT_MISSED:
            return True
        return (
            self.secret_with_record(secret, sent) == secret and self.secret_with_offer(secret, sent, moment) == secret
        )

    @cache_answers
    def trusted_by(self, secret: int, certificates: int) -> int:
        """Return the certificates that a device with these certificates trusts: all that have the same roots (R16)."""
        held = self.secrets[secret]
        values = () if held is None else held.values
        roots = {value.facts.root for value in values if certificates >> value.facts.ordinal & 1}
        return certificates | mask(tuple(value.facts.ordinal for value in values if value.facts.root in roots))

    @cache_answers
    def relevant(self, secret: int, moment: int, served: int) -> int:
        """Return the certificates for which the trust of devices matters at ``moment`` or later.

        An expired custom certificate still matters, because another certificate may have its root.
        """
        held = self.secrets[secret]
        values = () if held is None else held.values
        return mask(
            tuple(
                value.facts.ordinal
                for value in values
                if self.moments[moment] < expiry(value.facts)
                or value.facts.source is Source.INSTALLED
                or value.facts.ordinal in {served, held and held.holder(Label.MAIN)}
            )
        )

    @cache_answers
    def secret_with_offer(self, secret: int, trusted: int, moment: int) -> int | None:
        """Return the secret with the labels of an offer (unchanged if none is missing), or None if a run must not send.

        All labels are added in one event: ``tests/app/test_guard.py`` has the crashes between them.

        Args:
            secret: number of the secret.
            trusted: the certificates of the profile, as a mask.
            moment: number of the run's time.
        """
        before = self.secrets[secret]
        assert before is not None
        observed = self._observed_pair(secret)
        assert observed is not None
        ordinals = [ordinal for ordinal in range(1, trusted.bit_length()) if trusted >> ordinal & 1]
        if self._seed not in {Seed.UNGUARDED, Seed.UNCOVERED} and uncovered_versions(
            observed, ordinals, self.moments[moment]
        ):
            return None
        after = before
        for version in unoffered_versions(observed, ordinals, self.moments[moment]):
            label = trusted_label(version.ordinal or 0)
            after = with_label_moved(after, label, to=version.ordinal, current=before.holder(label))
        return self.secret_id(after)

    def _schedule_id(self) -> int:
        schedule = self._scheduler.get(_NAME)
        found = self._schedule_ids.setdefault(schedule, len(self.schedules))
        if found == len(self.schedules):
            self.schedules.append(schedule)
        return found

    def _lay(self, schedule: int, moment: int) -> None:
        """Give the services under test this schedule and this time."""
        found = self.schedules[schedule]
        self._scheduler.schedules = {} if found is None else {_NAME: found}
        self._clock.moment = self.moments[moment]

    @cache_answers
    def run_decisions(self, view: View) -> Decided | None:
        """Return the decisions of a run; None if the definition must not be applied."""
        definition, now, secret, served = view
        wish, pair = self._definitions[definition], self._observed_with_server(secret, served)
        request = self._request(view)
        if self._seed is Seed.APPLIED_FIRST:
            request = replace(request, definition=replace(request.definition, distributed=False))
        try:
            found = pair_view(request, pair, self.moments[now])
        except DefinitionError:
            return None
        trusted = found.desired.trusted_ordinals
        if self._seed is Seed.UNGUARDED:
            guarded = {one.ordinal for one in found.desired.guarded}
            trusted = tuple(ordinal for ordinal in trusted if ordinal not in guarded)
        if self._seed is Seed.SHRUNK_PROFILE:
            trusted = tuple(ordinal for ordinal in trusted if ordinal not in found.desired.formers)
        by_itself = Switch() if pair is None else switch(wish, found.desired, pair)
        return Decided(view=found, trusted=mask(trusted), switch=by_itself)

    def _observed_with_server(self, secret: int, served: int) -> ObservedPair | None:
        held = self.secrets[secret]
        pair = self._observed_pair(secret)
        if pair is None:
            return None
        presented = None if held is None else held.value(served)
        if presented is not None and pair.main is not None and pair.main.facts is not None:
            pair = replace(pair, served=(ServedCertificate(endpoint="10.0.0.5:443", sha256=presented.facts.sha256),))
        if self._seed is Seed.NOT_RECORDED:
            return replace(pair, armed=None)
        if self._seed is Seed.REUSED_NUMBER:
            known = max((version.ordinal or 0 for version in pair.versions), default=0)
            return replace(pair, highest_ordinal=known, recorded_ordinal=known)
        if self._seed is Seed.UNDONE_ROLLBACK and pair.main is not None:
            main = pair.main.ordinal or 0
            versions = tuple(
                replace(version, role=Role.RESERVE, labels=version.labels - {Label.FORMER})
                if version.is_former and (version.ordinal or 0) > main
                else version
                for version in pair.versions
            )
            return replace(pair, versions=versions)
        return pair

    def _request(self, view: View) -> PairRequest:
        return PairRequest(definition=self._definitions[view[0]], secret=SECRET, owner=OWNER, tags={})

    def _run(self, view: View) -> ReconcileRequest:
        definition = self._definitions[view[0]]
        if self._seed is Seed.ARMED_FIRST:
            definition = replace(definition, distributed=False)
        pair = PairRequest(definition=definition, secret=SECRET, owner=OWNER, tags={})
        settings = self._definitions[view[0]].promotion
        promotion = PromotionSettings(schedule=settings.schedule, hold=settings.hold)
        return ReconcileRequest(pair=pair, promotion=promotion)

    def _progress(self, view: View) -> Progress:
        decided = self.run_decisions(view)
        assert decided is not None
        pair = PairResult(view=decided.view, certificates={}, switch=decided.switch)
        return Progress(view=decided.view, pair=pair)

    @cache_answers
    def goes_on_without_scheduler(self, view: View) -> bool:
        """Return whether a run leaves the schedule and continues if Scheduler does not answer its first stage."""
        decided = self.run_decisions(view)
        assert decided is not None
        self._lay(0, view[1])
        self._scheduler.down = True
        try:
            self._reconciler.perform(Stage.WITHDRAW, self._run(view), Progress(view=decided.view))
        except StoreError:
            return False
        finally:
            self._scheduler.down = False
        return True

    @cache_answers
    def taken_back(self, view: View, schedule: int, secret: int) -> tuple[int, int]:
        """Return schedule and secret after the first stage of a run, which may withdraw the schedule.

        The record of a promotion is removed from the secret together with its schedule.
        """
        decided = self.run_decisions(view)
        assert decided is not None
        if self._seed is Seed.NOT_TAKEN_BACK:
            return schedule, secret
        self._lay(schedule, view[1])
        self._store.secret = self.secrets[secret]
        self._reconciler.perform(Stage.WITHDRAW, self._run(view), Progress(view=decided.view))
        return self._schedule_id(), self.secret_id(self._store.secret)

    @cache_answers
    def step_effect(self, view: View, secret: int, moment: int) -> Effect:
        """Return the result of the run's next effect on the secret at ``moment``, which may be after the run's time."""
        decided, before = self.run_decisions(view), self.secrets[secret]
        assert decided is not None
        assert decided.step is not None
        text = step_description(decided.step)
        try:
            after = carried_out(before, decided.step, observed=decided.view.observed, now=self.moments[moment])
        except LabelMovedError:
            return Effect(secret=secret, text=f"{text}: the label was moved concurrently")
        except DefinitionError:
            return Effect(secret=secret, refused=True, text=f"{text}: refused")
        # The check uses the time of the run's decision: a run takes minutes, but the steps of a story are days. A
        # certificate that the run has issued is valid from a later time of the story.
        decided_for, to = self.moments[view[1]], decided.step.to if isinstance(decided.step, MoveLabel) else None
        is_new = to is not None and to.facts is not None and to.facts.not_before > decided_for
        return self._effect(before, after, self.moments[moment] if is_new else decided_for, text)

    def _effect(self, before: Secret | None, after: Secret, now: datetime, text: str) -> Effect:
        change = promotion(before, after)
        return Effect(
            secret=self.secret_id(after),
            promoted=None if change is None else (change[0].facts.ordinal, change[1].facts.ordinal),
            complaint=complaint(before, after, now, one_wish=self._one_wish),
            text=text,
        )

    def _switch_request(self, view: View) -> SwitchRequest:
        decided, run = self.run_decisions(view), self._run(view)
        assert decided is not None
        return switch_request(run.pair, run.promotion, decided.view)

    @cache_answers
    def arming(self, view: View, schedule: int, secret: int, moment: int) -> Armed:
        """Return the result of arming. If the run creates a schedule, it continues in a separate event."""
        self._lay(schedule, moment)
        self._store.secret = self.secrets[secret]
        self._scheduler.fail = _pause_after_put
        try:
            self._reconciler.perform(Stage.ARM, self._run(view), self._progress(view))
        except RecordedError:
            return self._arming_result(recorded=True)
        except PausedError:
            return self._arming_result(paused=True)
        except StoreError:
            return self._arming_result(refused=True)
        finally:
            self._scheduler.fail = None
        return self._arming_result()

    def _arming_result(self, *, recorded: bool = False, paused: bool = False, refused: bool = False) -> Armed:
        secret = self.secret_id(self._store.secret)
        return Armed(schedule=self._schedule_id(), secret=secret, recorded=recorded, paused=paused, refused=refused)

    @cache_answers
    def due(self, view: View, schedule: int, secret: int, moment: int, *, down: bool = False) -> Due | None:
        """Return the promotion that a run makes after its delivery; None if there is none.

        Args:
            view: inputs of the run's decision.
            schedule: number of the schedule.
            secret: number of the secret.
            moment: number of the time.
            down: whether Scheduler does not answer.
        """
        self._lay(schedule, moment)
        self._store.secret = self.secrets[secret]
        self._scheduler.down = down
        try:
            step = self._switches.prepare_due(self._switch_request(view))
        except StoreError:
            return Due(schedule=schedule, secret=secret, step=None)
        finally:
            self._scheduler.down = False
        if step is None:
            return None
        return Due(schedule=self._schedule_id(), secret=self.secret_id(self._store.secret), step=step)

    @cache_answers
    def promotion_effect(self, secret: int, moment: int, step: MoveLabel) -> Effect:
        """Return the result of this promotion at ``moment``, which a run makes after its delivery."""
        before = self.secrets[secret]
        assert before is not None
        text = f"the run makes certificate {None if step.to is None else step.to.ordinal} main"
        try:
            after = carried_out(before, step, observed=None, now=self.moments[moment])
        except LabelMovedError:
            return Effect(secret=secret, text=f"{text}: the label was moved concurrently")
        # Unlike the run's other effects, this effect is decided at the time at which it happens.
        return self._effect(before, after, self.moments[moment], text)

    @cache_answers
    def verified_schedule(self, view: View, schedule: int, secret: int) -> Armed:
        """Return the schedule that the run leaves after it has read the pair again."""
        request = self._switch_request(view)
        assert request.switch.promote is not None
        self._lay(schedule, view[1])
        self._store.secret = self.secrets[secret]
        try:
            self._switches.confirm(request, request.switch.promote)
        except StoreError:
            return self._arming_result(refused=True)
        return self._arming_result()

    def takes_from(self, schedule: int) -> int | None:
        """Return the certificate that a schedule takes AWSCURRENT from; None if there is no schedule."""
        found = self.schedules[schedule]
        return None if found is None else number(json.loads(found.input)["RemoveFromVersionId"])

    def is_due(self, schedule: int, moment: int) -> bool:
        """Return whether there is a schedule, and its time is reached."""
        found = self.schedules[schedule]
        return found is not None and found.at <= self.moments[moment]

    @cache_answers
    def schedule_effect(self, schedule: int, secret: int) -> Effect:
        """Return the result of a schedule: it makes the API call that it contains, a compare-and-swap."""
        held, before = self.schedules[schedule], self.secrets[secret]
        assert held is not None
        assert before is not None
        call: dict[str, str] = json.loads(held.input)
        to, current = number(call["MoveToVersionId"]), number(call["RemoveFromVersionId"])
        text = f"the schedule moves {call['VersionStage']} from certificate {current} to {to}"
        if self._seed is Seed.NO_SWAP:
            current = before.holder(Label.MAIN)
        try:
            after = with_label_moved(before, call["VersionStage"], to=to, current=current)
        except LabelMovedError:
            return Effect(secret=secret, text=f"{text}: AWS refuses because the label was moved")
        return self._effect(before, after, held.at, text)
