"""``status``: the states of devices, and the devices that can lose their connection at a switch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ios_mdm.app.status.lost import MAX_NAMES
from ios_mdm.core.ledger.values import AnswerStatus
from tests.support.events import record_device
from tests.support.sent_stack import DEVICES

if TYPE_CHECKING:
    from tests.support.sent_stack import Stack

SWITCH = {"days": 366 + 30, "minutes": -5}
"""Time from the issue of the pair to the switch, which is one day before main expires."""


def server(stack: Stack) -> dict[str, Any]:
    """Return the JSON of the server."""
    (found,) = json.loads(stack.run("status", "--server", "berlin", "--json").out)["servers"]
    return dict(found)


def messages(stack: Stack, reason: str) -> list[str]:
    """Return the messages of the notices with this reason."""
    return [one["message"] for one in server(stack)["notices"] if one["reason"] == reason]


def answer(stack: Stack) -> None:
    """A-1 has the certificates, A-2 acknowledges the profile, A-3 fails, and A-4 does not answer."""
    stack.answer("A-1", AnswerStatus.ACKNOWLEDGED)
    stack.report_certificates("A-1")
    stack.answer("A-2", AnswerStatus.ACKNOWLEDGED)
    stack.answer("A-3", AnswerStatus.ERROR)


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        ({}, "2 of 4 devices acknowledged the profile (proof is not configured)"),
        ({"proof": {"certificateList": True}}, "1 of 4 devices proved that they have the profile"),
    ],
    ids=["without-proof", "with-proof"],
)
def test_an_acknowledged_profile_is_not_called_installed(stack: Stack, proof: dict[str, Any], words: str) -> None:
    """The text says what is known: the device proved the profile, or only acknowledged it."""  # R44
    answer(stack)
    stack.define(**proof)
    shown = " ".join(stack.run("status").out.replace("│", " ").split())
    assert words in shown
    assert "states 1 queued, 1 acknowledged, 1 proved, 1 failed" in shown
    assert "have the profile" not in shown.replace("proved that they have the profile", "")
    found = server(stack)["distribution"]
    assert found["proof"] is bool(proof)
    assert {state: count for state, count in found["states"].items() if count} == {
        "queued": 1,
        "acknowledged": 1,
        "proved": 1,
        "failed": 1,
    }
    assert [found[key] for key in ("devices", "acknowledged", "pending", "errors", "notSent")] == [4, 2, 1, 1, 0]
    missing = [one["id"] for one in found["missing"]]
    assert missing == (["A-2", "A-3", "A-4"] if proof else ["A-3", "A-4"])


def test_the_devices_that_a_switch_loses_are_named_from_30_days_before(stack: Stack) -> None:
    """The warning has each device with its state, and the time of the switch. The JSON has the whole list."""  # R45
    answer(stack)
    stack.pair.later(**SWITCH)
    stack.pair.later(days=-30, seconds=-1)
    assert (messages(stack, "lost-devices"), server(stack)["distribution"]["lost"]) == ([], None)
    stack.pair.later(seconds=1)
    (message,) = messages(stack, "lost-devices")
    assert message == (
        "certificate 2 becomes main on 2041-01-30 23:55 UTC, but 2 of 4 devices have not acknowledged its profile, and "
        "can lose their connection then: A-3 (failed: no space), A-4 (silent)"
    )
    (notice,) = [one for one in server(stack)["notices"] if one["reason"] == "lost-devices"]
    assert (notice["severity"], notice["due"]) == ("warning", "2041-01-30T23:55:00Z")
    assert server(stack)["distribution"]["lost"] == {
        "certificate": 2,
        "at": "2041-01-30T23:55:00Z",
        "count": 2,
        "devices": [
            {"id": "A-3", "status": "failed", "detail": "no space"},
            {"id": "A-4", "status": "silent", "detail": ""},
        ],
    }
    stack.define(proof={"certificateList": True})
    (message,) = messages(stack, "lost-devices")
    assert "3 of 4 devices have not proved that they have its root" in message
    assert "A-2 (acknowledged), A-3 (failed: no space), A-4 (silent)" in message


def test_an_overdue_switch_names_the_devices_too(stack: Stack) -> None:
    """The reserve becomes main with the next run."""  # R45
    answer(stack)
    stack.pair.later(**SWITCH)
    stack.pair.later(minutes=1)
    (message,) = messages(stack, "lost-devices")
    assert message.endswith("A-3 (failed: no space), A-4 (silent)")


def test_no_device_is_lost_if_all_have_the_reserve(stack: Stack) -> None:
    """Devices that left have no connection."""  # R45
    for device in DEVICES[:-1]:
        stack.answer(device, AnswerStatus.ACKNOWLEDGED)
    stack.pair.later(**SWITCH)
    stack.pair.later(days=-1)
    record_device(stack.ledger, DEVICES[-1], enrolled=False, at=stack.pair.clock.now())
    assert messages(stack, "lost-devices") == []
    assert server(stack)["distribution"]["lost"]["count"] == 0


def test_a_profile_with_the_reserve_counts_even_if_the_pair_needs_another_one(stack: Stack) -> None:
    """Another organization changes the profile, and not what a device trusts."""  # R45
    for device in DEVICES:
        stack.answer(device, AnswerStatus.ACKNOWLEDGED)
    stack.pair.later(**SWITCH)
    stack.pair.later(days=-1)
    stack.define(profile={"identifier": "com.example.mdm", "organization": "Example"})
    found = server(stack)
    assert found["distribution"]["notSent"] == 4
    assert found["distribution"]["lost"]["count"] == 0
    (message,) = messages(stack, "other-profile")
    assert message == (
        "the published profile (revision 1) is not the one that the pair needs now, so devices count as not sent: run "
        "`pulumi up`"
    )


def test_a_reserve_that_no_profile_has_loses_each_device(stack: Stack) -> None:
    """It is in the pair, but was not sent yet."""  # R45
    for device in DEVICES:
        stack.answer(device, AnswerStatus.ACKNOWLEDGED)
    stack.issue_reserve()
    stack.pair.later(**SWITCH)
    stack.pair.later(days=-1)
    assert server(stack)["distribution"]["lost"]["count"] == 4


def test_a_long_list_ends_with_the_command_for_the_rest(stack: Stack) -> None:
    """The notice is short for any fleet."""  # R45
    stack.define(devices=[f"D-{number:03}" for number in range(MAX_NAMES + 5)])
    stack.pair.later(**SWITCH)
    stack.pair.later(days=-1)
    (message,) = messages(stack, "lost-devices")
    assert message.count("(not-sent)") == MAX_NAMES
    assert message.endswith("and 5 more: `ios-mdm devices --server berlin --state not-sent` lists all")
    assert len(server(stack)["distribution"]["lost"]["devices"]) == MAX_NAMES + 5


def test_devices_that_left_are_counted_but_are_no_devices_of_a_ledger(stack: Stack) -> None:
    """With a list, a device that left is missing until it is removed from the list."""  # R42 R44
    for device in DEVICES:
        record_device(stack.ledger, device, enrolled=True, at=stack.pair.clock.now())
        stack.answer(device, AnswerStatus.ACKNOWLEDGED)
    stack.pair.later(minutes=1)
    record_device(stack.ledger, "A-4", enrolled=False, at=stack.pair.clock.now())
    listed = server(stack)["distribution"]
    stack.define(devices={"ledger": True})
    known = server(stack)["distribution"]
    assert (listed["devices"], listed["notSent"], listed["states"]["gone"]) == (4, 1, 1)
    assert [one["id"] for one in listed["missing"]] == ["A-4"]
    assert (known["devices"], known["notSent"], known["states"]["gone"], known["missing"]) == (3, 0, 1, [])


def test_ids_that_cannot_be_right_are_reported(stack: Stack) -> None:
    """The notices are those of `ios-mdm devices`."""  # R45
    record_device(stack.ledger, "A-1", enrolled=True, at=stack.pair.clock.now())
    stack.define(devices=["a-1", "B", "b", "C"])
    for reason, words in (
        ("ids-other-case", "a-1 (enrolled as A-1)"),
        ("ids-twice", "B and b"),
        ("ids-unknown", "1 device is unknown to the MDM server, or not seen since the collector started: C"),
    ):
        (message,) = messages(stack, reason)
        assert words in message


def test_a_ledger_that_cannot_be_read_makes_the_coverage_unknown(stack: Stack) -> None:
    """All figures are null, and no device is missing or lost."""  # R41
    stack.ledger.path.write_bytes(b"no database")
    found = server(stack)
    assert "coverage" in [one["reason"] for one in found["notices"]]
    assert found["distribution"] == {
        "profile": None,
        "proof": False,
        **dict.fromkeys(("devices", "states", "acknowledged", "pending", "errors", "notSent")),
        "missing": [],
        "lost": None,
    }


def test_without_a_ledger_the_coverage_is_unknown(stack: Stack) -> None:
    """The digest of the profile is known."""  # R41
    config = yaml.safe_load(stack.file.read_text(encoding="utf-8"))
    del config["config"]["ios-mdm:servers"][0]["distribution"]["ledger"]
    stack.file.write_text(yaml.safe_dump(config), encoding="utf-8")
    found = server(stack)
    assert messages(stack, "no-ledger")
    assert found["distribution"]["profile"] is not None
    assert found["distribution"]["states"] is None
