"""Tests of the parser of NanoMDM's webhook events, with real, malformed and forged payloads."""

from __future__ import annotations

import base64
import json
import plistlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ios_mdm.app.collector.events import WebhookError, event_from_webhook
from ios_mdm.core.ledger.values import Answer, AnswerStatus
from tests.support.events import EVENT_TIME, event


def answer_event(status: str, **fields: Any) -> bytes:
    """Return the event of an answer to command c1."""
    return event(status=status, command_uuid="c1", **fields)


def report(*chain: Any) -> str:
    """Return a raw_payload with an ErrorChain."""
    return base64.b64encode(plistlib.dumps({"Status": "Error", "ErrorChain": list(chain)})).decode()


@pytest.mark.parametrize(
    ("posted", "words"),
    [
        ("Acknowledged", AnswerStatus.ACKNOWLEDGED),
        ("NotNow", AnswerStatus.NOT_NOW),
        ("Error", AnswerStatus.ERROR),
        ("CommandFormatError", AnswerStatus.ERROR),
    ],
)
def test_an_answer_of_a_device_is_read(posted: str, words: str) -> None:
    """The four answers to a command become the three statuses of the ledger, and show that the device is enrolled."""
    read = event_from_webhook(answer_event(posted))
    assert (read.topic, read.enrollment_id, read.enrolled) == ("mdm.Connect", "D1", True)
    assert read.answer is not None
    assert (read.answer.command_uuid, read.answer.status) == ("c1", words)


def test_an_error_has_the_words_of_the_device() -> None:
    """The whole ErrorChain is one line: description, domain and code."""
    chain = [
        {"LocalizedDescription": "Profil\nungültig", "ErrorDomain": "MCInstallation", "ErrorCode": 4001},
        {"USEnglishDescription": "invalid payload", "ErrorDomain": "MCPayload", "ErrorCode": 2002},
    ]
    read = event_from_webhook(answer_event("Error", raw_payload=report(*chain)))
    detail = "Profil ungültig (MCInstallation 4001); invalid payload (MCPayload 2002)"
    assert read.answer == Answer(command_uuid="c1", status=AnswerStatus.ERROR, detail=detail)


@pytest.mark.parametrize("payload", ["", "%%%", base64.b64encode(b"no plist").decode(), report(), report(1, "x"), 7])
def test_an_error_counts_without_its_reason(payload: object) -> None:
    """A report that cannot be read does not hide the error."""
    read = event_from_webhook(answer_event("Error", raw_payload=payload))
    assert read.answer is not None
    assert read.answer.status == AnswerStatus.ERROR


def test_a_long_reason_is_cut() -> None:
    """A device cannot fill the ledger with a long text."""
    read = event_from_webhook(answer_event("Error", raw_payload=report({"LocalizedDescription": "x" * 100_000})))
    assert read.answer is not None
    assert len(read.answer.detail) == 1000


def test_an_idle_device_only_shows_that_it_is_there() -> None:
    """Idle requests the next command. It is not an answer to a command."""
    read = event_from_webhook(event(status="Idle"))
    assert (read.topic, read.enrollment_id, read.enrolled, read.answer) == ("mdm.Connect", "D1", True, None)


@pytest.mark.parametrize(
    ("topic", "enrolled"),
    [("mdm.TokenUpdate", True), ("mdm.CheckOut", False), ("mdm.Authenticate", None), ("mdm.GetToken", None)],
)
def test_checkins_show_whether_a_device_is_enrolled(topic: str, enrolled: bool | None) -> None:  # noqa: FBT001 - a parameter
    """A token makes a device reachable. Authenticate alone only requests the enrollment."""
    read = event_from_webhook(event(topic))
    assert (read.topic, read.enrollment_id, read.enrolled, read.answer) == (topic, "D1", enrolled, None)
    assert read.authenticated == (topic == "mdm.Authenticate")


def test_a_user_channel_is_no_device() -> None:
    """Users enroll and leave on the user channel of a device. The device stays enrolled."""
    ids = {"id": "D1:user", "parent_id": "D1", "type": "User"}
    assert event_from_webhook(event("mdm.CheckOut", ids=ids)).enrolled is None
    assert event_from_webhook(event("mdm.TokenUpdate", ids=ids)).enrolled is None
    assert not event_from_webhook(event("mdm.Authenticate", ids=ids)).authenticated


@pytest.mark.parametrize(("name", "other"), [("udid", "enrollment_id"), ("enrollment_id", "udid")])
def test_older_senders_name_the_device_otherwise(name: str, other: str) -> None:
    """Without NanoMDM's `ids`, the UDID names the device, and for User Enrollments the EnrollmentID."""
    assert event_from_webhook(answer_event("NotNow", ids=None, **{name: "X1", other: None})).enrollment_id == "X1"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"7", b"\xff", b'{"topic": "mdm.Connect"}', b'{"topic": 1}', b"[" * 100_000),
        json.dumps({"topic": "other", "acknowledge_event": {}}).encode(),
        *(
            answer_event("NotNow").replace(b"2026-01-01T00:00:00+00:00", one)
            for one in (b"", b"yesterday", b"2026-01-01")
        ),
        *(answer_event("NotNow", ids={"id": one}) for one in ("", "a,b", "../a", "a\nb", "\ud800", "x" * 300)),
        *(event(status="Acknowledged", command_uuid=one) for one in (None, "", "a b", "x" * 200, "\ud800")),
    ],
)
def test_a_malformed_event_is_one_error(body: bytes) -> None:
    """A malformed event is one WebhookError."""
    if b'"id": ""' in body:
        body = body.replace(b'"udid": "D1"', b'"udid": ""')
    with pytest.raises(WebhookError):
        event_from_webhook(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["Acknowledged", "Error", "CommandFormatError", "NotNow", "Idle"]) | JSON,
        "command_uuid": st.just("c1") | JSON,
        "ids": st.fixed_dictionaries({"id": st.just("D1") | JSON}) | JSON,
        "udid": st.just("D1") | JSON,
        "raw_payload": st.binary().map(lambda raw: base64.b64encode(raw).decode())
        | st.recursive(st.text() | st.integers(-(2**62), 2**62), lambda inner: st.lists(inner, max_size=3))
        .filter(lambda value: "\x00" not in repr(value))
        .map(lambda value: base64.b64encode(_plist({"ErrorChain": value})).decode())
        | JSON,
    },
)


def _plist(value: dict[str, Any]) -> bytes:
    try:
        return plistlib.dumps(value)
    except (ValueError, UnicodeError):
        return b""


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda topic, fields: json.dumps(
            {"topic": topic, "acknowledge_event": fields, "checkin_event": fields}
        ).encode(),
        st.sampled_from(["mdm.Connect", "mdm.CheckOut", "mdm.TokenUpdate", "mdm.Authenticate"]) | JSON,
        FIELDS,
    )
)
@example(b'{"topic": ' + b"9" * 5000 + b"}")
@example(answer_event("Error", raw_payload=base64.b64encode(b"<plist>" + b"<array>" * 50_000).decode()))
@example(answer_event("Error", raw_payload=base64.b64encode(b"<plist><integer>" + b"9" * 5000).decode()))
@example(answer_event("Error", raw_payload=base64.b64encode(b'<!DOCTYPE p [<!ENTITY a "b">]><plist>&a;').decode()))
def test_nothing_that_is_posted_breaks_the_reader(body: bytes) -> None:
    """Each posted body results in an event that the ledger can record, or in a WebhookError."""
    try:
        read = event_from_webhook(body)
    except WebhookError:
        return
    assert read.enrollment_id.isascii()
    if read.answer is not None:
        assert read.answer.status in {AnswerStatus.ACKNOWLEDGED, AnswerStatus.ERROR, AnswerStatus.NOT_NOW}
        assert read.answer.detail == "" or read.answer.detail.isprintable()


def test_the_time_of_an_event_is_its_own() -> None:
    """NanoMDM writes created_at with nine digits of a second, in the zone of its machine."""  # R42
    body = event("mdm.CheckOut").replace(b"2026-01-01T00:00:00+00:00", b"2026-01-01T02:00:00.123456789+02:00")
    assert event_from_webhook(body).at == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


def test_copies_of_an_event_have_one_identity() -> None:
    """The identity does not depend on white space or on the order of the fields."""  # R42
    body = answer_event("Acknowledged")
    copy = json.dumps(dict(reversed(json.loads(body).items())), indent=1).encode()
    assert copy != body
    assert event_from_webhook(copy) == event_from_webhook(body)


def test_other_events_have_other_identities() -> None:
    """A sender may use one event_id for all of its events."""  # R42
    bodies = [
        answer_event("Acknowledged"),
        answer_event("Acknowledged", ids={"id": "D2"}),
        answer_event("Acknowledged", at=EVENT_TIME + timedelta(microseconds=1)),
        answer_event("Acknowledged", event_id="f"),
        answer_event("NotNow"),
        event(status="Acknowledged", command_uuid="c2"),
        event("mdm.TokenUpdate"),
        event("mdm.CheckOut"),
    ]
    identities = {event_from_webhook(one).identity for one in bodies}
    assert len(identities) == len(bodies)
    assert {len(one) for one in identities} == {16}


def test_without_an_event_id_the_body_is_the_identity() -> None:
    """event_id is optional in NanoMDM's webhook."""  # R42
    first, second = (event("mdm.TokenUpdate", event_id=None, token_update_tally=one) for one in (1, 2))
    assert event_from_webhook(first).identity == event_from_webhook(first).identity
    assert event_from_webhook(first).identity != event_from_webhook(second).identity
