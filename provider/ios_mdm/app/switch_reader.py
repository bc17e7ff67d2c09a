"""Checks that the schedules, the role and the queue of a switch exist and are correct. Writes nothing (R36)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ios_mdm.app.switch_request import armed_promotion, is_sent
from ios_mdm.core.pair.layout import ARMED_TAG
from ios_mdm.core.pair.schedule import Kind, schedule_names
from ios_mdm.errors import StoreError
from ios_mdm.parallel import run_concurrently, run_sequentially

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.schedule import Schedule
    from ios_mdm.ports import Clock, Prerequisites, Scheduler

__all__ = ["SwitchFindings", "SwitchReader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchFindings:
    """The result of the check of a switch.

    Args:
        problems: one phrase for each resource that is missing or differs.
        unchecked: one sentence for each check that failed, with the reason.
    """

    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


class SwitchReader:
    """Reads schedules, role and queue.

    Args:
        scheduler: has the schedules.
        prerequisites: has the role and the queue.
        clock: read once for each check. A schedule whose time has passed has fired, and is not checked.
        is_read_ahead: whether the answers of AWS are cached, so that no threads are needed.
    """

    def __init__(
        self, scheduler: Scheduler, prerequisites: Prerequisites, clock: Clock, *, is_read_ahead: bool = False
    ) -> None:
        self._scheduler = scheduler
        self._prerequisites = prerequisites
        self._clock = clock
        self._all = run_sequentially if is_read_ahead else run_concurrently

    def findings(self, request: SwitchRequest, observed: ObservedPair) -> SwitchFindings:
        """Return the resources of the switch that are missing or differ.

        AWS is called only for resources that should exist, and for a schedule that is recorded as armed. The promotion
        of a reserve that devices were not sent yet need not be scheduled.

        Args:
            request: desired switch.
            observed: the pair, with its records.
        """
        wanted = self._expected_schedules(request, observed)
        schedules = [partial(self._schedule_problems, schedule) for schedule in wanted.values()]
        schedules.append(partial(self._record_problems, request, observed, is_wanted=Kind.PROMOTE in wanted))
        others = [partial(self._role_problems, request), partial(self._queue_problems, request)] if wanted else []
        # The checks run concurrently. The order of the findings does not depend on which check ends first.
        checks = self._all([*schedules, *others])
        problems: list[str] = []
        try:
            for check in checks[: len(schedules)]:
                problems += check.result()
        except StoreError as error:
            # If Scheduler does not answer, problems of role and queue are not reported.
            return SwitchFindings(problems=tuple(problems), unchecked=(str(error),))
        unchecked: list[str] = []
        for check in checks[len(schedules) :]:
            try:
                problems += check.result()
            except StoreError as error:
                unchecked.append(str(error))
        return SwitchFindings(problems=tuple(problems), unchecked=tuple(unchecked))

    def _expected_schedules(self, request: SwitchRequest, observed: ObservedPair) -> Mapping[Kind, Schedule]:
        now = self._clock.now()
        schedules = request.schedules(role=request.expected_role(), dead_letter=request.expected_dead_letter())
        return {
            kind: schedule
            for kind, schedule in schedules.items()
            if now < schedule.at and (kind is not Kind.PROMOTE or is_sent(request, observed))
        }

    def _schedule_problems(self, schedule: Schedule) -> tuple[str, ...]:
        found = self._scheduler.get(schedule.name)
        if found is None:
            return (f"the schedule {schedule.name} is missing",)
        if found != schedule:
            return (f"the schedule {schedule.name} has another {_difference(found, schedule)}",)
        return ()

    def _record_problems(self, request: SwitchRequest, observed: ObservedPair, *, is_wanted: bool) -> tuple[str, ...]:
        """Compare the record of the armed promotion with the desired promotion."""
        promote, armed = request.promote, observed.armed
        if promote is not None and armed == armed_promotion(promote):
            return ()
        if is_wanted:
            return (f"the tag {ARMED_TAG} does not record the schedule",)
        if armed is None:
            return ()
        # If Scheduler does not answer, this is no problem to report: `up` cannot confirm the deletion either.
        self._scheduler.get(schedule_names(request.server, request.secret)[Kind.PROMOTE])
        return (f"the tag {ARMED_TAG} records a schedule that should not exist",)

    def _role_problems(self, request: SwitchRequest) -> tuple[str, ...]:
        if request.role_arn is not None:
            return ()
        return self._prerequisites.role_problems(
            request.role_name,
            trust=request.trust,
            policy=request.policy(request.expected_dead_letter()),
            boundary=request.boundary_arn,
        )

    def _queue_problems(self, request: SwitchRequest) -> tuple[str, ...]:
        if request.dead_letter_arn is not None or self._prerequisites.queue_exists(request.queue_name):
            return ()
        return (f"the queue {request.queue_name} is missing",)


def _difference(found: Schedule, wanted: Schedule) -> str:
    """Return the names of the fields that differ, in a fixed order."""
    differs = {
        "time": found.at != wanted.at,
        "target": found.target != wanted.target,
        "input": found.input != wanted.input,
        "role": found.role != wanted.role,
        "dead-letter queue": found.dead_letter != wanted.dead_letter,
    }
    return ", ".join(part for part, is_different in differs.items() if is_different)
