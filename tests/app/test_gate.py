"""The gate in a run: it is evaluated from the ledger, recorded in the pair's secret, and moves the switch (R46)."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, cast

import pytest

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.delivery.distributor import Delivery
from ios_mdm.app.delivery.service import DeliveryRequest
from ios_mdm.app.gate import GateService
from ios_mdm.app.reconcile import Reconciler
from ios_mdm.app.switch_mover import SHORTEST_TIME, SwitchMover
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.ledger.overdue import LedgerRules
from ios_mdm.core.ledger.values import AnswerStatus
from ios_mdm.core.pair.definition import AfterDays, IssueReserve, When
from ios_mdm.core.pair.layout import ARMED_TAG, GATE_TAG, HIGHEST_TAG, SENT_TAG, armed_value, sent_value, version_id
from ios_mdm.core.pair.observed import ArmedPromotion
from ios_mdm.core.pair.schedule import Kind
from ios_mdm.errors import DeliveryError, StoreError
from ios_mdm.settings import AwsSettings, parse_server
from tests.support.events import record_answer, record_authenticate, record_device, record_sent
from tests.support.memory_scheduler import MemoryScheduler
from tests.support.pairs import SECRET, definition
from tests.support.switching import NAMES, Armed, CrashError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.app.delivery.content import ProfileContent
    from ios_mdm.app.delivery.service import DeliveryService
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.schedule import Schedule

DEVICES = ["D1", "D2", "D3", "D4"]
DAY = timedelta(days=1)


def gated_definition(minimum: int = 75) -> PairDefinition:
    """Return a definition whose reserve is applied after 30 days if enough devices have it."""
    one = definition(IssueReserve(when=When.NOW, apply=AfterDays(days=30)))
    return replace(one, promotion=replace(one.promotion, minimum_coverage=minimum))


@dataclass
class Fleet:
    """A pair with its switch, and a ledger with four devices that were sent the profile."""

    ledger: SqliteLedger
    armed: Armed = field(default_factory=Armed)
    ignored_silent_days: int | None = None

    def __post_init__(self) -> None:
        """Send the profile to the devices."""
        self.armed.world.store.clock = self.armed.world.clock
        for one in DEVICES:
            record_device(self.ledger, one, enrolled=True, at=self.now)
        record_sent(self.ledger, "C1", enrollment_ids=DEVICES, at=self.now)

    @property
    def now(self) -> datetime:
        """The time of the clock."""
        return self.armed.world.clock.now()

    def wait(self, time: timedelta) -> None:
        """Let time pass."""
        self.armed.world.clock.moment += time

    def answer(self, *devices: str) -> None:
        """Let devices acknowledge the profile."""
        for one in devices:
            record_answer(self.ledger, "C1", one, AnswerStatus.ACKNOWLEDGED, at=self.now)

    @property
    def gates(self) -> GateService:
        """The service under test."""
        return GateService(
            self.ledger,
            self.armed.world.store,
            self.armed.world.clock,
            rules=LedgerRules(),
            ignored_silent_days=self.ignored_silent_days,
            report=self.armed.world.reports.append,
        )

    def evaluate(self, *, shortest: timedelta = timedelta()) -> SwitchRequest:
        """Evaluate the gate and arm the switch, as a run after its delivery or the collector."""
        request = self.armed.request(self.armed.secure(gated_definition()))
        decided = self.gates.record_decision(request, DEVICES, shortest=shortest)
        self.armed.service.arm(decided)
        return decided

    @property
    def scheduled_at(self) -> datetime:
        """Time of the schedule of the promotion."""
        return self.armed.scheduler.schedules[NAMES[Kind.PROMOTE]].at

    def writes(self) -> int:
        """Return the number of schedules that were created or updated so far."""
        return sum(call[0] == "put_schedule" for call in self.armed.scheduler.calls)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A pair, and four devices that did not answer yet."""
    return Fleet(SqliteLedger(tmp_path / "ledger.db"))


def times_of(fleet: Fleet) -> tuple[datetime, datetime]:
    """Return the apply times with an open and with a closed gate."""
    promote = fleet.armed.secure(gated_definition()).switch.promote
    assert promote is not None
    assert promote.gate is not None
    return promote.gate.early, promote.gate.latest


def test_the_switch_moves_when_enough_devices_answered_and_back_when_one_is_lost(fleet: Fleet) -> None:
    """The schedule is never missing. It has the latest time while the gate is closed."""  # R46, R36
    early, latest = times_of(fleet)
    fleet.evaluate()
    assert fleet.scheduled_at == latest
    fleet.answer("D1", "D2")
    fleet.evaluate()
    assert fleet.scheduled_at == latest
    fleet.answer("D3")
    fleet.evaluate()
    assert fleet.scheduled_at == early
    said = (
        "the gate is open: 3 of 4 devices acknowledged the profile, 75 % are required. Certificate 2 becomes main on "
        f"{early:%Y-%m-%d %H:%M} UTC"
    )
    assert said in fleet.armed.world.reports
    fleet.wait(DAY)
    record_sent(fleet.ledger, "C2", profile=b"another profile", enrollment_ids=DEVICES, at=fleet.now)
    fleet.evaluate()
    assert fleet.scheduled_at == latest


class Delivered:
    """A delivery that has sent the profile already."""

    def deliver(self, request: DeliveryRequest, _disarm: Callable[[], None] | None = None) -> Delivery:
        """Send nothing."""
        return Delivery(server="berlin", profile=b"a profile", enrollment_ids=request.enrollment_ids)


def test_a_run_counts_the_same_devices_as_the_collector(fleet: Fleet) -> None:
    """A device that left and requests an enrollment again is sent nothing yet, but counts."""  # R46
    fleet.answer("D1", "D2")
    fleet.evaluate()
    fleet.wait(DAY)
    for one in ("D3", "D4"):
        record_device(fleet.ledger, one, enrolled=False, at=fleet.now)
        record_authenticate(fleet.ledger, one, at=fleet.now + timedelta(seconds=1))
    assert fleet.ledger.enrolled_ids() == ("D1", "D2")
    reconciler = Reconciler(
        fleet.armed.world.service, fleet.armed.service, cast("DeliveryService", Delivered()), fleet.gates
    )
    delivery = DeliveryRequest(
        content=cast("ProfileContent", None),
        secret=SECRET,
        secret_arn="",
        resource_id=None,
        enrollment_ids=fleet.ledger.enrolled_ids(),
        is_for_all=True,
    )
    reconciler.deliver(delivery, fleet.armed.request(fleet.armed.secure(gated_definition())))
    assert " closed " in fleet.armed.world.tags[GATE_TAG]


def test_a_run_without_the_ledger_uses_the_recorded_decision(fleet: Fleet) -> None:
    """The stage of the pair arms the switch as the last run decided, and never asks the ledger."""  # R46
    early, _ = times_of(fleet)
    fleet.answer(*DEVICES)
    fleet.evaluate()
    fleet.armed.scheduler.schedules.clear()
    fleet.armed.up(gated_definition())
    assert fleet.scheduled_at == early


def test_the_same_decision_is_written_once(fleet: Fleet) -> None:
    """Evaluations with the same result write neither a tag nor a schedule."""  # R46
    fleet.evaluate()
    record, writes = fleet.armed.world.tags[GATE_TAG], fleet.writes()
    for _ in range(5):
        fleet.wait(timedelta(hours=1))
        fleet.evaluate()
    assert (fleet.armed.world.tags[GATE_TAG], fleet.writes()) == (record, writes)


def test_flapping_around_the_threshold_changes_the_schedule_once_an_hour(fleet: Fleet) -> None:
    """A device that enrolls again every ten minutes makes the collector move the switch at most once an hour."""
    # R46
    fleet.answer("D1", "D2")
    fleet.evaluate()
    before = fleet.writes()
    for minute in range(0, 300, 5):
        fleet.wait(timedelta(minutes=5))
        if minute % 10:
            record_device(fleet.ledger, "D3", enrolled=False, at=fleet.now)
        else:
            record_device(fleet.ledger, "D3", enrolled=True, at=fleet.now)
            record_sent(fleet.ledger, f"E{minute}", enrollment_ids=["D3"], at=fleet.now)
            record_answer(fleet.ledger, f"E{minute}", "D3", AnswerStatus.ACKNOWLEDGED, at=fleet.now)
        fleet.evaluate(shortest=timedelta(hours=1))
    assert 1 <= fleet.writes() - before <= 5


def test_a_device_that_is_silent_for_too_long_is_not_counted(fleet: Fleet) -> None:
    """With ignoreSilentDays, one silent device does not delay the switch for ever."""  # R46
    fleet.ignored_silent_days = 10
    early, latest = times_of(fleet)
    fleet.answer("D1", "D2")
    fleet.evaluate()
    assert fleet.scheduled_at == latest
    fleet.wait(9 * DAY)
    record_device(fleet.ledger, "D3", enrolled=True, at=fleet.now)
    fleet.wait(2 * DAY)
    fleet.evaluate()
    assert fleet.scheduled_at == latest, "2 of 3"
    fleet.wait(9 * DAY)
    fleet.evaluate()
    assert fleet.scheduled_at == early, "2 of 2"


def test_a_reserve_gets_a_decision_of_its_own(fleet: Fleet) -> None:
    """The decision for a former reserve does not open the gate for the next one."""  # R46
    fleet.answer(*DEVICES)
    fleet.evaluate()
    wish = gated_definition()
    assert isinstance(wish.reserve, IssueReserve)
    raised = replace(wish, reserve=replace(wish.reserve, generation=2))
    promote = fleet.armed.secure(raised).switch.promote
    assert promote is not None
    assert promote.gate is not None
    assert (promote.certificate, promote.gate.is_open) == (3, False)


def test_a_preview_writes_nothing(fleet: Fleet) -> None:
    """The decision says whether it is recorded, so that a preview can plan the change."""  # R46
    request = fleet.armed.request(fleet.armed.secure(gated_definition()))
    fleet.answer(*DEVICES)
    observed = fleet.armed.world.service.observe(SECRET)
    assert observed is not None
    decision = fleet.gates.decision(request, observed, DEVICES)
    assert decision is not None
    assert (decision.is_open, decision.is_recorded) == (True, False)
    assert GATE_TAG not in fleet.armed.world.tags


def test_a_ledger_that_cannot_be_used_leaves_the_decision(fleet: Fleet) -> None:
    """The error is raised before anything is written."""  # R46
    fleet.answer(*DEVICES)
    fleet.evaluate()
    record = fleet.armed.world.tags[GATE_TAG]
    fleet.ledger.path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DeliveryError):
        fleet.evaluate()
    assert fleet.armed.world.tags[GATE_TAG] == record


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 7))
def test_a_crash_while_the_gate_opens_converges(fleet: Fleet, number: int, edge: Literal["before", "after"]) -> None:
    """A run can be interrupted before or after any write. The next run arms the switch for the right time."""  # R46
    early, _ = times_of(fleet)
    fleet.evaluate()
    fleet.answer(*DEVICES)
    fleet.armed.die_at(number, edge)
    with contextlib.suppress(CrashError):
        fleet.evaluate()
    fleet.armed.live()
    fleet.evaluate()
    assert fleet.scheduled_at == early


class TestOutsideOfARun:
    """The collector moves the schedule that a run created."""

    def mover(
        self, fleet: Fleet, *, days: int = 30, generation: int = 1, switches: SwitchService | None = None
    ) -> SwitchMover:
        """Return the mover of a definition."""
        settings = parse_server(
            {
                "name": "berlin",
                "address": "mdm.example.com",
                "main": {"issue": {"key": "ec-p256"}},
                "reserve": {"issue": {"when": "now", "apply": {"afterDays": days}, "generation": generation}},
                "promotion": {"minimumCoverage": 75},
            },
            "berlin",
        )
        return SwitchMover(
            settings,
            AwsSettings(secret_prefix=SECRET.rpartition("/")[0]),
            store=fleet.armed.world.store,
            clock=fleet.armed.world.clock,
            gates=fleet.gates,
            switches=switches or fleet.armed.service,
            devices=lambda: None,
        )

    def test_the_switch_moves_with_the_coverage(self, fleet: Fleet) -> None:
        """It moves to the early time at the coverage, and back below it, at most once an hour."""  # R46
        early, latest = times_of(fleet)
        self.send(fleet)
        mover = self.mover(fleet)
        assert not mover.move()
        fleet.answer("D1", "D2", "D3")
        assert not mover.move(), "an hour after the last decision at the earliest"
        fleet.wait(SHORTEST_TIME)
        assert mover.move()
        assert fleet.scheduled_at == early
        assert not mover.move()
        fleet.wait(SHORTEST_TIME)
        record_authenticate(fleet.ledger, "D3", at=fleet.now)
        assert mover.move()
        assert fleet.scheduled_at == latest
        assert fleet.armed.drift(fleet.armed.request(fleet.armed.secure(gated_definition()))) == ()

    def test_a_schedule_for_another_certificate_is_not_moved(self, fleet: Fleet) -> None:
        """The record of the armed switch and the schedule can differ after an interrupted run."""  # R46, R36
        self.send(fleet)
        fleet.answer(*DEVICES)
        fleet.wait(SHORTEST_TIME)
        schedules, name = fleet.armed.scheduler.schedules, NAMES[Kind.PROMOTE]
        call = json.loads(schedules[name].input)
        assert call["MoveToVersionId"]
        other = json.dumps({**call, "MoveToVersionId": version_id("another pair", 3)}, sort_keys=True)
        schedules[name] = replace(schedules[name], input=other)
        before = dict(schedules)
        assert not self.mover(fleet).move()
        assert schedules == before

    def test_a_gate_that_opens_late_switches_soon(self, fleet: Fleet) -> None:
        """After the early time, the schedule fires in some minutes, and a run before then promotes at once."""  # R46
        early, _ = times_of(fleet)
        self.send(fleet)
        fleet.wait(early - fleet.now + DAY)
        fleet.answer("D1", "D2", "D3")
        assert self.mover(fleet).move()
        assert fleet.now < fleet.scheduled_at <= fleet.now + timedelta(minutes=5)
        assert not self.mover(fleet).move()
        assert fleet.armed.secure(gated_definition()).view.desired.main == 2

    @pytest.mark.parametrize("change", ["definition", "reserve", "fired", "unarmed", "tag"])
    def test_a_switch_that_another_definition_armed_is_not_touched(self, fleet: Fleet, change: str) -> None:
        """A collector with a former definition changes nothing, nor does it create a schedule."""  # R46, R34, R36
        self.send(fleet)
        fleet.answer(*DEVICES)
        fleet.evaluate()
        record_authenticate(fleet.ledger, "D3", at=fleet.now + timedelta(seconds=1))
        record_authenticate(fleet.ledger, "D4", at=fleet.now + timedelta(seconds=1))
        fleet.wait(SHORTEST_TIME)
        days, generation = 30, 1
        if change == "definition":
            days = 40
        elif change == "reserve":
            generation = 2
            wish = gated_definition()
            assert isinstance(wish.reserve, IssueReserve)
            fleet.armed.secure(replace(wish, reserve=replace(wish.reserve, generation=2)))
        elif change == "fired":
            fleet.armed.scheduler.schedules.clear()
        else:
            fleet.armed.world.store.untag(SECRET, [HIGHEST_TAG if change == "tag" else ARMED_TAG])
        before = dict(fleet.armed.scheduler.schedules)
        assert not self.mover(fleet, days=days, generation=generation).move()
        assert fleet.armed.scheduler.schedules == before

    @pytest.mark.parametrize("edge", ["before", "after"])
    @pytest.mark.parametrize("number", range(1, 6))
    @pytest.mark.parametrize("opens", [True, False])
    def test_an_interrupted_move_leaves_a_schedule(
        self, fleet: Fleet, number: int, edge: Literal["before", "after"], *, opens: bool
    ) -> None:
        """No run may follow, so a schedule exists at any time, not earlier than recorded. The next move ends it."""
        # R46, R36
        times = early, latest = times_of(fleet)
        self.send(fleet)
        fleet.answer(*DEVICES)
        if not opens:
            fleet.evaluate()
            for one in ("D3", "D4"):
                record_authenticate(fleet.ledger, one, at=fleet.now + timedelta(seconds=1))
        fleet.wait(SHORTEST_TIME)
        fleet.armed.die_at(number, edge)
        with contextlib.suppress(CrashError):
            self.mover(fleet).move()
        fleet.armed.live()
        observed = fleet.armed.world.service.observe(SECRET)
        assert observed is not None
        assert observed.armed is not None
        assert observed.armed.at is not None
        assert fleet.scheduled_at in times
        assert observed.armed.at >= fleet.scheduled_at
        fleet.wait(SHORTEST_TIME)
        self.mover(fleet).move()
        assert fleet.scheduled_at == (early if opens else latest)
        assert fleet.armed.drift(fleet.armed.request(fleet.armed.secure(gated_definition()))) == ()
        assert fleet.armed.world.tags[ARMED_TAG] == armed_value(ArmedPromotion(certificate=2, at=fleet.scheduled_at))

    @pytest.mark.parametrize("is_late", [True, False])
    def test_a_run_at_the_same_time_keeps_its_switch(self, fleet: Fleet, *, is_late: bool) -> None:
        """A mover that finds another reserve changes nothing. If it did already, it deletes its schedule."""
        # R46, R34
        self.send(fleet)
        fleet.answer(*DEVICES)
        fleet.wait(SHORTEST_TIME)
        wish = gated_definition()
        assert isinstance(wish.reserve, IssueReserve)
        raised = replace(wish, reserve=replace(wish.reserve, generation=2))
        world = fleet.armed.world

        class Meanwhile(MemoryScheduler):
            """Lets a run replace the reserve before or after the first read of a schedule."""

            def get(self, name: str) -> Schedule | None:
                found = fleet.armed.scheduler.get(name)
                if not is_late:
                    run()
                return found

            def put(self, schedule: Schedule) -> None:
                if is_late:
                    run()
                fleet.armed.scheduler.put(schedule)

            def delete(self, name: str) -> None:
                fleet.armed.scheduler.delete(name)

        def run() -> None:
            world.store.tag(SECRET, {SENT_TAG: sent_value([1, 2, 3])})
            fleet.armed.up(raised)

        switches = SwitchService(Meanwhile(), fleet.armed.prerequisites, world.store, world.clock)
        mover = self.mover(fleet, switches=switches)
        if is_late:
            with pytest.raises(StoreError, match="the pair was changed concurrently"):
                mover.move()
            assert NAMES[Kind.PROMOTE] not in fleet.armed.scheduler.schedules
        else:
            assert not mover.move()
            assert '"' + version_id(SECRET, 3) + '"' in fleet.armed.scheduler.schedules[NAMES[Kind.PROMOTE]].input

    def send(self, fleet: Fleet) -> None:
        """Arm the switch with a closed gate, for certificates that devices were sent."""
        fleet.evaluate()
        fleet.armed.world.store.tag(SECRET, {SENT_TAG: sent_value([1, 2])})
