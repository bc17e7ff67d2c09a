"""``devices``: its table, its CSV, its JSON, its notices and its exit codes."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ios_mdm import wiring
from ios_mdm.cli import devices as work
from ios_mdm.core.ledger.values import AnswerStatus
from ios_mdm.errors import StoreError
from tests.support.events import record_answer, record_device
from tests.support.memory import MemorySecretStore
from tests.support.pairs import SECRET
from tests.support.sent_stack import DEVICES

if TYPE_CHECKING:
    from tests.support.sent_stack import Stack


def answer(stack: Stack) -> None:
    """A-1 has the certificates, A-2 acknowledges the profile, A-3 fails, and A-4 does not answer."""
    for device in DEVICES:
        record_device(stack.ledger, device, enrolled=True, at=stack.pair.clock.now())
    stack.answer("A-1", AnswerStatus.ACKNOWLEDGED)
    stack.report_certificates("A-1")
    stack.answer("A-2", AnswerStatus.ACKNOWLEDGED)
    stack.answer("A-3", AnswerStatus.ERROR)


def test_the_table_has_each_device(stack: Stack) -> None:
    """The first line says that an acknowledged profile is no proof. A device without the profile is a warning."""
    # R44 R45
    answer(stack)
    found = stack.run("devices")
    assert (found.code, found.err) == (1, "")
    lines = [line.split() for line in found.out.splitlines()]
    assert found.out.splitlines()[0] == (
        "berlin (mdm.example.com): 2 of 4 devices acknowledged the profile (proof is not configured): 1 queued, "
        "1 acknowledged, 1 proved, 1 failed"
    )
    assert lines[1] == ["ID", "STATE", "SINCE", "LAST", "SEEN", "REVISION", "REASON"]
    now = f"{stack.pair.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    assert lines[2:] == [
        ["A-1", "proved", now, now, "1"],
        ["A-2", "acknowledged", now, now, "1"],
        ["A-3", "failed", now, now, "1", "no", "space"],
        ["A-4", "queued", now, now, "1"],
    ]


def test_states_select_devices_and_do_not_change_the_counts(stack: Stack) -> None:
    """With proof, an acknowledged device does not have the profile. The exit code is that of all devices."""  # R44
    answer(stack)
    stack.define(proof={"certificateList": True})
    found = stack.run("devices", "--state", "failed", "--state", "proved", "--server", "berlin")
    assert found.code == 1
    assert "1 of 4 devices proved that they have the profile: 1 queued" in found.out
    assert [line.split()[0] for line in found.out.splitlines()[2:]] == ["A-1", "A-3"]
    assert len(stack.run("devices", "--state", "gone").out.splitlines()) == 1


def test_json_has_the_values_of_the_table(stack: Stack) -> None:
    """Times are RFC 3339. A silent device is silent since it was last seen."""  # R45
    answer(stack)
    published = stack.ledger.publication("berlin")
    assert published is not None
    last = f"{stack.pair.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    stack.pair.later(days=8)
    answer_ = json.loads(stack.run("devices", "--json", "--state", "silent").out)
    device = {"id": "A-4", "state": "silent", "since": last, "lastSeen": last, "revision": 1, "reason": None}
    (server,) = answer_["servers"]
    states = server.pop("states")
    assert answer_["severity"] == "warning"
    assert server == {
        "name": "berlin",
        "profile": published.digest,
        "revision": 1,
        "proof": False,
        "notices": [],
        "devices": [device],
    }
    assert {state: count for state, count in states.items() if count} == {
        "acknowledged": 1,
        "proved": 1,
        "failed": 1,
        "silent": 1,
    }


@pytest.mark.parametrize(
    ("reason", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        (" \uff1d1+1", "' \uff1d1+1"),
        ('a,"b"\n=1', 'a,"b"?=1'),
        ("no \x1b[2J", "no ?[2J"),
        ("-", "'-"),
        ("1=1", "1=1"),
    ],
)
def test_a_spreadsheet_evaluates_no_cell(stack: Stack, reason: str, cell: str) -> None:
    """Ids and reasons are texts from outside. A cell that a spreadsheet would evaluate starts with an apostrophe."""
    # R39
    stack.define(devices=["@SUM.1.", "+A-1"])
    (uuid, *_) = [uuid for one, uuid in stack.mdm.known if one == "A-1"]
    record_answer(stack.ledger, uuid, "+A-1", AnswerStatus.ERROR, detail=reason, at=stack.pair.clock.now())
    rows = list(csv.reader(io.StringIO(stack.run("devices", "--csv").out)))
    assert rows[0] == ["server", "id", "state", "since", "lastSeen", "revision", "reason"]
    assert [row[:3] for row in rows[1:]] == [["berlin", "'+A-1", "failed"], ["berlin", "'@SUM.1.", "not-sent"]]
    assert rows[1][-1] == cell


def test_the_devices_of_a_ledger_are_listed_without_a_list(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that left are listed, but do not count. The list of ids is not read, which needs memory."""  # R45
    answer(stack)
    stack.pair.later(minutes=1)
    record_device(stack.ledger, "A-3", enrolled=False, at=stack.pair.clock.now())
    record_device(stack.ledger, "A-4", enrolled=False, at=stack.pair.clock.now())
    stack.define(devices={"ledger": True})
    monkeypatch.setattr(type(stack.ledger), "enrolled_ids", lambda _self: pytest.fail("ids were read"))
    found = stack.run("devices")
    assert found.code == 0
    assert "2 of 2 devices acknowledged the profile" in found.out
    assert [line.split()[:2] for line in found.out.splitlines()[-2:]] == [["A-3", "gone"], ["A-4", "gone"]]


def test_a_long_list_is_printed_while_it_is_read(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first devices are printed before the last ones are read."""
    lines = "".join(f"D-{number:05}\n" for number in range(12_000))
    (stack.file.parent / "devices.txt").write_text(lines, encoding="utf-8")
    stack.define(devices={"file": "devices.txt"})
    read: list[str] = []
    printed: list[int] = []
    records = type(stack.ledger).devices

    def counted(*arguments: Any, **more: Any) -> Any:
        for one in records(*arguments, **more):
            read.append(one.enrollment_id)
            yield one

    def noted(parts: Any) -> None:
        printed.extend(len(read) for _ in parts)

    monkeypatch.setattr(type(stack.ledger), "devices", counted)
    monkeypatch.setattr(work, "echo_parts", noted)
    assert stack.run("devices", "--json").code == 1
    assert max(after - before for before, after in pairwise(printed)) <= 2


def test_the_ids_that_cannot_be_right_are_reported_once_each(stack: Stack) -> None:
    """In another case, twice, and unknown: one notice each, with a count and at most three ids."""  # R45
    answer(stack)
    stack.define(devices=["A-1", "a-2", "a-3", "B", "b", "X-1", "X-2", "X-3", "X-4"])
    twice, other_case, unknown = stack.run("devices").err.splitlines()
    assert twice == (
        "warning: berlin: distribution.devices: 1 device is listed twice, in different case: B and b. Keep the "
        "spelling of the MDM server"
    )
    assert other_case == (
        "warning: berlin: distribution.devices: 2 devices are enrolled with the same id in another case: a-2 (enrolled "
        "as A-2), a-3 (enrolled as A-3). Correct the ids, because the MDM server distinguishes case"
    )
    assert unknown == (
        "notice: berlin: distribution.devices: 4 devices are unknown to the MDM server, or not seen since the "
        "collector started: X-1, X-2, X-3 and 1 more. Check whether the ids are correct"
    )
    (server,) = json.loads(stack.run("devices", "--json").out)["servers"]
    assert [one["reason"] for one in server["notices"]] == ["ids-twice", "ids-other-case", "ids-unknown"]


def test_a_device_that_left_or_answered_is_known(stack: Stack) -> None:
    """Any event of a device shows that the MDM server has it."""  # R45
    record_device(stack.ledger, "A-1", enrolled=True, at=stack.pair.clock.now())
    record_device(stack.ledger, "A-2", enrolled=False, at=stack.pair.clock.now())
    stack.answer("A-3", AnswerStatus.ACKNOWLEDGED)
    (line,) = stack.run("devices").err.splitlines()
    assert "1 device is unknown to the MDM server, or not seen since the collector started: A-4." in line


def test_without_any_event_no_device_is_called_unknown(stack: Stack) -> None:
    """The collector might not run yet."""  # R45
    assert stack.run("devices").err == ""


def test_unknown_lines_of_a_file_are_not_shown(stack: Stack) -> None:
    """A definition can name any file, and a password can look like an enrollment id."""  # R39
    answer(stack)
    (stack.file.parent / "devices.txt").write_text("A-1\na-2\nhunter2\nHunter2\nsecret\n", encoding="utf-8")
    stack.define(devices={"file": "devices.txt"})
    found = stack.run("devices")
    assert "hunter" not in found.err.lower()
    assert "secret" not in found.err
    assert "a-2 (enrolled as A-2)" in found.err
    assert "distribution.devices.file: devices.txt: 1 device is unknown" in found.err


def test_a_profile_that_the_pair_does_not_need_counts_for_no_device(stack: Stack) -> None:
    """As in `status`: after another reserve is issued, devices count as not sent until `up` sends its profile."""
    # R15 R44
    stack.answer("A-1", AnswerStatus.ACKNOWLEDGED)
    stack.issue_reserve()
    found = stack.run("devices")
    assert found.code == 1
    assert "0 of 4 devices" in found.out
    assert "4 not-sent" in found.out
    assert (
        "notice: berlin: the published profile (revision 1) is not the one that the pair needs now, so devices count "
        "as not sent: run `pulumi up`"
    ) in found.err


def test_a_profile_with_another_identifier_counts_for_no_device(stack: Stack) -> None:
    """Devices keep a profile with the former identifier, and `up` sends them the one of the definition."""  # R15 R44
    stack.answer("A-1", AnswerStatus.ACKNOWLEDGED)
    assert "1 of 4 devices" in stack.run("devices").out
    stack.define(profile={"identifier": "com.example.other"})
    found = stack.run("devices")
    assert "0 of 4 devices" in found.out
    assert "is not the one that the pair needs now" in found.err


def test_without_aws_the_devices_are_listed_with_a_warning(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The states are those of the published profile. No private key is read."""  # R29 R44
    for device in DEVICES:
        stack.answer(device, AnswerStatus.ACKNOWLEDGED)
    assert stack.run("devices").code == 0

    def denied(*_arguments: object) -> None:
        raise StoreError("access denied")

    monkeypatch.setattr(MemorySecretStore, "describe", denied)
    found = stack.run("devices")
    assert found.code == 1
    assert "4 of 4 devices acknowledged the profile" in found.out
    assert "warning: berlin: the pair cannot be read, so the states are those of the profile that was" in found.err
    assert "access denied" in found.err


def test_no_secret_value_is_read(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tags of the pair are enough."""  # R29
    monkeypatch.setattr(MemorySecretStore, "read", lambda *_arguments: pytest.fail("a value was read"))
    assert stack.run("devices").code == 1


def test_a_ledger_that_is_missing_is_unknown(stack: Stack) -> None:
    """The error names the ledger and what to do. The file is not created."""  # R41
    stack.ledger.path.unlink()
    found = stack.run("devices")
    assert (found.code, found.out) == (3, "")
    assert "the ledger sqlite:///ledger.sqlite does not exist or has no record: run `pulumi up`, start" in found.err
    assert not stack.ledger.path.exists()
    (server,) = json.loads(stack.run("devices", "--json").out)["servers"]
    assert server["notices"][0]["severity"] == "unknown"


def test_devices_that_enrolled_before_the_first_profile_are_listed(stack: Stack) -> None:
    """A collector can run before the first `up`."""  # R41
    stack.ledger.path.unlink()
    record_device(stack.ledger, "A-1", enrolled=True, at=stack.pair.clock.now())
    found = stack.run("devices")
    assert found.code == 1
    assert "4 not-sent" in found.out
    assert "notice: berlin: the ledger has no published profile of this server" in found.err


def test_a_server_whose_devices_cannot_be_read_does_not_hide_the_others(stack: Stack) -> None:
    """Its error is on stderr, and the exit code is 3."""
    config = yaml.safe_load(stack.file.read_text(encoding="utf-8"))
    (berlin, plain) = config["config"]["ios-mdm:servers"]
    other = {**berlin["distribution"], "devices": {"file": "none.txt"}, "profile": {"identifier": "com.example.other"}}
    config["config"]["ios-mdm:servers"] = [{**plain, "distribution": other}, berlin]
    stack.file.write_text(yaml.safe_dump(config), encoding="utf-8")
    found = stack.run("devices")
    assert found.code == 3
    assert found.out.startswith("berlin (mdm.example.com): 0 of 4 devices")
    assert "none.txt" in found.err


def no_ledger(stack: Stack) -> None:
    """The definition names no ledger."""
    config = yaml.safe_load(stack.file.read_text(encoding="utf-8"))
    del config["config"]["ios-mdm:servers"][0]["distribution"]["ledger"]
    stack.file.write_text(yaml.safe_dump(config), encoding="utf-8")


def test_without_a_ledger_the_error_says_what_to_add(stack: Stack) -> None:
    """One server has a ledger. If none has one, the error names the key."""
    found = stack.run("devices", "--server", "plain")
    assert (found.code, found.out) == (3, "")
    assert "not the server plain has distribution.ledger" in found.err
    no_ledger(stack)
    found = stack.run("devices")
    assert (found.code, found.out) == (3, "")
    assert "Pulumi.demo.yaml: no server has distribution.ledger, which records the states of devices: add" in found.err


@pytest.mark.parametrize("arguments", [("--csv", "--json"), ("--state", "lost"), ("--server", "paris"), ("--bogus",)])
def test_wrong_usage_is_unknown(stack: Stack, arguments: tuple[str, ...]) -> None:
    """The exit code is 3, as that of `status`."""
    assert stack.run("devices", *arguments).code == 3


def test_devices_opens_no_endpoint(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the pair's tags and the ledger are read."""
    monkeypatch.setattr(wiring.Wiring, "probe", lambda _self: None)
    assert stack.run("devices").code == 1
    assert stack.pair.store.describe(SECRET) is not None
