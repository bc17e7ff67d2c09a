"""Arming and disarming the switch, with interrupted runs and concurrent changes of the pair."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ios_mdm.app.pair.service import PairService
from ios_mdm.app.read_ahead import Reading, read_server
from ios_mdm.app.switch_reader import SwitchFindings
from ios_mdm.core.pair.definition import AfterDays, NoReserve, Promotion
from ios_mdm.core.pair.layout import ARMED_TAG
from ios_mdm.core.pair.observed import ArmedPromotion
from ios_mdm.core.pair.schedule import RETRY_PERIOD, Kind
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import LabelMovedError, StoreError
from tests.support.memory_scheduler import MemoryPrerequisites
from tests.support.pairs import NOW, OWNER, SECRET, World, definition
from tests.support.switching import NAMES, QUEUE_NAME, REGION, ROLE_NAME, Armed, CrashError

if TYPE_CHECKING:
    from collections.abc import Callable


QUEUE = "arn:aws:sqs:eu-west-1:111122223333:mine"
ROLE = "arn:aws:iam::111122223333:role/mine"


@pytest.fixture
def armed() -> Armed:
    """A pair with a reserve whose promotion is scheduled."""
    one = Armed()
    one.up()
    return one


def test_an_up_arms_the_switch_and_the_next_one_writes_nothing(armed: Armed) -> None:
    """The first run creates queue, role and schedule. The next run writes nothing."""  # R11
    labels = armed.world.labels
    assert (labels["AWSCURRENT"], labels["RESERVE"]) == (1, 2)
    assert armed.scheduled_call()["MoveToVersionId"] != armed.scheduled_call()["RemoveFromVersionId"]
    assert armed.prerequisites.queues == {QUEUE_NAME}
    assert set(armed.prerequisites.roles) == {ROLE_NAME}
    request = armed.request(armed.secure())
    armed.scheduler.calls.clear()
    armed.prerequisites.calls.clear()
    assert armed.drift(request) == ()
    armed.service.arm(request)
    assert armed.prerequisites.calls == []
    assert [call for call in armed.scheduler.calls if call[0] == "put_schedule"] == []


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 18))
@pytest.mark.parametrize("story", ["new", "generation", "none", "hold"])
def test_a_run_that_dies_anywhere_never_leaves_a_schedule_for_what_is_not_the_reserve(
    story: str, number: int, edge: Literal["before", "after"]
) -> None:
    """After each write, a schedule can promote only the current reserve. The next run completes the switch."""
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
        call = one.scheduled_call()
        assert (call["RemoveFromVersionId"], call["MoveToVersionId"]) == (
            observed.main.version_id,
            observed.reserve.version_id,
        )
        assert story != "hold" or number == 1, "the first write of a run with hold deletes the schedule"
        schedule = one.scheduler.schedules[NAMES[Kind.PROMOTE]]
        assert observed.armed == ArmedPromotion(certificate=observed.reserve.ordinal or 0, at=schedule.at)
        one.scheduler.down = True
        with pytest.raises(StoreError, match=rf"make certificate {observed.reserve.ordinal} main on 2040-01-31"):
            one.up(replace(wish, promotion=Promotion(hold=True)))
        one.scheduler.down = False
    one.up(wish)
    assert one.is_recorded() == (story in {"new", "generation"}), "the record is removed with the schedule"
    assert (NAMES[Kind.PROMOTE] in one.scheduler.schedules) == (story in {"new", "generation"})


def test_a_schedule_for_another_time_is_deleted_first(armed: Armed) -> None:
    """The first part of an `up` deletes it. The second part creates another one after the delivery."""
    # R9 R11
    later = definition(replace(NOW, apply=AfterDays(days=40)))
    result = armed.secure(later)
    assert NAMES[Kind.PROMOTE] not in armed.scheduler.schedules
    assert armed.world.reports[-1] == "the promotion that was scheduled for 2040-01-31 00:00 UTC is withdrawn"
    armed.service.arm(armed.request(result))
    assert armed.scheduler.schedules[NAMES[Kind.PROMOTE]].at == armed.world.clock.moment.replace(month=2, day=10)
    assert armed.world.labels["RESERVE"] == 2


def test_a_pair_that_changed_while_it_was_armed_is_not_promoted(armed: Armed) -> None:
    """Another run has replaced the reserve, so the schedule of the former reserve is deleted."""  # R32
    stale = armed.request(armed.secure())
    armed.secure(definition(replace(NOW, generation=2)))
    with pytest.raises(StoreError, match="run again"):
        armed.service.arm(stale)
    assert NAMES[Kind.PROMOTE] not in armed.scheduler.schedules


def test_drift_names_what_is_to_come_and_is_not_as_it_should_be(armed: Armed) -> None:
    """A deleted or changed schedule is drift. A schedule whose time has passed has fired."""  # R11
    request = armed.request(armed.secure(), alarm_arn=QUEUE)
    armed.service.arm(request)
    name = NAMES[Kind.PROMOTE]
    good = armed.scheduler.schedules[name]
    damages: dict[str, dict[str, Any]] = {
        "time": {"at": armed.world.clock.moment},
        "input": {"input": good.input.replace("111122223333", "444455556666").replace("berlin", "paris")},
        "target": {"target": "arn:aws:lambda:x"},
        "role": {"role": ROLE},
        "dead-letter queue": {"dead_letter": QUEUE},
    }
    for part, damage in damages.items():
        armed.scheduler.schedules[name] = replace(good, **damage)
        assert armed.drift(request) == (f"the schedule {name} has another {part}",)
    del armed.scheduler.schedules[name]
    assert armed.drift(request) == (f"the schedule {name} is missing",)
    overdue = f"the schedule {NAMES[Kind.OVERDUE]} is missing"
    del armed.scheduler.schedules[NAMES[Kind.OVERDUE]]
    assert armed.drift(request) == (f"the schedule {name} is missing", overdue)
    armed.world.later(days=30)
    assert armed.drift(request) == (overdue,)


DAMAGES: dict[str, tuple[Callable[[Armed], object], str]] = {
    "no role": (lambda one: one.prerequisites.roles.clear(), f"the role {ROLE_NAME} is missing"),
    "trust": (lambda one: one.damage_role(0, "{}"), f"the trust policy of the role {ROLE_NAME} differs"),
    "policy": (lambda one: one.damage_role(1, "{}"), f"the policy of the role {ROLE_NAME} differs"),
    "boundary": (lambda one: one.damage_role(2, "b"), f"the permissions boundary of the role {ROLE_NAME} differs"),
    "no queue": (lambda one: one.prerequisites.queues.clear(), f"the queue {QUEUE_NAME} is missing"),
    "no record": (
        lambda one: one.world.store.untag(SECRET, [ARMED_TAG]),
        f"the tag {ARMED_TAG} does not record the schedule",
    ),
    "a damaged record": (
        lambda one: one.world.store.tag(SECRET, {ARMED_TAG: "2 soon"}),
        f"the tag {ARMED_TAG} does not record the schedule",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_all_needs_of_the_switch_are_checked_and_repaired(armed: Armed, damage: str) -> None:
    """One problem is reported, and the next `arm` repairs it although the schedule is correct."""  # R36
    do, expected = DAMAGES[damage]
    request = armed.request(armed.secure())
    before = dict(armed.scheduler.schedules), dict(armed.prerequisites.roles), set(armed.prerequisites.queues)
    do(armed)
    assert armed.drift(request) == (expected,)
    armed.service.arm(request)
    assert armed.drift(request) == ()
    assert (armed.scheduler.schedules, armed.prerequisites.roles, armed.prerequisites.queues) == before


def test_nothing_is_read_if_nothing_should_be_scheduled(armed: Armed) -> None:
    """On hold, and for a reserve that devices were not sent, a check calls neither Scheduler nor IAM nor SQS."""  # R36
    fresh = Armed()
    unsent = replace(fresh.request(fresh.secure()), distributed=True)
    hold = armed.up(replace(definition(), promotion=Promotion(hold=True)))
    for one, request in ((fresh, unsent), (armed, hold)):
        one.scheduler.down = one.prerequisites.down = True
        assert one.findings(request) == SwitchFindings()


def test_an_unreadable_resource_is_not_reported_as_missing(armed: Armed) -> None:
    """Without permissions for IAM and SQS, the unchecked resources are reported. The schedule is checked."""  # R36
    request = armed.request(armed.secure())
    armed.prerequisites.down = True
    assert armed.findings(request) == SwitchFindings(unchecked=("no answer from IAM", "no answer from SQS"))
    armed.scheduler.schedules.clear()
    assert armed.drift(request) == (f"the schedule {NAMES[Kind.PROMOTE]} is missing",)
    armed.scheduler.down = True
    assert armed.findings(request) == SwitchFindings(unchecked=("no answer from Scheduler",))


def test_reading_ahead_goes_on_after_a_refusal(armed: Armed, monkeypatch: pytest.MonkeyPatch) -> None:
    """R36. The check handles the missing answer. The following reads are made nevertheless."""
    asked = list[str]()
    monkeypatch.setattr(MemoryPrerequisites, "queue_exists", lambda _self, name: asked.append(name))
    armed.scheduler.down = armed.prerequisites.down = True
    reading = Reading(
        server="berlin",
        secret=SECRET,
        region=None,
        host="mdm.example.com",
        endpoints=(),
        alarms=False,
        role=True,
        queue=True,
    )
    read_server(reading, armed.world.service, armed.scheduler, armed.prerequisites)
    assert asked == [QUEUE_NAME]


def test_the_reads_of_a_check_are_made_at_once(armed: Armed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedule, role and queue are read concurrently: each answer waits until all three were requested."""  # R36
    request = armed.request(armed.secure())
    armed.service.arm(request)
    asked = threading.Barrier(3, timeout=30)
    for holder, name in (
        (armed.scheduler, "get"),
        (armed.prerequisites, "role_problems"),
        (armed.prerequisites, "queue_exists"),
    ):
        real = getattr(type(holder), name)
        monkeypatch.setattr(type(holder), name, _waiting(asked, real))
    assert armed.findings(request) == SwitchFindings()


def _waiting(asked: threading.Barrier, call: Callable[..., Any]) -> Callable[..., Any]:
    def waiting(*args: Any, **kwargs: Any) -> Any:
        asked.wait()
        return call(*args, **kwargs)

    return waiting


HOLD = replace(definition(), promotion=Promotion(hold=True))
UNSAFE = {
    "hold": (HOLD, "promotion.hold is set"),
    "none": (definition(NoReserve()), "certificate 2 must not become main"),
    "another": (definition(replace(NOW, generation=2)), "certificate 2 must not become main"),
    "later": (definition(replace(NOW, apply=AfterDays(days=40))), "the apply time is 2040-02-10 00:00 UTC"),
}


@pytest.mark.parametrize("wish", UNSAFE)
def test_unsafe_changes_are_refused_while_a_schedule_may_fire(armed: Armed, wish: str) -> None:
    """If Scheduler does not answer, the run fails before its first effect. The message has the time."""  # R36
    definition_, reason = UNSAFE[wish]
    armed.scheduler.down = True
    armed.world.store.calls.clear()
    with pytest.raises(StoreError) as refused:
        armed.up(definition_)
    assert str(refused.value).startswith(f"{reason}, but the schedule {NAMES[Kind.PROMOTE]} may still make certificate")
    assert "certificate 2 main on 2040-01-31 00:00 UTC" in str(refused.value)
    assert armed.world.store.calls == []
    armed.world.later(days=30)
    armed.world.clock.moment += RETRY_PERIOD
    if wish == "hold":
        armed.up(definition_)  # AWS no longer tries to fire the schedule.
        assert not armed.is_recorded()


def test_a_schedule_that_cannot_be_deleted_refuses_as_one_that_cannot_be_read(armed: Armed) -> None:
    """This includes a schedule without a record."""  # R36
    armed.world.store.untag(SECRET, [ARMED_TAG])

    def denied(operation: str, _edge: str) -> None:
        if operation == "delete_schedule":
            raise StoreError("access denied")

    armed.scheduler.fail = denied
    with pytest.raises(StoreError, match="certificate 2 main on 2040-01-31"):
        armed.up(HOLD)
    armed.scheduler.schedules[NAMES[Kind.PROMOTE]] = replace(
        armed.scheduler.schedules[NAMES[Kind.PROMOTE]], input="changed by hand"
    )
    with pytest.raises(StoreError, match="may still make a certificate main at an unknown time"):
        armed.up(HOLD)


@pytest.mark.parametrize("service", ["scheduler", "prerequisites"])
def test_an_up_goes_on_without_scheduler_iam_and_sqs(service: str) -> None:
    """The pair is issued. One warning names the missing switch, and no missing schedule is recorded as armed."""  # R36
    one = Armed()
    getattr(one, service).down = True
    one.up()
    assert one.world.labels["RESERVE"] == 2
    (warning,) = one.warnings
    assert "no schedule makes certificate 2 main on 2040-01-31 00:00 UTC: run `pulumi up` again" in warning
    assert one.scheduler.schedules == {}
    assert not one.is_recorded()
    one.up(HOLD)
    one.up(definition(NoReserve()))
    getattr(one, service).down = False
    one.up()
    assert one.is_recorded()
    assert one.drift(one.request(one.secure())) == ()


def test_an_earlier_apply_time_is_no_reason_to_refuse(armed: Armed) -> None:
    """The run warns about the schedule that may still fire. The next run with Scheduler moves the schedule."""  # R36
    sooner = definition(replace(NOW, apply=AfterDays(days=20)))
    armed.scheduler.down = True
    armed.up(sooner)
    assert any("may still make certificate 2 main on 2040-01-31 00:00 UTC" in line for line in armed.warnings)
    armed.scheduler.down = False
    armed.up(sooner)
    assert armed.scheduler.schedules[NAMES[Kind.PROMOTE]].at == armed.world.clock.moment.replace(day=21)


def test_a_run_that_dies_never_leaves_a_schedule_that_outlives_its_record(armed: Armed) -> None:
    """A schedule with a later time is deleted before the record gets the earlier time."""  # R36
    sooner = definition(replace(NOW, apply=AfterDays(days=20)))
    armed.scheduler.down = True
    result = armed.secure(sooner)
    armed.scheduler.down = False
    armed.die_at(4, "after")  # two alarms and the schedule are deleted, and the new one is recorded
    with pytest.raises(CrashError):
        armed.service.arm(armed.request(result))
    armed.live()
    assert armed.is_recorded()
    assert NAMES[Kind.PROMOTE] not in armed.scheduler.schedules


def test_a_due_reserve_is_promoted_while_scheduler_is_down(armed: Armed) -> None:
    """The call of its schedule then fails because main has changed. Its record is removed by a later run."""  # R36
    armed.scheduler.down = True
    armed.world.later(days=30)
    armed.up()
    assert armed.world.labels["AWSCURRENT"] == 2
    assert armed.is_recorded()
    armed.scheduler.down = False
    armed.up()
    assert armed.world.labels["RESERVE"] == 3
    assert armed.drift(armed.request(armed.secure())) == ()


def test_a_put_that_fails_leaves_the_record(armed: Armed) -> None:
    """The schedule may exist although the answer was lost. The run continues with a warning."""  # R36
    armed.up(HOLD)

    def lost(operation: str, edge: str) -> None:
        if (operation, edge) == ("put_schedule", "after"):
            raise StoreError("the answer was lost")

    armed.scheduler.fail = lost
    armed.up()
    assert "the answer was lost" in armed.warnings[-1]
    assert NAMES[Kind.PROMOTE] in armed.scheduler.schedules
    assert armed.is_recorded()
    armed.live()
    assert armed.drift(armed.request(armed.secure())) == ()


def test_without_schedules_nothing_is_made_and_aws_is_not_called() -> None:
    """`promotion.schedule: false` creates no schedule, role or queue, and Scheduler is not called."""  # R36
    one = Armed()
    one.scheduler.down = one.prerequisites.down = True
    wish = replace(definition(), promotion=Promotion(schedule=False))
    request = one.up(wish, scheduled=False)
    assert one.warnings == []
    assert one.findings(request) == SwitchFindings()
    one.world.later(days=31)
    one.up(wish, scheduled=False)
    assert one.world.labels["AWSCURRENT"] == 2, "a run at the apply time promotes"


def test_schedules_that_are_not_wanted_any_more_are_deleted(armed: Armed) -> None:
    """The run deletes schedule and record, then role and queue. If Scheduler is down, the record stays."""
    # R36
    wish = replace(definition(), promotion=Promotion(schedule=False))
    armed.scheduler.down = True
    request = armed.up(wish, scheduled=False)
    assert armed.is_recorded()
    assert not armed.service.dismantle("berlin", SECRET, region=REGION, is_role_made=True, is_queue_made=True)
    assert armed.prerequisites.roles != {}
    assert armed.findings(request).problems == ()
    armed.scheduler.down = False
    assert armed.drift(request) == (f"the tag {ARMED_TAG} records a schedule that should not exist",)
    armed.up(wish, scheduled=False)
    assert armed.scheduler.schedules == {}
    assert not armed.is_recorded()
    assert armed.service.dismantle("berlin", SECRET, region=REGION, is_role_made=True, is_queue_made=True)
    assert (armed.prerequisites.roles, armed.prerequisites.queues) == ({}, set())


def test_a_recorded_schedule_that_cannot_be_deleted_keeps_its_pair(armed: Armed) -> None:
    """The deletion of the pair fails, and the message has the time. Without a record the pair is deleted."""  # R36 R37
    armed.scheduler.down = True
    at = armed.world.clock.moment.replace(day=31)
    with pytest.raises(StoreError, match="may still make certificate 2 main on 2040-01-31 00:00 UTC"):
        armed.service.disarm(
            "berlin",
            SECRET,
            region=REGION,
            is_role_made=True,
            is_queue_made=True,
            armed=ArmedPromotion(certificate=2, at=at),
        )
    assert armed.prerequisites.roles != {}
    armed.service.disarm("berlin", SECRET, region=REGION, is_role_made=True, is_queue_made=True)
    assert "schedules of berlin may still exist" in armed.warnings[-1]
    assert armed.prerequisites.roles == {}


def test_the_users_own_role_and_queue_are_used(armed: Armed) -> None:
    """With ARNs in the definition, neither is created. A schedule with another role is drift."""  # R11
    fresh = Armed()
    request = fresh.up(role_arn=ROLE, dead_letter_arn=QUEUE)
    assert (fresh.prerequisites.roles, fresh.prerequisites.queues) == ({}, set())
    made = fresh.scheduler.schedules[NAMES[Kind.PROMOTE]]
    assert (made.role, made.dead_letter) == (ROLE, QUEUE)
    assert fresh.drift(request) == ()
    mine = armed.request(armed.secure(), role_arn=ROLE)
    assert armed.drift(mine) == (f"the schedule {NAMES[Kind.PROMOTE]} has another role",)


def test_past_times_are_not_scheduled() -> None:
    """An `up` makes a change whose time has passed. An alarm for it would be sent immediately."""
    one = Armed()
    one.secure()
    one.world.later(days=390)
    hold = replace(definition(), promotion=Promotion(hold=True))
    one.up(hold, alarm_arn=QUEUE)
    assert set(one.scheduler.schedules) == set()


def test_nothing_is_created_if_nothing_can_be_scheduled() -> None:
    """Without a reserve and alarms, no role and no queue are created."""
    one = Armed()
    one.up(definition(NoReserve()))
    assert (one.scheduler.schedules, one.prerequisites.roles, one.prerequisites.queues) == ({}, {}, set())


def test_disarming_leaves_what_is_the_users_own(armed: Armed) -> None:
    """Only the role and the queue of the provider are deleted."""
    armed.service.disarm("berlin", SECRET, region=REGION, is_role_made=False, is_queue_made=True)
    assert armed.scheduler.schedules == {}
    assert armed.prerequisites.queues == set()
    assert armed.prerequisites.roles != {}
    armed.service.disarm("berlin", SECRET, region=REGION, is_role_made=True, is_queue_made=True)
    assert armed.prerequisites.roles == {}


def test_a_run_whose_label_was_moved_concurrently_reads_again() -> None:
    """A lost compare-and-swap is not an error: the run continues from the new state."""  # R11 R32
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
    """A store in which one method is replaced."""

    def __init__(self, store: object, move_label: object) -> None:
        self._store = store
        self.move_label = move_label

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
