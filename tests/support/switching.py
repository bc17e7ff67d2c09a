"""A switch on doubles: its schedules, role and queue, and crashes between its effects."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ios_mdm.app.switch_request import SwitchRequest
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.pair.layout import ARMED_TAG
from ios_mdm.core.pair.schedule import Kind, queue_name, role_name, schedule_names
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tests.support.pairs import SECRET, World

if TYPE_CHECKING:
    from ios_mdm.app.pair.values import PairResult
    from ios_mdm.app.switch_reader import SwitchFindings
    from ios_mdm.core.pair.definition import PairDefinition

NAMES = schedule_names("berlin", SECRET)
REGION = "eu-west-1"
ROLE_NAME, QUEUE_NAME = role_name("berlin", SECRET, REGION), queue_name("berlin", SECRET)


class CrashError(Exception):
    """The process crashes here."""


@dataclass(slots=True)
class Armed:
    """A pair with a scheduler, and the two parts of an `up`: the pair, then the switch."""

    world: World = field(default_factory=World)
    scheduler: MemoryScheduler = field(default_factory=MemoryScheduler)
    prerequisites: MemoryPrerequisites = field(default_factory=MemoryPrerequisites)
    warnings: list[str] = field(default_factory=list)

    @property
    def service(self) -> SwitchService:
        """Return the service that arms switches."""
        return SwitchService(
            self.scheduler,
            self.prerequisites,
            self.world.store,
            self.world.clock,
            report=self.world.reports.append,
            warn=self.warnings.append,
        )

    def request(self, result: PairResult, **settings: Any) -> SwitchRequest:
        """Return the request for the switch after the pair was brought to its desired state."""
        assert result.view.observed is not None
        return SwitchRequest(
            server="berlin",
            secret=SECRET,
            secret_arn=result.view.observed.arn,
            switch=result.switch,
            distributed=False,
            **settings,
        )

    def secure(self, wish: PairDefinition | None = None) -> PairResult:
        """Withdraw a stale schedule, and bring the pair to its desired state."""
        view = self.world.service.view(self.world.request(wish))
        self.service.withdraw(self.world.request(wish), view)
        return self.world.service.apply(self.world.request(wish), view)

    def drift(self, request: SwitchRequest) -> tuple[str, ...]:
        """Return the resources that are missing or differ."""
        return self.findings(request).problems

    def findings(self, request: SwitchRequest) -> SwitchFindings:
        """Return the findings of a check of the switch."""
        observed = self.world.service.observe(SECRET)
        assert observed is not None
        return self.service.findings(request, observed)

    def up(self, wish: PairDefinition | None = None, **settings: Any) -> SwitchRequest:
        """Run `up`."""
        request = self.request(self.secure(wish), **settings)
        self.service.arm(request)
        return request

    def scheduled_call(self) -> dict[str, str]:
        """Return the call of the schedule."""
        call: dict[str, str] = json.loads(self.scheduler.schedules[NAMES[Kind.PROMOTE]].input)
        return call

    def damage_role(self, part: int, text: str) -> None:
        """Damage the trust (0), the policy (1) or the boundary (2) of the role."""
        name = ROLE_NAME
        parts = list(self.prerequisites.roles[name])
        parts[part] = text
        self.prerequisites.roles[name] = (str(parts[0]), str(parts[1]), parts[2])

    def is_recorded(self) -> bool:
        """Return whether the secret records an armed promotion."""
        return ARMED_TAG in self.world.tags

    def die_at(self, number: int, edge: Literal["before", "after"]) -> None:
        """Interrupt the process after the write of this number, to any service."""
        seen = 0

        def fail(operation: str, where: Literal["before", "after"]) -> None:
            nonlocal seen
            seen += where == "before"
            if (seen, where) == (number, edge):
                raise CrashError(operation)

        for one in (self.world.store, self.scheduler, self.prerequisites):
            one.fail = fail

    def live(self) -> None:
        """Stop interrupting writes."""
        for one in (self.world.store, self.scheduler, self.prerequisites):
            one.fail = None
