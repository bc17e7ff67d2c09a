"""Arming and disarming the switch, with runs that die at any write, beside a pair that changes."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ios_mdm.app.pair.service import PairService
from ios_mdm.app.switching import SwitchRequest, SwitchService
from ios_mdm.core.pair.definition import AfterDays, NoReserve, Promotion
from ios_mdm.core.pair.schedule import Kind, names, stem
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import LabelMovedError, StoreError
from tests.app.test_pair_service import NOW, OWNER, SECRET, World, definition
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler

if TYPE_CHECKING:
    from ios_mdm.app.pair.values import PairResult
    from ios_mdm.core.pair.definition import PairDefinition

QUEUE = "arn:aws:sqs:eu-west-1:111122223333:mine"
ROLE = "arn:aws:iam::111122223333:role/mine"
NAMES = names("berlin", SECRET)


class CrashError(Exception):
    """The process dies here."""


@dataclass(slots=True)
class Armed:
    """A pair's world with a scheduler, and what an `up` does: the pair, then the switch."""

    world: World = field(default_factory=World)
    scheduler: MemoryScheduler = field(default_factory=MemoryScheduler)
    prerequisites: MemoryPrerequisites = field(default_factory=MemoryPrerequisites)

    @property
    def service(self) -> SwitchService:
        """The service that arms."""
        return SwitchService(self.scheduler, self.prerequisites, self.world.store, self.world.clock)

    def request(self, result: PairResult, **settings: Any) -> SwitchRequest:
        """Return what an `up` asks of the switch after it has seen to the pair."""
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
        """Withdraw a stale schedule, and bring the pair to what it should be."""
        switches = SwitchService(
            self.scheduler, self.prerequisites, self.world.store, self.world.clock, report=self.world.reports.append
        )
        view = self.world.service.look(self.world.request(wish))
        switches.withdraw(self.world.request(wish), view)
        return self.world.service.apply(self.world.request(wish), view)

    def drift(self, request: SwitchRequest) -> tuple[str, ...]:
        """Return the schedules that are not as they should be."""
        observed = self.world.service.observe(SECRET)
        assert observed is not None
        return self.service.drift(request, observed)

    def up(self, wish: PairDefinition | None = None, **settings: Any) -> SwitchRequest:
        """Run `up`."""
        request = self.request(self.secure(wish), **settings)
        self.service.arm(request)
        return request

    def scheduled(self) -> dict[str, str]:
        """Return what the schedule would call."""
        call: dict[str, str] = json.loads(self.scheduler.schedules[NAMES[Kind.PROMOTE]].input)
        return call

    def die_at(self, number: int, edge: Literal["before", "after"]) -> None:
        """Let the write of this number, wherever it goes, be the last."""
        seen = 0

        def fail(operation: str, where: Literal["before", "after"]) -> None:
            nonlocal seen
            seen += where == "before"
            if (seen, where) == (number, edge):
                raise CrashError(operation)

        for one in (self.world.store, self.scheduler, self.prerequisites):
            one.fail = fail

    def live(self) -> None:
        """Let no write be the last any more."""
        for one in (self.world.store, self.scheduler, self.prerequisites):
            one.fail = None


@pytest.fixture
def armed() -> Armed:
    """A pair in overlap whose switch is armed."""
    one = Armed()
    one.up()
    return one


def test_an_up_arms_the_switch_and_the_next_one_writes_nothing(armed: Armed) -> None:
    """Queue, role, schedule; then nothing."""  # R11
    labels = armed.world.labels
    assert (labels["AWSCURRENT"], labels["RESERVE"]) == (1, 2)
    assert armed.scheduled()["MoveToVersionId"] != armed.scheduled()["RemoveFromVersionId"]
    assert armed.prerequisites.queues == {f"{stem('berlin', SECRET)}-dead-letters"}
    assert set(armed.prerequisites.roles) == {stem("berlin", SECRET)}
    request = armed.request(armed.secure())
    armed.scheduler.calls.clear()
    armed.prerequisites.calls.clear()
    assert armed.drift(request) == ()
    armed.service.arm(request)
    assert armed.prerequisites.calls == []
    assert [call for call in armed.scheduler.calls if call[0] == "put_schedule"] == []


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 16))
@pytest.mark.parametrize("story", ["new", "generation", "none", "hold"])
def test_a_run_that_dies_anywhere_never_leaves_a_schedule_for_what_is_not_the_reserve(
    story: str, number: int, edge: Literal["before", "after"]
) -> None:
    """After every write, what is scheduled moves main's label to the reserve of that moment; the next run ends it."""
    # R11 R32
    one = Armed()
    wish = {
        "new": definition(),
        "generation": definition(replace(NOW, generation=2)),
        "none": definition(NoReserve()),
        "hold": replace(definition(), promotion=Promotion(hold=True)),
    }[story]
    if story != "new":
        one.up()
    one.die_at(number, edge)
    with contextlib.suppress(CrashError):
        one.up(wish)
    one.live()
    if NAMES[Kind.PROMOTE] in one.scheduler.schedules:
        observed = one.world.service.observe(SECRET)
        assert observed is not None
        assert observed.main is not None
        assert observed.reserve is not None
        call = one.scheduled()
        assert (call["RemoveFromVersionId"], call["MoveToVersionId"]) == (
            observed.main.version_id,
            observed.reserve.version_id,
        )
        assert story != "hold" or number == 1, "the first write of a run with hold takes the schedule back"
    one.up(wish)
    assert (NAMES[Kind.PROMOTE] in one.scheduler.schedules) == (story in {"new", "generation"})


def test_a_schedule_of_another_moment_is_taken_back_before_anything_else(armed: Armed) -> None:
    """The pair's part of an `up` removes it; the switch's part, after the devices were sent the profile, makes it."""
    # R9 R11
    later = definition(replace(NOW, apply=AfterDays(days=40)))
    result = armed.secure(later)
    assert NAMES[Kind.PROMOTE] not in armed.scheduler.schedules
    assert armed.world.reports[-1] == "the promotion that was scheduled for 2040-01-31 00:00 UTC is withdrawn"
    armed.service.arm(armed.request(result))
    assert armed.scheduler.schedules[NAMES[Kind.PROMOTE]].at == armed.world.clock.moment.replace(month=2, day=10)
    assert armed.world.labels["RESERVE"] == 2


def test_a_pair_that_changed_while_it_was_armed_is_not_promoted(armed: Armed) -> None:
    """Another run replaced the reserve meanwhile: what was scheduled for the old one is taken back."""  # R32
    stale = armed.request(armed.secure())
    armed.secure(definition(replace(NOW, generation=2)))
    with pytest.raises(StoreError, match="run again"):
        armed.service.arm(stale)
    assert NAMES[Kind.PROMOTE] not in armed.scheduler.schedules


def test_drift_names_what_is_to_come_and_is_not_as_it_should_be(armed: Armed) -> None:
    """A deleted or changed schedule is drift; one whose moment has passed has fired."""  # R11
    request = armed.request(armed.secure(), alarm_arn=QUEUE)
    armed.service.arm(request)
    name = NAMES[Kind.PROMOTE]
    good = armed.scheduler.schedules[name]
    for damage in ({"at": armed.world.clock.moment}, {"input": "{}"}, {"target": "arn:aws:lambda:x"}):
        armed.scheduler.schedules[name] = replace(good, **damage)
        assert armed.drift(request) == (name,)
    del armed.scheduler.schedules[name]
    assert armed.drift(request) == (name,)
    del armed.scheduler.schedules[NAMES[Kind.OVERDUE]]
    assert armed.drift(request) == (name, NAMES[Kind.OVERDUE])
    armed.world.later(days=30)
    assert armed.drift(request) == (NAMES[Kind.OVERDUE],)


def test_the_users_own_role_and_queue_are_used(armed: Armed) -> None:
    """With ARNs nothing is made, and a schedule by another role is drift."""  # R11
    fresh = Armed()
    request = fresh.up(role_arn=ROLE, dead_letter_arn=QUEUE)
    assert (fresh.prerequisites.roles, fresh.prerequisites.queues) == ({}, set())
    made = fresh.scheduler.schedules[NAMES[Kind.PROMOTE]]
    assert (made.role, made.dead_letter) == (ROLE, QUEUE)
    assert fresh.drift(request) == ()
    mine = armed.request(armed.secure(), role_arn=ROLE)
    assert armed.drift(mine) == (NAMES[Kind.PROMOTE],)


def test_what_is_past_is_not_scheduled() -> None:
    """A moment that has passed is the business of `up` itself, and an alarm for it would ring at once."""
    one = Armed()
    one.secure()
    one.world.later(days=390)
    hold = replace(definition(), promotion=Promotion(hold=True))
    one.up(hold, alarm_arn=QUEUE)
    assert set(one.scheduler.schedules) == set()


def test_nothing_is_made_where_nothing_can_happen_by_itself() -> None:
    """No reserve and no alarms: no role, no queue."""
    one = Armed()
    one.up(definition(NoReserve()))
    assert (one.scheduler.schedules, one.prerequisites.roles, one.prerequisites.queues) == ({}, {}, set())


def test_disarming_leaves_what_is_the_users_own(armed: Armed) -> None:
    """Only what was made here goes."""
    armed.service.disarm("berlin", SECRET, role_made=False, queue_made=True)
    assert armed.scheduler.schedules == {}
    assert armed.prerequisites.queues == set()
    assert armed.prerequisites.roles != {}
    armed.service.disarm("berlin", SECRET, role_made=True, queue_made=True)
    assert armed.prerequisites.roles == {}


def test_a_run_whose_label_somebody_moved_looks_again() -> None:
    """A lost compare-and-swap is no failure: the run goes on from what the other one did."""  # R11 R32
    one = World()
    one.apply()
    one.later(days=31)
    move = one.store.move_label
    moved: list[str | None] = []

    def raced(name: str, label: str, *, to: str | None, current: str | None) -> None:
        if label == Label.MAIN and not moved:
            moved.append(to)
            move(name, label, to=to, current=current)
            raise LabelMovedError("another run was quicker: run again")
        move(name, label, to=to, current=current)

    one.store = _Raced(one.store, raced)  # type: ignore[assignment]
    one.service = PairService(one.store, one.clock, report=one.reports.append)
    assert one.apply().view.desired.main == 2
    assert one.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 2, "RESERVE": 3}
    assert any("changed concurrently" in line for line in one.reports)
    assert OWNER in one.tags.values()


class _Raced:
    """A store of which one call is another one."""

    def __init__(self, store: object, move_label: object) -> None:
        self._store = store
        self.move_label = move_label

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
