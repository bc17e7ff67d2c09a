"""The gate before a switch: a reserve is applied early only if enough devices have it (R46)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.definition import AfterCurrentExpires, AfterDays, AtTime, IssueReserve, PairDefinition, When
from ios_mdm.core.pair.forecast import EventName, forecast
from ios_mdm.core.pair.layout import GATE_TAG, gate_value, observed_pair
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.observed import ObservedPair, RecordedGate
from ios_mdm.core.pair.secret import SecretDescription
from ios_mdm.core.pair.switch import OVERDUE_AFTER, Promote, switch
from tests.support.lifecycle import DAY, END, LEAD, START, definition, facts, main, pair, reserve

EARLY = START + 30 * DAY
LATEST = END - LEAD
AFTER_30_DAYS = AfterDays(days=30)


def gated_definition(apply: AfterDays | AtTime | AfterCurrentExpires = AFTER_30_DAYS) -> PairDefinition:
    """Return a definition with a gate at 95 percent."""
    one = definition(IssueReserve(when=When.NOW, apply=apply))
    return replace(one, promotion=replace(one.promotion, minimum_coverage=95))


def pair_with_gate(record: RecordedGate | None = None) -> ObservedPair:
    """Return a pair with main and reserve, and this record of the gate."""
    return replace(pair(main(), reserve()), gate=record)


def promotion(wish: PairDefinition, found: ObservedPair) -> Promote:
    """Return the planned promotion on the day after the issue."""
    promote = switch(wish, desired_state(wish, found, START + DAY), found).promote
    assert promote is not None
    return promote


OPEN = RecordedGate(certificate=2, is_open=True, since=START)


@pytest.mark.parametrize(
    "record",
    [
        None,
        replace(OPEN, is_open=False),
        replace(OPEN, certificate=1),
        replace(OPEN, certificate=3),
    ],
)
def test_a_closed_gate_moves_the_switch_to_the_latest_time(record: RecordedGate | None) -> None:
    """Without a record that the gate is open for this reserve, the switch is armed for main's expiry less the lead."""
    # R46
    assert promotion(gated_definition(), pair_with_gate(record)).at == LATEST
    assert promotion(gated_definition(), pair_with_gate(OPEN)).at == EARLY


@pytest.mark.parametrize("apply", [AfterCurrentExpires(), AfterDays(days=396), AtTime(time=START + 397 * DAY)])
def test_a_switch_at_mains_expiry_has_no_gate(apply: AfterCurrentExpires | AfterDays | AtTime) -> None:
    """At main's expiry the switch happens regardless of the coverage."""  # R46
    promote = promotion(gated_definition(apply), pair_with_gate())
    assert (promote.gate, promote.at) == (None, LATEST)


def test_a_renewal_under_the_same_root_has_no_gate() -> None:
    """Devices trust it already."""  # R46, R49
    current, renewed = (replace(facts(one), root=f"{7:064x}", chain="f" * 16) for one in (1, 2))
    found = pair(main(current), reserve(renewed))
    assert promotion(gated_definition(), found).at == EARLY


def test_a_run_does_not_promote_before_the_gate_is_open() -> None:
    """After the apply time, a closed gate keeps the reserve waiting, and an open one lets a run promote it."""  # R46
    now = EARLY + DAY
    sent = replace(pair_with_gate(), sent=frozenset({1, 2}))
    assert desired_state(gated_definition(), sent, now).main == 1
    assert desired_state(gated_definition(), replace(sent, gate=OPEN), now).main == 2
    assert desired_state(gated_definition(), sent, LATEST).main == 2


def test_both_decisions_are_known_before_the_gate_is_evaluated() -> None:
    """A run that evaluates the gate after the delivery arms the switch for the other time."""  # R46
    closed, opened = (
        promotion(gated_definition(), pair_with_gate()),
        promotion(gated_definition(), pair_with_gate(OPEN)),
    )
    assert closed.with_gate(is_open=True) == opened
    assert opened.with_gate(is_open=False) == closed
    assert closed.with_gate(is_open=False) == closed


def test_the_alarm_about_a_late_switch_waits_for_the_latest_time() -> None:
    """A closed gate is no reason for the alarm that no run succeeded."""  # R46
    for found in (pair_with_gate(), pair_with_gate(OPEN)):
        alarm = switch(gated_definition(), desired_state(gated_definition(), found, START + DAY), found).overdue
        assert alarm is not None
        assert alarm.at == LATEST + OVERDUE_AFTER


def test_the_record_of_a_decision_is_a_tag() -> None:
    """A tag that is damaged counts as no record, so the gate is closed."""  # R46

    def parsed(text: str) -> RecordedGate | None:
        return observed_pair("ios-mdm/berlin", SecretDescription(arn="", labels={}, tags={GATE_TAG: text})).gate

    closed = replace(OPEN, is_open=False, since=START + timedelta(seconds=1))
    for one in (OPEN, closed):
        assert parsed(gate_value(one)) == one
    assert [parsed(text) for text in ("", "2", "2 open", "2 ajar 20400101T000000Z", "2 open 20401301T000000Z")] == [
        None
    ] * 5


def test_a_closed_gate_is_a_notice_and_a_warning_after_the_early_time() -> None:
    """The notice has the condition and both times."""  # R46

    def said(found: ObservedPair, now: datetime) -> list[tuple[Severity, str]]:
        notices = desired_state(gated_definition(), replace(found, sent=frozenset({1, 2})), now).notices
        return [(one.severity, one.message) for one in notices if one.reason == "gate"]

    text = (
        "certificate 2 becomes main on 2040-01-31 00:00 UTC if at least 95 % of the devices have proved the reserve "
        "(acknowledged it, if distribution.proof is not set), otherwise as soon as they have, at the latest on "
        "2041-01-30 23:55 UTC. `ios-mdm devices` lists the others"
    )
    assert said(pair_with_gate(), EARLY - DAY) == [(Severity.NOTICE, text)]
    assert said(pair_with_gate(), EARLY) == [(Severity.WARNING, text)]
    assert said(pair_with_gate(OPEN), EARLY - DAY) == []
    assert said(pair_with_gate(), LATEST) == []


def test_a_forecast_assumes_that_devices_get_each_reserve() -> None:
    """The forecast applies each reserve at its early time, and names the condition."""  # R46
    events = forecast(gated_definition(), start=START, days=31)
    assert [one.at for one in events if one.event is EventName.APPLY_RESERVE] == [EARLY]
    text = "if at least 95 % of the devices have proved the reserve (acknowledged it, if distribution.proof is not set)"
    assert any(text in one.reason for one in events)
