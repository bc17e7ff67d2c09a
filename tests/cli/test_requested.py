"""``verify`` and ``resend``: which devices are sent a command, and when nothing is sent."""

from __future__ import annotations

import json
import plistlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import yaml

from ios_mdm.core.ledger.values import AnswerStatus
from ios_mdm.core.pair.layout import OWNER_TAG, RESOURCE_ID_TAG
from tests.support.pairs import SECRET
from tests.support.sent_stack import DEVICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.sent_stack import Stack


def test_failed_and_silent_devices_are_sent_the_published_profile(stack: Stack) -> None:
    """A new command with the same bytes. The output has the count of each state, and what follows."""  # R45
    commands, published = set(stack.mdm.known), stack.ledger.publication("berlin")
    assert published is not None
    stack.answer("A-1", AnswerStatus.ACKNOWLEDGED)
    stack.answer("A-2", AnswerStatus.ERROR)
    stack.pair.later(minutes=1)
    assert stack.run("resend").out == (
        "berlin: profile queued again for 1 of 4 devices (1 failed); devices answer when they connect: see "
        "`ios-mdm status`\n"
    )
    assert stack.mdm.latest == {"A-2": published.profile}
    assert stack.mdm.known > commands
    assert stack.mdm.asked == []
    stack.pair.later(days=8)
    found = stack.run("resend", "--server", "berlin", "--json")
    (server,) = json.loads(found.out)["servers"]
    assert (found.code, server["queued"], server["states"]) == (0, 3, {"silent": 3})
    assert server["profile"] == published.digest
    assert "none of 4 devices is selected" in stack.run("resend").out
    assert stack.mdm.latest == {}


def test_states_and_ids_select_devices(stack: Stack) -> None:
    """An id selects a device in any state."""
    stack.answer("A-1", AnswerStatus.ACKNOWLEDGED)
    assert stack.run("resend", "--state", "acknowledged").code == 0
    assert set(stack.mdm.latest) == {"A-1"}
    assert stack.run("resend", "A-1", "A-3").code == 0
    assert set(stack.mdm.latest) == {"A-1", "A-3"}
    assert stack.run("resend", "--state", "queued", "A-1", "A-3").code == 0
    assert set(stack.mdm.latest) == {"A-3"}


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("a-1",), "'a-1' is not a device of the definition: the definition has A-1"),
        (("B-1", "B-2"), "'B-1' and 1 more is not a device of the definition: check `distribution.devices`"),
        (("A-1", "A-1"), "'A-1' is given twice: name each device once"),
    ],
)
def test_an_unknown_or_doubled_id_is_refused(stack: Stack, ids: tuple[str, ...], words: str) -> None:
    """Nothing is sent to the other devices."""  # R45
    found = stack.run("resend", *ids)
    assert (found.code, found.out, stack.mdm.latest) == (2, "", {})
    assert words in found.err


@pytest.mark.parametrize("command", ["resend", "verify"])
def test_a_profile_that_up_publishes_meanwhile_is_sent_after_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A device keeps the profile that it is sent last. A request for certificates changes no profile."""  # R16 R45
    enqueue, former = stack.mdm.enqueue, stack.ledger.publication("berlin")
    assert former is not None
    content = plistlib.dumps({**plistlib.loads(former.profile), "PayloadOrganization": "Example"})
    stack.mdm.batch_size = 2

    def enqueue_and_publish(enrollment_ids: Sequence[str], payload: bytes) -> tuple[str, ...]:
        stack.ledger.publish(
            "berlin",
            content,
            certificates=former.certificates,
            seed=UUID(int=7),
            at=stack.pair.clock.now(),
            channel=former.channel,
        )
        return enqueue(enrollment_ids, payload)

    monkeypatch.setattr(type(stack.mdm), "enqueue", lambda _queue, *arguments: enqueue_and_publish(*arguments))
    stack.pair.later(minutes=1)
    arguments = [command, *DEVICES[:3]] if command == "resend" else [command]
    found = stack.run(*arguments)
    assert found.code == 0
    assert stack.mdm.latest == (dict.fromkeys(DEVICES[:3], content) if command == "resend" else {})
    if command == "resend":
        assert "profile queued again for 3 of 4 devices (3 queued)" in found.out
        assert "`up` published another profile meanwhile: it is queued, too" in found.err


def test_devices_without_a_proof_are_asked(stack: Stack) -> None:
    """Each call is a new request. With --all, each device is asked."""  # R44
    stack.answer("A-1", AnswerStatus.ACKNOWLEDGED)
    stack.report_certificates("A-1")
    stack.pair.later(minutes=1)
    found = stack.run("verify")
    assert found.out == (
        "berlin: asked for the certificates of 3 of 4 devices (3 queued); devices answer when they connect: see "
        "`ios-mdm status`\n"
    )
    assert stack.mdm.asked == ["A-2", "A-3", "A-4"]
    stack.pair.later(minutes=1)
    assert stack.run("verify").code == 0
    assert stack.mdm.asked == ["A-2", "A-3", "A-4"]
    assert stack.run("verify", "--all", "--json").code == 0
    assert stack.mdm.asked == list(DEVICES)
    assert stack.mdm.latest == {}


def test_a_request_without_a_record_is_not_taken_for_a_repetition(stack: Stack) -> None:
    """A request whose record was lost, because the run was killed, is followed by a new command."""  # R44
    ledger = stack.file.parent / "ledger.sqlite"
    former = ledger.read_bytes()
    assert stack.run("verify").code == 0
    ledger.write_bytes(former)
    stack.pair.later(minutes=1)
    assert stack.run("verify").code == 0
    assert stack.mdm.asked == list(DEVICES)


def test_with_proof_a_resent_profile_is_followed_by_a_request(stack: Stack) -> None:
    """As in `up`."""  # R44
    stack.define(proof={"certificateList": True})
    assert stack.run("resend", "A-4").code == 0
    assert (set(stack.mdm.latest), stack.mdm.asked) == ({"A-4"}, ["A-4"])


def test_a_failure_has_the_number_of_devices(stack: Stack) -> None:
    """A repetition continues with the other devices."""
    stack.mdm.batch_size, stack.mdm.calls_left = 3, 1
    found = stack.run("resend", *DEVICES)
    assert found.code == 2
    assert "is down. The command is queued for 3 of 4 devices: run the command again" in found.err


def foreign_owner(stack: Stack) -> None:
    """Another stack takes the pair over."""
    stack.pair.store.tag(SECRET, {OWNER_TAG: "organization/ios-mdm/other"})


def released_pair(stack: Stack) -> None:
    """The stack is destroyed."""
    stack.pair.store.untag(SECRET, [RESOURCE_ID_TAG])


def deleted_secret(stack: Stack) -> None:
    """The secret is deleted."""
    stack.pair.store.delete(SECRET, recovery_window_days=30)


def another_reserve(stack: Stack) -> None:
    """Another run adds a certificate that devices must trust."""
    stack.issue_reserve()


def another_channel(stack: Stack) -> None:
    """The definition names another MDM server."""
    stack.define(channel={"nanomdm": {"url": "https://new.example.com", "apiKeySecret": "mdm/api-key"}})


def another_identifier(stack: Stack) -> None:
    """The definition names another profile."""
    stack.define(profile={"identifier": "com.example.other"})


def enrollment_profile(stack: Stack) -> None:
    """Another program publishes an enrollment profile."""
    found = stack.ledger.publication("berlin")
    assert found is not None
    content = found.profile.replace(b"com.apple.security.root", b"com.apple.mdm")
    stack.ledger.publish(
        "berlin", content, certificates=found.certificates, seed=found.seed, at=found.at, channel=found.channel
    )


def lost_ledger(stack: Stack) -> None:
    """The ledger is lost."""
    stack.ledger.path.unlink()


def no_ledger(stack: Stack) -> None:
    """The definition names no ledger."""
    config = yaml.safe_load(stack.file.read_text(encoding="utf-8"))
    del config["config"]["ios-mdm:servers"][0]["distribution"]["ledger"]
    stack.file.write_text(yaml.safe_dump(config), encoding="utf-8")


REFUSALS = {
    foreign_owner: "belongs to the stack organization/ios-mdm/other, and the definition to the stack ios-mdm/demo",
    released_pair: "belongs to no stack",
    deleted_secret: "is scheduled for deletion",
    another_reserve: "does not cover certificate",
    another_channel: "is for the MDM server https://mdm.example.com, but the definition names https://new.example.com",
    another_identifier: "and the profile of its pair com.example.other.",
    enrollment_profile: "is not sent, because it has a payload of the type com.apple.mdm",
    lost_ledger: "the ledger has no published profile of server berlin: run `pulumi up`",
    no_ledger: "no server has distribution.ledger",
}


@pytest.mark.parametrize("change", REFUSALS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("command", [("resend", *DEVICES), ("verify", "--all")], ids=lambda one: one[0])
def test_a_profile_that_must_not_be_used_is_refused(stack: Stack, command: tuple[str, ...], change: Any) -> None:
    """Nothing is sent: not the profile of another stack, pair or MDM server, and no profile that enrolls a device."""
    # R34 R35 R43
    change(stack)
    found = stack.run(*command)
    assert (found.code, found.out, stack.mdm.latest, stack.mdm.asked) == (2, "", {}, [])
    assert REFUSALS[change] in found.err


def test_the_stack_of_a_list_of_servers_is_unknown(stack: Stack) -> None:
    """A list of servers has no stack, so its name is not compared."""
    servers = yaml.safe_load(stack.file.read_text(encoding="utf-8"))["config"]["ios-mdm:servers"]
    stack.file.write_text(yaml.safe_dump(servers), encoding="utf-8")
    foreign_owner(stack)
    assert stack.run("verify").code == 0
