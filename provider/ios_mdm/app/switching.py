"""Brings the schedules of a pair's switch, and their role and queue, to the desired state.

A promotion is recorded in the pair's secret before its schedule is created. The record stays until the deletion or the
end of the schedule is confirmed. So a run can determine whether a schedule may still fire even if Scheduler does not
answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ios_mdm.app.confirm import read_until
from ios_mdm.app.switch_reader import SwitchReader
from ios_mdm.app.switch_request import armed_promotion, was_sent
from ios_mdm.core.pair.certificate_times import is_valid_at
from ios_mdm.core.pair.layout import ARMED_TAG, armed_value, observed_pair
from ios_mdm.core.pair.observed import ArmedPromotion
from ios_mdm.core.pair.schedule import Kind, has_ended, is_for_promotion, queue_name, role_name, schedule_names
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import MoveLabel
from ios_mdm.core.pair.switch import switch
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ios_mdm.app.pair.values import PairRequest, PairView
    from ios_mdm.app.switch_reader import SwitchFindings
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.schedule import Schedule
    from ios_mdm.core.pair.switch import Promote, Switch
    from ios_mdm.ports import Clock, Prerequisites, Scheduler, SecretStore

__all__ = ["ArmedSwitch", "SwitchService"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmedSwitch:
    """Role and queue of an armed switch.

    Args:
        role: ARN of the role of the schedules; None if there are no schedules.
        dead_letter: ARN of the queue for failed calls of the schedules; None if there are no schedules.
        is_complete: False if AWS did not answer or refused. A schedule may then use another role and queue.
    """

    role: str | None = None
    dead_letter: str | None = None
    is_complete: bool = True


class SwitchService:
    """Arms and disarms switches.

    Args:
        scheduler: has the schedules.
        prerequisites: creates the role and the queue.
        store: stores the pairs. A pair is read again after its promotion was scheduled.
        clock: read once for each call. A schedule whose time has passed is not created.
        report: receives each line of progress.
        warn: receives each warning: a resource is missing because AWS did not answer or refused, or a schedule may
            still fire.
        is_read_ahead: whether the answers of AWS that :meth:`findings` needs are cached.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        prerequisites: Prerequisites,
        store: SecretStore,
        clock: Clock,
        *,
        report: Callable[[str], None] = lambda _line: None,
        warn: Callable[[str], None] = lambda _line: None,
        is_read_ahead: bool = False,
    ) -> None:
        self._scheduler = scheduler
        self._prerequisites = prerequisites
        self._store = store
        self._clock = clock
        self._report = report
        self._is_read_ahead = is_read_ahead
        self._warn = warn

    def withdraw(self, request: PairRequest, view: PairView) -> bool:
        """Delete the schedule of a promotion that must not happen, or must happen later.

        This is the first effect of a run. An interrupted run must not leave the promotion of a reserve that is about to
        be deleted, and ``promotion.hold`` must work even if the MDM server does not answer. At the end of the run,
        :meth:`arm` schedules the desired promotion, and removes the record of a withdrawn one.

        The record keeps its certificate in the profile (R35). So if the certificate leaves its slot, the record is
        removed here. A secret that is scheduled for deletion keeps its record until it is restored, because AWS refuses
        to change its tags.

        Args:
            request: request for the pair.
            view: observed and desired state of the pair.

        Returns:
            True if the record of an armed promotion was removed: the decision can then be another one.

        Raises:
            StoreError: Scheduler does not confirm that a recorded schedule is deleted, and the changes of this run are
                unsafe if that schedule fires.
        """
        observed, definition = view.observed, request.definition
        if observed is None or (observed.armed is None and not definition.promotion.schedule):
            return False
        name = schedule_names(definition.name, request.secret)[Kind.PROMOTE]
        promote = switch(definition, view.desired, observed).promote if definition.promotion.schedule else None
        armed = observed.armed
        try:
            found = self._scheduler.get(name)
            armed = None if found is None else _promotion_of(found, observed)
            if found is not None and (promote is None or not is_for_promotion(found, promote, observed.arn)):
                self._scheduler.delete(name)
                self._report(f"the promotion that was scheduled for {found.at:%Y-%m-%d %H:%M} UTC is withdrawn")
        except StoreError as error:
            if armed is not None and not has_ended(armed, self._clock.now()):
                self._refuse_or_warn(request, view, armed, promote, error)
            return False
        if observed.is_deleted or observed.armed is None:
            return False
        if observed.armed.certificate in {view.desired.main, view.desired.reserve}:
            return False
        self._store.untag(request.secret, [ARMED_TAG])
        return True

    def _refuse_or_warn(
        self, request: PairRequest, view: PairView, armed: ArmedPromotion, promote: Promote | None, error: StoreError
    ) -> None:
        """Refuse changes that are unsafe if this schedule fires; otherwise warn if the schedule should not exist."""
        definition, desired, observed = request.definition, view.desired, view.observed
        main, reserve = (None, None) if observed is None else (observed.main, observed.reserve)
        if armed.certificate in {desired.main, None if main is None else main.ordinal}:
            return  # after this run, the call names a certificate that no longer has the label, so AWS refuses it
        certificate = armed.certificate or (None if reserve is None else reserve.ordinal)
        schedule = (
            f"the schedule {schedule_names(definition.name, request.secret)[Kind.PROMOTE]} {_firing_message(armed)}"
        )
        refused = None
        if definition.promotion.hold:
            refused = "promotion.hold is set"
        elif certificate not in {desired.main, desired.reserve}:
            refused = f"certificate {certificate} must not become main"
        elif promote is not None and (armed.at is None or promote.at > armed.at):
            refused = f"the apply time is {promote.at:%Y-%m-%d %H:%M} UTC"
        if refused is not None:
            raise StoreError(
                f"{refused}, but {schedule}, because EventBridge Scheduler does not confirm that it is deleted. "
                f"Nothing was changed. Run again when Scheduler answers, or delete the schedule. ({error})"
            )
        if promote is None or armed != armed_promotion(promote):
            self._warn(f"{schedule}, because EventBridge Scheduler does not confirm that it is deleted ({error})")

    def findings(self, request: SwitchRequest, observed: ObservedPair) -> SwitchFindings:
        """Return the findings of :class:`SwitchReader`; writes nothing."""
        reader = SwitchReader(self._scheduler, self._prerequisites, self._clock, is_read_ahead=self._is_read_ahead)
        return reader.findings(request, observed)

    def prepare_due(self, request: SwitchRequest) -> MoveLabel | None:
        """Delete the schedule of a promotion that is due, and return the promotion; None if none is due.

        A promotion is due after its apply time, if the pair has not changed since the decision and devices were sent
        the certificate. A certificate that was sent after its apply time gets no schedule, so a run promotes it.

        Raises:
            StoreError: Secrets Manager does not answer, or a schedule for another certificate may still fire.
        """
        now = self._clock.now()
        planned = ((request.switch.promote, Label.RESERVE), (request.switch.replace, Label.STAGED))
        due = [(promote, label) for promote, label in planned if promote is not None and promote.at <= now]
        if request.hold or not due:
            return None
        for promote, label in due:
            pair = self._decided_pair(request, promote, label)
            main, waiting = (None, None) if pair is None else (pair.main, pair.holder(label))
            if pair is None or pair.arn != request.secret_arn or waiting is None or waiting.facts is None:
                continue
            is_valid = is_valid_at(waiting.facts, now)
            if _is_as_decided(pair, promote, label) and is_valid and was_sent(request, promote, pair):
                self._delete_schedule_before(request, promote, pair)
                return MoveLabel(label=Label.MAIN, to=waiting, current=main)
        return None

    def _delete_schedule_before(self, request: SwitchRequest, promote: Promote, pair: ObservedPair) -> None:
        """Delete the schedule before a run promotes, because the schedule must not fire after a rollback."""
        if not request.scheduled and pair.armed is None:
            return
        try:
            self._delete_promotion(request, pair)
        except _UnavailableError as error:
            # A schedule of the same promotion has no effect after this promotion, because AWS refuses its call.
            if pair.armed is not None and pair.armed.certificate != promote.certificate:
                raise StoreError(
                    f"certificate {promote.certificate} does not become main yet: the schedule of "
                    f"{request.server} {_firing_message(pair.armed)}. Run again when Scheduler answers. ({error})"
                ) from None

    def arm(self, request: SwitchRequest) -> ArmedSwitch:
        """Create or update the role, the queue and then the schedules; delete schedules that should not exist.

        An error of Scheduler, IAM or SQS is only a warning, because the pair does not need them.

        Raises:
            StoreError: The pair was changed concurrently, or Secrets Manager does not answer.
        """
        existing: dict[Kind, Schedule | None] = {}
        try:
            return self._arm(request, existing)
        except _UnavailableError as error:
            self._warn(self._unarmed_warning(request, existing.get(Kind.PROMOTE), error))
        found = next((schedule for schedule in existing.values() if schedule is not None), None)
        if found is None:
            return ArmedSwitch(is_complete=False)
        return ArmedSwitch(role=found.role, dead_letter=found.dead_letter, is_complete=False)

    def _arm(self, request: SwitchRequest, existing: dict[Kind, Schedule | None]) -> ArmedSwitch:
        """Arm the switch, and add the schedules that existed before to *existing*."""
        wanted = request.schedules(role="", dead_letter="")
        self._delete_unwanted(request, wanted.keys())
        if not wanted:
            return ArmedSwitch()
        now = self._clock.now()
        # Before role and queue are created, because they are useless in a region without Scheduler.
        for kind, schedule in wanted.items():
            if now < schedule.at:
                existing[kind] = _call_or_unavailable(self._scheduler.get, schedule.name)
        # Even if all schedules are correct, role and queue can be missing. A new role and queue of the same name have
        # the same ARN, so the schedules work again.
        dead_letter, role = self._ensure_prerequisites(request)
        for kind, schedule in request.schedules(role=role, dead_letter=dead_letter).items():
            if kind in existing:
                self._schedule(request, kind, schedule, existing[kind])
        return ArmedSwitch(role=role, dead_letter=dead_letter)

    def _delete_unwanted(self, request: SwitchRequest, wanted: Collection[Kind]) -> None:
        """Delete the schedules that should not exist, and the record of the promotion with its schedule."""
        if Kind.PROMOTE not in wanted:
            pair = self._pair(request)
            # Without schedules, only a recorded one can exist.
            if request.scheduled or (pair is not None and pair.armed is not None):
                self._delete_promotion(request, pair)
        for kind in (Kind.OVERDUE, Kind.EXPIRY):
            if request.scheduled and kind not in wanted:
                _call_or_unavailable(self._scheduler.delete, schedule_names(request.server, request.secret)[kind])

    def _schedule(self, request: SwitchRequest, kind: Kind, schedule: Schedule, existing: Schedule | None) -> None:
        """Create or update a schedule, unless it is correct or its promotion must not be armed."""
        promote = request.promote if kind is Kind.PROMOTE else None
        if promote is not None and existing is not None and not is_for_promotion(existing, promote, request.secret_arn):
            # If the run is interrupted before the put, a schedule that may fire earlier than recorded must not remain.
            _call_or_unavailable(self._scheduler.delete, existing.name)
        # The record, too, is written before the put: a run that is interrupted after the put leaves the schedule.
        if (promote is not None and not self._record_promotion(request, promote)) or existing == schedule:
            return
        _call_or_unavailable(self._scheduler.put, schedule)
        self._report(f"scheduled for {schedule.at:%Y-%m-%d %H:%M} UTC: {_event_text(kind, request.switch)}")
        if promote is not None:
            self.confirm(request, promote)

    def move_promotion(self, request: SwitchRequest) -> bool:
        """Change the time of the schedule of a promotion that was armed before; return whether it changed.

        Role, queue and alarms stay as they are. If the schedule has fired or was deleted, it is not created again. If a
        run has changed the pair since the decision, nothing is changed, because that run arms its own switch.

        No run may follow an interrupted move, so the schedule is updated, never deleted first. Until then, the record
        has the later of both times, so that no schedule outlives its record.

        Raises:
            StoreError: A run changed the pair during the move, or AWS does not answer or refuses.
        """
        promote = request.promote
        existing = self._scheduler.get(schedule_names(request.server, request.secret)[Kind.PROMOTE])
        if promote is None or existing is None:
            return False
        moved = replace(existing, at=promote.at)
        pair = self._pair(request)
        if pair is None or not is_for_promotion(moved, promote, request.secret_arn):
            return False
        if not _is_as_decided(pair, promote, Label.RESERVE) or not was_sent(request, promote, pair):
            return False
        if moved == existing:
            self._record_armed(request, pair, promote)
            return False
        self._record_armed(request, pair, replace(promote, at=max(existing.at, promote.at)))
        self._scheduler.put(moved)
        self._report(f"scheduled for {moved.at:%Y-%m-%d %H:%M} UTC: {_event_text(Kind.PROMOTE, request.switch)}")
        return self._record_promotion(request, promote)

    def disarm(
        self,
        server: str,
        secret: str,
        *,
        region: str,
        is_role_made: bool,
        is_queue_made: bool,
        armed: ArmedPromotion | None = None,
    ) -> None:
        """Delete the schedules, and the role and the queue if the provider created them.

        Args:
            server: name of the server.
            secret: name of the pair's secret.
            region: region of the secret.
            is_role_made: whether the provider created the role.
            is_queue_made: whether the provider created the queue.
            armed: promotion for which a schedule may exist; None if none is recorded.

        Raises:
            StoreError: Scheduler does not confirm that a recorded schedule is deleted, or IAM or SQS refuses.
        """
        try:
            for name in schedule_names(server, secret).values():
                self._scheduler.delete(name)
        except StoreError as error:
            if armed is not None and not has_ended(armed, self._clock.now()):
                raise StoreError(f"the schedule of {server} {_firing_message(armed)}: {error}") from None
            self._warn(f"schedules of {server} may still exist: {error}")
        if is_role_made:
            self.delete_role(server, secret, region)
        if is_queue_made:
            self.delete_queue(server, secret)

    def dismantle(self, server: str, secret: str, *, region: str, is_role_made: bool, is_queue_made: bool) -> bool:
        """Delete the same resources as :meth:`disarm`, because the definition no longer requests schedules.

        Returns:
            False, after a warning, if not all could be deleted.
        """
        try:
            for name in schedule_names(server, secret).values():
                self._scheduler.delete(name)
            if is_role_made:
                self.delete_role(server, secret, region)
            if is_queue_made:
                self.delete_queue(server, secret)
        except StoreError as error:
            self._warn(f"promotion.schedule is false, but schedules, role or queue may still exist: {error}")
            return False
        return True

    def delete_former(self, server: str, secret: str, *, region: str, role_made: bool, queue_made: bool) -> None:
        """Delete the role and the queue that a stack with a lost state may have created. An error is only a warning.

        If the definition names another role and queue, the credentials may lack the permissions to delete these.

        Args:
            server: name of the server.
            secret: name of the pair's secret.
            region: region of the secret.
            role_made: whether the role is no longer used.
            queue_made: whether the queue is no longer used.
        """
        try:
            if role_made:
                self.delete_role(server, secret, region)
            if queue_made:
                self.delete_queue(server, secret)
        except StoreError as error:
            self._warn(
                f"a stack with a lost state may have created the role {role_name(server, secret, region)} or the queue "
                f"{queue_name(server, secret)}, which are no longer used and could not be deleted: {error}"
            )

    def delete_role(self, server: str, secret: str, region: str) -> None:
        """Delete the role that the provider created for this switch."""
        self._prerequisites.delete_role(role_name(server, secret, region))

    def delete_queue(self, server: str, secret: str) -> None:
        """Delete the queue that the provider created for this switch."""
        self._prerequisites.delete_queue(queue_name(server, secret))

    def confirm(self, request: SwitchRequest, promote: Promote) -> bool:
        """Return whether the promotion can be armed: the pair has not changed, and devices were sent the reserve.

        If the pair has changed, the schedule is deleted. If the promotion has happened already, early or by the
        schedule, it must not happen again after a rollback.

        Raises:
            StoreError: The pair has changed in another way, for example by another run.
        """
        return self._can_arm(request, promote, self._decided_pair(request, promote, Label.RESERVE))

    def _ensure_prerequisites(self, request: SwitchRequest) -> tuple[str, str]:
        """Create the queue and the role if they are missing, and return their ARNs."""
        dead_letter = request.dead_letter_arn or _call_or_unavailable(
            self._prerequisites.ensure_queue, request.queue_name
        )
        role = request.role_arn or _call_or_unavailable(
            self._prerequisites.ensure_role,
            request.role_name,
            trust=request.trust,
            policy=request.policy(dead_letter),
            boundary=request.boundary_arn,
        )
        return dead_letter, role

    def _pair(self, request: SwitchRequest) -> ObservedPair | None:
        description = self._store.describe(request.secret)
        return None if description is None else observed_pair(request.secret, description)

    def _decided_pair(self, request: SwitchRequest, promote: Promote, label: Label) -> ObservedPair | None:
        """Return the observed pair. If it differs from the decision, it is read again for some seconds first."""

        def is_expected(pair: ObservedPair | None) -> bool:
            return pair is not None and (_is_as_decided(pair, promote, label) or _is_promoted(pair, promote))

        return read_until(lambda: self._pair(request), is_expected)

    def _record_promotion(self, request: SwitchRequest, promote: Promote) -> bool:
        """Record a promotion before its schedule is created; return False if it must not be armed."""
        pair = self._decided_pair(request, promote, Label.RESERVE)
        if not self._can_arm(request, promote, pair):
            return False
        self._record_armed(request, pair, promote)
        return True

    def _record_armed(self, request: SwitchRequest, pair: ObservedPair | None, promote: Promote) -> None:
        armed = armed_promotion(promote)
        if pair is None or pair.armed != armed:
            self._store.tag(request.secret, {ARMED_TAG: armed_value(armed)})

    def _can_arm(self, request: SwitchRequest, promote: Promote, pair: ObservedPair | None) -> bool:
        promoted = pair is not None and _is_promoted(pair, promote)
        if pair is not None and _is_as_decided(pair, promote, Label.RESERVE):
            is_sent = was_sent(request, promote, pair)
            if not is_sent and pair.armed is not None:
                self._delete_promotion(request, pair)
                self._report(
                    f"the switch to certificate {promote.certificate} is disarmed, because there is no record that "
                    "devices were sent this certificate"
                )
            return is_sent
        try:
            self._delete_promotion(request, pair)
        except _UnavailableError as error:
            if not promoted:
                raise StoreError(
                    f"secret {request.secret}: the pair was changed concurrently, and its schedule "
                    f"{_firing_message(armed_promotion(promote))}: {error}"
                ) from None
            raise
        if promoted:
            return False
        raise StoreError(
            f"secret {request.secret}: the pair was changed concurrently, so the schedule of its promotion was "
            "deleted: wait until other runs have ended, then run again"
        )

    def _delete_promotion(self, request: SwitchRequest, pair: ObservedPair | None) -> None:
        """Delete the schedule of the promotion, and then its record."""
        armed = None if pair is None else pair.armed
        try:
            _call_or_unavailable(self._scheduler.delete, schedule_names(request.server, request.secret)[Kind.PROMOTE])
        except _UnavailableError:
            if armed is None or not has_ended(armed, self._clock.now()):
                raise
        if armed is not None:
            self._store.untag(request.secret, [ARMED_TAG])

    def _unarmed_warning(self, request: SwitchRequest, existing: Schedule | None, error: StoreError) -> str:
        """Return the warning about a switch that could not be armed or repaired."""
        promote = request.promote
        if promote is None:
            return f"schedules that are no longer needed may still exist: {error}"
        if existing is not None and is_for_promotion(existing, promote, request.secret_arn):
            return f"the schedule {existing.name} exists, but its role and queue could not be checked: {error}"
        return (
            f"no schedule makes certificate {promote.certificate} main on {promote.at:%Y-%m-%d %H:%M} UTC: run "
            "`pulumi up` again before or at that time. In a region without EventBridge Scheduler, set "
            f"promotion.schedule: false. ({error})"
        )


class _UnavailableError(StoreError):
    """Scheduler, IAM or SQS did not answer, or refused."""


def _call_or_unavailable(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of a call to Scheduler, IAM or SQS; convert its StoreError to _UnavailableError."""
    try:
        return call(*args, **kwargs)
    except StoreError as error:
        raise _UnavailableError(str(error)) from None


def _is_as_decided(pair: ObservedPair, promote: Promote, label: Label) -> bool:
    """Return whether main and the version with this label are those for which the promotion was decided."""
    main, waiting = pair.main, pair.holder(label)
    found = (None if main is None else main.version_id, None if waiting is None else waiting.version_id)
    return found == (promote.former_version, promote.version)


def _is_promoted(pair: ObservedPair, promote: Promote) -> bool:
    """Return whether the promotion has happened, early or by the schedule: its version is main."""
    return pair.main is not None and pair.main.version_id == promote.version


def _promotion_of(schedule: Schedule, observed: ObservedPair) -> ArmedPromotion:
    """Return the promotion that a schedule performs; certificate 0 if the schedule names no certificate of the pair."""
    try:
        version = json.loads(schedule.input)["MoveToVersionId"]
    except (ValueError, KeyError, TypeError):
        version = None
    ordinals = [one.ordinal for one in observed.versions if one.version_id == version and one.ordinal is not None]
    return ArmedPromotion(certificate=ordinals[0] if ordinals else 0, at=schedule.at)


def _firing_message(armed: ArmedPromotion) -> str:
    if armed.at is None or not armed.certificate:
        return "may still make a certificate main at an unknown time"
    return f"may still make certificate {armed.certificate} main on {armed.at:%Y-%m-%d %H:%M} UTC"


def _event_text(kind: Kind, switch: Switch) -> str:
    if kind is Kind.PROMOTE and switch.promote is not None:
        return f"certificate {switch.promote.certificate} becomes main"
    return "an alarm, unless a run makes the due change before"
