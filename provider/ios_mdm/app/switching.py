"""Keeps the schedules of a pair's switch, and the role and queue that they need, in step with what they should be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ios_mdm.core.pair.layout import observed_pair
from ios_mdm.core.pair.schedule import Kind, alarm_schedule, names, plans, promotion_schedule, stem
from ios_mdm.core.pair.schedule_role import role_policy, role_trust
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.switch import switch
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ios_mdm.app.pair.values import PairRequest, PairView
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.schedule import Schedule
    from ios_mdm.core.pair.switch import Promote, Switch
    from ios_mdm.ports import Clock, Prerequisites, Scheduler, SecretStore
    from ios_mdm.settings import PromotionSettings

__all__ = ["Armed", "SwitchRequest", "SwitchService", "is_sent", "switch_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRequest:
    """One pair's switch, and how it is to be made.

    Args:
        server: name of the server.
        secret: name of the pair's secret.
        secret_arn: its ARN.
        switch: what should happen by itself.
        distributed: whether devices get the certificates in a profile. A promotion is then armed only if the secret
            records that devices were sent the reserve (R36).
        role_arn: the user's own role for the schedules; None for one that is made here.
        boundary_arn: permissions boundary of the role that is made here.
        dead_letter_arn: the user's own queue for what a schedule could not do; None for one that is made here.
        alarm_arn: SNS topic or SQS queue for alarms; None for no alarms.
    """

    server: str
    secret: str
    secret_arn: str
    switch: Switch
    distributed: bool
    role_arn: str | None = None
    boundary_arn: str | None = None
    dead_letter_arn: str | None = None
    alarm_arn: str | None = None

    def schedules(self, *, role: str, dead_letter: str) -> Mapping[Kind, Schedule]:
        """Return the schedules that should be, whether their moment is to come or has passed."""
        name = names(self.server, self.secret)
        found: dict[Kind, Schedule] = {}
        if self.switch.promote is not None:
            found[Kind.PROMOTE] = promotion_schedule(
                self.switch.promote,
                name=name[Kind.PROMOTE],
                secret_arn=self.secret_arn,
                role=role,
                dead_letter=dead_letter,
            )
        for kind, alarm in ((Kind.OVERDUE, self.switch.overdue), (Kind.EXPIRY, self.switch.expiry)):
            if alarm is not None and self.alarm_arn is not None:
                found[kind] = alarm_schedule(
                    alarm,
                    kind=kind,
                    name=name[kind],
                    server=self.server,
                    target=self.alarm_arn,
                    role=role,
                    dead_letter=dead_letter,
                )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """What a switch that is armed acts by.

    Args:
        role: ARN of the schedules' role; None where nothing is scheduled.
        dead_letter: ARN of the queue for what they could not do; None as above.
    """

    role: str | None
    dead_letter: str | None


class SwitchService:
    """Arms and disarms switches.

    Args:
        scheduler: holds the schedules.
        prerequisites: makes the role and the queue.
        store: holds the pair, which is looked at once more after its promotion was scheduled.
        clock: tells the moment. A schedule whose moment has passed is not made any more.
        report: takes a line of progress.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        prerequisites: Prerequisites,
        store: SecretStore,
        clock: Clock,
        *,
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._scheduler = scheduler
        self._prerequisites = prerequisites
        self._store = store
        self._clock = clock
        self._report = report

    def withdraw(self, request: PairRequest, view: PairView) -> None:
        """Delete a schedule that would promote what must not be promoted, or earlier than it should be.

        This comes before any other effect of a run. A run that dies on the way must not leave the promotion of a
        reserve that is about to be deleted, and ``promotion.hold`` works even while the MDM server is down. A promotion
        that should be scheduled is scheduled by :meth:`arm` at the end of the run.

        Args:
            request: the pair.
            view: the pair as observed, and the decision about it.

        Raises:
            StoreError: AWS refuses.
        """
        if view.observed is None:
            return
        name = names(request.definition.name, request.secret)[Kind.PROMOTE]
        found = self._scheduler.get(name)
        if found is None:
            return
        promote = switch(request.definition, view.desired, view.observed).promote
        if promote is None or not plans(found, promote, view.observed.arn):
            self._report(f"the promotion that was scheduled for {found.at:%Y-%m-%d %H:%M} UTC is withdrawn")
            self._scheduler.delete(name)

    def drift(self, request: SwitchRequest, observed: ObservedPair) -> tuple[str, ...]:
        """Return the names of the schedules that are not as they should be; writes nothing.

        A schedule whose time has passed may be gone: it has fired. The promotion of a reserve that devices were not
        sent is not scheduled yet.
        """
        now = self._clock.now()
        if not is_sent(request, observed):
            request = replace(request, switch=replace(request.switch, promote=None))
        changed = []
        for wanted in request.schedules(
            role=request.role_arn or "", dead_letter=request.dead_letter_arn or ""
        ).values():
            found = self._scheduler.get(wanted.name)
            if now < wanted.at and (found is None or not _same(found, wanted)):
                changed.append(wanted.name)
        return tuple(changed)

    def arm(self, request: SwitchRequest) -> Armed:
        """Make the schedules what they should be, after what they need; delete those that should not be.

        Raises:
            StoreError: AWS refuses, or the pair was changed meanwhile.
        """
        kinds = request.schedules(role="", dead_letter="").keys()
        for kind, name in names(request.server, request.secret).items():
            if kind not in kinds:
                self._scheduler.delete(name)
        if not kinds:
            return Armed(role=None, dead_letter=None)
        armed = self._prepared(request)
        assert armed.role is not None  # noqa: S101 - it was just prepared
        assert armed.dead_letter is not None  # noqa: S101 - the same
        now = self._clock.now()
        for kind, schedule in request.schedules(role=armed.role, dead_letter=armed.dead_letter).items():
            if now >= schedule.at:
                continue
            # Before, too: a run that dies right after the put leaves what it made.
            promote = request.switch.promote if kind is Kind.PROMOTE else None
            if promote is not None and not self.confirm(request, promote):
                continue
            if self._scheduler.get(schedule.name) != schedule:
                self._scheduler.put(schedule)
                self._report(f"scheduled for {schedule.at:%Y-%m-%d %H:%M} UTC: {_told(kind, request.switch)}")
                if promote is not None:
                    self.confirm(request, promote)
        return armed

    def disarm(self, server: str, secret: str, *, role_made: bool, queue_made: bool) -> None:
        """Delete the schedules, and the role and the queue where they were made here."""
        for name in names(server, secret).values():
            self._scheduler.delete(name)
        if role_made:
            self.delete_role(server, secret)
        if queue_made:
            self.delete_queue(server, secret)

    def delete_role(self, server: str, secret: str) -> None:
        """Delete the role that was made for this switch."""
        self._prerequisites.delete_role(stem(server, secret))

    def delete_queue(self, server: str, secret: str) -> None:
        """Delete the queue that was made for this switch."""
        self._prerequisites.delete_queue(_queue(server, secret))

    def _prepared(self, request: SwitchRequest) -> Armed:
        dead_letter = request.dead_letter_arn or self._prerequisites.ensure_queue(
            _queue(request.server, request.secret)
        )
        role = request.role_arn or self._prerequisites.ensure_role(
            stem(request.server, request.secret),
            trust=role_trust(request.secret_arn),
            policy=role_policy(request.secret_arn, dead_letter=dead_letter, alarm=request.alarm_arn),
            boundary=request.boundary_arn,
        )
        return Armed(role=role, dead_letter=dead_letter)

    def confirm(self, request: SwitchRequest, promote: Promote) -> bool:
        """Return whether the promotion may be armed: the pair is as decided, and devices were sent the reserve.

        If the pair has changed, the schedule is withdrawn. A promotion that has happened already, made early or by the
        schedule itself, must not happen again after a rollback.

        Raises:
            StoreError: Something else happened: another run may be at work.
        """
        description = self._store.describe(request.secret)
        pair = None if description is None else observed_pair(request.secret, description)
        main, reserve = (None, None) if pair is None else (pair.main, pair.holder(Label.RESERVE))
        as_decided = (
            main is not None
            and reserve is not None
            and (main.version_id, reserve.version_id) == (promote.former_version, promote.version)
        )
        # After the promotion, made early or by the schedule itself, the new main has both labels.
        promoted = main is not None and main.version_id == promote.version
        if as_decided and pair is not None:
            return is_sent(request, pair)
        self._scheduler.delete(names(request.server, request.secret)[Kind.PROMOTE])
        if promoted:
            return False
        raise StoreError(
            f"secret {request.secret}: the pair was changed while its promotion was scheduled, which is taken back: "
            "look for another run, then run again"
        )


def switch_request(pair: PairRequest, promotion: PromotionSettings, view: PairView) -> SwitchRequest:
    """Return the request for the switch of a pair that is what it should be.

    Args:
        pair: the request for the pair.
        promotion: how the switch is made.
        view: the pair, which exists.
    """
    assert view.observed is not None  # noqa: S101 - such a pair exists
    return SwitchRequest(
        server=pair.definition.name,
        secret=pair.secret,
        secret_arn=view.observed.arn,
        switch=switch(pair.definition, view.desired, view.observed),
        distributed=pair.definition.distributed,
        role_arn=promotion.role_arn,
        boundary_arn=promotion.permissions_boundary_arn,
        dead_letter_arn=promotion.dead_letter_arn,
        alarm_arn=promotion.alarm_arn,
    )


def is_sent(request: SwitchRequest, observed: ObservedPair) -> bool:
    """Return whether the secret records that devices were sent the reserve; True if there is nothing to send."""
    promote = request.switch.promote
    return promote is None or not request.distributed or promote.certificate in observed.sent


def _queue(server: str, secret: str) -> str:
    return f"{stem(server, secret)}-dead-letters"


def _same(found: Schedule, wanted: Schedule) -> bool:
    """Return whether a schedule is what it should be, as far as that is known before its role and queue are."""
    return (
        (found.at, found.target, found.input) == (wanted.at, wanted.target, wanted.input)
        and wanted.role in {"", found.role}
        and wanted.dead_letter in {"", found.dead_letter}
    )


def _told(kind: Kind, switch: Switch) -> str:
    if kind is Kind.PROMOTE and switch.promote is not None:
        return f"certificate {switch.promote.certificate} becomes main"
    return "an alarm, unless a run has done by then what is due"
