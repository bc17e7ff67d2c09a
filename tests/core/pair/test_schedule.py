"""The schedules that a pair's switch needs, and their targets and inputs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.pair.definition import AfterDays, IssueReserve, NoReserve, Promotion
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.observed import ArmedPromotion, Role
from ios_mdm.core.pair.schedule import (
    RETRY_PERIOD,
    Kind,
    alarm_schedule,
    has_ended,
    is_for_promotion,
    name_stem,
    promotion_schedule,
    queue_arn,
    queue_name,
    role_arn,
    schedule_names,
)
from ios_mdm.core.pair.schedule_role import role_policy, role_trust
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.switch import Alarm, Promote, Switch, switch
from ios_mdm.core.times import LAST
from tests.support.lifecycle import DAY, END, LEAD, START, definition, facts, main, pair, reserve, version

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.observed import ObservedPair

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ios-mdm/berlin-AbCdEf"
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:dead"
ROLE = "arn:aws:iam::111122223333:role/r"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:alarms"
RESERVED = facts(2, issued=END - 60 * DAY)
OVERLAP = pair(main(), reserve(RESERVED))


def planned_switch(wish: PairDefinition, observed: ObservedPair, now: datetime) -> Switch:
    """Return the promotions and alarms that a run at *now* plans."""
    return switch(wish, desired_state(wish, observed, now), observed)


def test_the_reserve_is_promoted_at_its_apply_time() -> None:
    """The schedule names both versions, so that AWS moves the label by compare-and-swap."""  # R6 R11
    promote = planned_switch(definition(), OVERLAP, END - 59 * DAY).promote
    assert promote == Promote(
        at=END - LEAD,
        certificate=2,
        version=OVERLAP.versions[1].version_id,
        former_version=OVERLAP.versions[0].version_id,
    )
    made = promotion_schedule(promote, name="n", secret_arn=ARN, role=ROLE, dead_letter=QUEUE)
    assert made.target == "arn:aws:scheduler:::aws-sdk:secretsmanager:updateSecretVersionStage"
    assert json.loads(made.input) == {
        "SecretId": ARN,
        "VersionStage": "AWSCURRENT",
        "MoveToVersionId": promote.version,
        "RemoveFromVersionId": promote.former_version,
    }
    assert is_for_promotion(made, promote, ARN)
    for other in ({"at": promote.at + DAY}, {"version": "x" * 36}, {"former_version": "y" * 36}):
        changed = Promote(**{name: getattr(promote, name) for name in promote.__slots__} | other)
        assert not is_for_promotion(made, changed, ARN)
    china = promotion_schedule(
        promote, name="n", secret_arn=ARN.replace("aws", "aws-cn", 1), role=ROLE, dead_letter=None
    )
    assert china.target == "arn:aws-cn:scheduler:::aws-sdk:secretsmanager:updateSecretVersionStage"


def test_the_switch_does_not_depend_on_the_time_of_the_run() -> None:
    """Every run on the same pair plans the same schedules, so that a run without a due change writes nothing."""  # R30
    moments = [END - 59 * DAY, END - 30 * DAY, END - LEAD - timedelta(seconds=1)]
    assert len({planned_switch(definition(), OVERLAP, now) for now in moments}) == 1


def test_hold_promotes_nothing() -> None:
    """A pair on hold has no promotion, but keeps its alarms."""  # R11
    held = planned_switch(definition(hold=True), OVERLAP, END - 59 * DAY)
    assert held.promote is None
    assert held.overdue is not None
    assert held.expiry is not None
    assert held.expiry.at == END - 30 * DAY, "no reserve becomes main automatically, so the alarm is for main's expiry"


def test_without_schedules_nothing_happens_automatically() -> None:
    """With `promotion.schedule: false` there is no alarm, and a run at the apply time promotes."""  # R36
    wish = replace(definition(), promotion=Promotion(schedule=False))
    switch = planned_switch(wish, OVERLAP, END - 59 * DAY)
    assert switch == Switch(promote=planned_switch(definition(), OVERLAP, END - 59 * DAY).promote)


def test_arns_of_created_resources_follow_from_the_secret() -> None:
    """Role and queue are in the partition and account of the secret, and the queue is in its region."""  # R36
    china = ARN.replace("arn:aws:", "arn:aws-cn:")
    assert role_arn(ARN, "r") == "arn:aws:iam::111122223333:role/ios-mdm/r"
    assert queue_arn(ARN, "dead") == QUEUE
    assert role_arn(china, "r") == "arn:aws-cn:iam::111122223333:role/ios-mdm/r"
    assert queue_arn(china, "dead") == "arn:aws-cn:sqs:eu-west-1:111122223333:dead"
    assert queue_name("berlin", "ios-mdm/berlin") == f"{name_stem('berlin', 'ios-mdm/berlin')}-dead-letters"


def test_a_schedule_ends_six_hours_after_its_time() -> None:
    """AWS retries a failed call for six hours. The end of a damaged record is unknown."""  # R36
    armed = ArmedPromotion(certificate=2, at=END)
    assert not has_ended(armed, END + RETRY_PERIOD - DAY / 86400)
    assert has_ended(armed, END + RETRY_PERIOD)
    assert not has_ended(ArmedPromotion(certificate=2, at=None), END + 100 * DAY)


def test_a_reserve_that_is_valid_later_is_promoted_then() -> None:
    """The schedule for a reserve that is not valid yet fires at its notBefore."""  # R32
    late = reserve(facts(2, issued=END + DAY))
    promote = planned_switch(
        definition(IssueReserve(apply=AfterDays(days=5))), pair(main(), late), END - 59 * DAY
    ).promote
    assert promote is not None
    assert late.facts is not None
    assert promote.at == late.facts.not_before
    short = reserve(facts(2, issued=END - 60 * DAY, days=30))
    assert planned_switch(definition(), pair(main(), short), END - 59 * DAY).promote is None


@pytest.mark.parametrize("source", list(Source))
def test_the_alarm_for_what_is_due_comes_three_days_after(source: Source) -> None:
    """There is an alarm if a reserve waits or is issued automatically; otherwise no change can be late."""  # R3 R5 R11
    steady = planned_switch(definition(), pair(main(facts(1, source=source))), START)
    if source is Source.ISSUED:
        assert steady.overdue is not None
        assert steady.overdue.at == END - 60 * DAY + 3 * DAY
        assert f"a reserve was to be issued on {END - 60 * DAY:%Y-%m-%d %H:%M} UTC" in steady.overdue.message
    else:
        assert steady.overdue is None
    assert steady.expiry is not None
    assert steady.expiry.at == END - 30 * DAY
    assert planned_switch(definition(NoReserve()), pair(main()), START).overdue is None
    overlap = planned_switch(definition(), OVERLAP, END - 59 * DAY)
    assert overlap.overdue is not None
    assert overlap.overdue.at == END - LEAD + 3 * DAY


@pytest.mark.parametrize("source", Source)
def test_the_alarms_of_an_endless_main_stay_in_the_calendar(source: Source) -> None:
    """Main ends with the year 9999, where its reserve is applied. An alarm three days later is not possible."""
    endless = replace(facts(1, source=source), not_after=LAST)
    plan = planned_switch(definition(), pair(main(endless), reserve(replace(RESERVED, not_after=LAST))), END)
    assert plan.promote is not None
    assert plan.promote.at == LAST - LEAD
    assert plan.overdue is not None
    assert plan.overdue.at == LAST
    assert plan.expiry is not None
    assert plan.expiry.at == LAST - 30 * DAY
    alone = planned_switch(definition(NoReserve()), pair(main(endless)), END)
    assert alone.expiry == replace(plan.expiry, message=alone.expiry.message if alone.expiry else "")


def test_with_a_successor_the_alarm_is_about_the_successors_expiry() -> None:
    """The alarm is for the expiry of the last certificate, so that an ordinary switch raises no alarm."""  # R5
    found = planned_switch(definition(), OVERLAP, END - 59 * DAY)
    assert found.expiry is not None
    assert found.expiry.at == RESERVED.not_after + timedelta(seconds=1) - 30 * DAY
    assert "certificate 2" in found.expiry.message


@pytest.mark.parametrize("source", list(Source))
def test_the_alarms_of_a_short_lived_certificate_are_in_its_windows(source: Source) -> None:
    """The default windows are shares of the validity of the last certificate."""  # R3 R5 R49
    known = facts(1, source=source, days=48)
    end = known.not_after + timedelta(seconds=1)
    found = planned_switch(definition(), pair(main(known)), START)
    assert found.expiry is not None
    assert found.expiry.at == end - 8 * DAY
    assert (found.overdue is None) == (source is Source.INSTALLED)
    if found.overdue is not None:
        assert found.overdue.at == end - 16 * DAY + 3 * DAY
    long_reserve = reserve(facts(2, issued=end - 16 * DAY))
    followed = planned_switch(definition(), pair(main(known), long_reserve), end - 15 * DAY)
    assert followed.expiry is not None
    assert long_reserve.facts is not None
    assert followed.expiry.at == long_reserve.facts.not_after + timedelta(seconds=1) - 30 * DAY


def test_after_a_promotion_the_next_cycle_is_armed() -> None:
    """The alarm for the next reserve follows the dates of the new main."""  # R12
    promoted = pair(version(facts(1), Role.MAIN, Label.FORMER), main(RESERVED))
    found = planned_switch(definition(), promoted, END)
    assert found.promote is None
    assert found.overdue is not None
    assert found.overdue.at == RESERVED.not_after + timedelta(seconds=1) - 57 * DAY


def test_names_fit_and_are_the_same_every_time() -> None:
    """A name depends on the server and its secret alone, and has at most 64 characters that AWS allows."""
    made = schedule_names("a" * 63, "ios-mdm/" + "a" * 63)
    assert len({*made.values()}) == len(Kind)
    for name in made.values():
        assert re.fullmatch(r"[0-9A-Za-z_.-]{1,64}", name)
    assert len(name_stem("a" * 63, "x")) + len("-dead-letters") <= 64
    assert schedule_names("berlin", "ios-mdm/berlin")[Kind.PROMOTE] == "ios-mdm-berlin-288f4f2489-promote"
    assert schedule_names("berlin", "other/berlin") != schedule_names("berlin", "ios-mdm/berlin")


def test_an_alarm_says_which_server_and_what_to_do() -> None:
    """An alarm is a JSON message for an SNS topic or an SQS queue."""
    alarm = Alarm(at=START, message="berlin: do this")
    made = alarm_schedule(
        alarm, kind=Kind.OVERDUE, name="n", server="berlin", target=TOPIC, role=ROLE, dead_letter=QUEUE
    )
    assert json.loads(made.input) == {
        "source": "ios-mdm",
        "alarm": "overdue",
        "server": "berlin",
        "message": "berlin: do this",
    }
    assert (made.target, made.at) == (TOPIC, START)


def test_the_role_may_do_this_and_nothing_else() -> None:
    """The role allows one action on one secret, and messages to queue and topic, to Scheduler of this account only."""
    (move, dead, alarm) = json.loads(role_policy(ARN, dead_letter=QUEUE, alarm=TOPIC))["Statement"]
    assert (move["Action"], move["Resource"]) == ("secretsmanager:UpdateSecretVersionStage", ARN)
    assert (dead["Action"], dead["Resource"]) == ("sqs:SendMessage", QUEUE)
    assert (alarm["Action"], alarm["Resource"]) == ("sns:Publish", TOPIC)
    assert len(json.loads(role_policy(ARN, dead_letter=QUEUE, alarm=None))["Statement"]) == 2
    to_queue = json.loads(role_policy(ARN, dead_letter=QUEUE, alarm=QUEUE + "-alarms"))["Statement"][2]
    assert to_queue["Action"] == "sqs:SendMessage"
    (trust,) = json.loads(role_trust(ARN))["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "111122223333",
        "aws:SourceArn": "arn:aws:scheduler:eu-west-1:111122223333:schedule-group/default",
    }
