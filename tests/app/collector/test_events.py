"""Tests of the parser of NanoMDM's webhook events, with real, malformed and forged payloads."""

from __future__ import annotations

import base64
import hashlib
import json
import plistlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ios_mdm.app.collector.events import MAX_CERTIFICATES, WebhookError, event_from_webhook
from ios_mdm.core.http import MAX_BODY
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


def certificate_list(certificates: Any, *, status: str = "Acknowledged", **fields: Any) -> bytes:
    """Return the event of an answer to a CertificateList, with *fields* of the event."""
    payload = plistlib.dumps({"Status": status, "CommandUUID": "c1", "CertificateList": certificates})
    return event(status=status, command_uuid="c1", raw_payload=base64.b64encode(payload).decode(), **fields)


def list_entries(*certificates: bytes) -> list[dict[str, Any]]:
    """Return the entries of these certificates, as a device reports them."""
    return [{"CommonName": f"name {one[:30]!r}", "Data": one, "IsIdentity": False} for one in certificates]


def test_a_list_of_certificates_becomes_their_digests() -> None:
    """The digest of each certificate is the SHA-256 of its DER. The answer counts as an acknowledgment."""  # R44
    read = event_from_webhook(certificate_list(list_entries(b"one", b"two", b"one")))
    assert read.certificates == frozenset(hashlib.sha256(one).digest() for one in (b"one", b"two"))
    assert read.answer == Answer(command_uuid="c1", status=AnswerStatus.ACKNOWLEDGED)
    assert read.enrolled


def test_only_digests_of_certificates_are_kept() -> None:
    """Names and contents of certificates are in no field of the event."""  # R44
    read = event_from_webhook(certificate_list(list_entries(b"der of a private person")))
    assert "name" not in repr(read)
    assert "private person" not in repr(read)


def test_an_empty_list_is_a_list() -> None:
    """A device without any certificate reports an empty list, which withdraws a proof."""  # R44
    assert event_from_webhook(certificate_list([])).certificates == frozenset()


@pytest.mark.parametrize(
    "certificates",
    [
        *("text", 7, {"Data": b"one"}, ["text"], [b"one"], [[]]),
        *([*list_entries(b"one"), {"CommonName": "no data"}], [{"Data": "text"}]),
        *([{"Data": 7}], [{"Data": list_entries(b"one")}], [{"Data": b""}]),
    ],
)
def test_a_malformed_list_is_no_list(certificates: object) -> None:
    """A list with an unreadable entry may lack a certificate that the device has, so it withdraws no proof."""  # R44
    read = event_from_webhook(certificate_list(certificates))
    assert read.certificates is None
    assert read.answer is not None


@pytest.mark.parametrize(
    "payload",
    [
        *("", "%%%", 7, base64.b64encode(b"CertificateList").decode()),
        base64.b64encode(plistlib.dumps(["CertificateList"])).decode(),
        base64.b64encode(plistlib.dumps({"QueryResponses": {"CertificateList": list_entries(b"one")}})).decode(),
        base64.b64encode(plistlib.dumps({"CertificateList": list_entries(b"one")})[:-40]).decode(),
    ],
)
def test_an_answer_without_a_readable_list_is_an_acknowledgment(payload: object) -> None:
    """Answers to other commands have no list, and a report that cannot be read does not hide the answer."""  # R44
    read = event_from_webhook(answer_event("Acknowledged", raw_payload=payload))
    assert read.certificates is None
    assert read.answer == Answer(command_uuid="c1", status=AnswerStatus.ACKNOWLEDGED)


@pytest.mark.parametrize("status", ["Error", "NotNow", "Idle", "CommandFormatError"])
def test_only_an_acknowledgment_has_a_list(status: str) -> None:
    """In other answers, Apple defines no list."""  # R44
    assert event_from_webhook(certificate_list(list_entries(b"one"), status=status)).certificates is None


def test_a_list_of_a_user_channel_is_not_that_of_the_device() -> None:
    """A user of a device has other certificates than the device."""  # R44
    ids = {"id": "D1:user", "parent_id": "D1", "type": "User"}
    assert event_from_webhook(certificate_list(list_entries(b"one"), ids=ids)).certificates is None


def test_the_longest_list_is_read() -> None:
    """The longest body that the collector accepts has hundreds of certificates."""  # R40 R44
    certificates = [number.to_bytes(2, "big") * 600 for number in range(700)]
    body = certificate_list(list_entries(*certificates))
    assert MAX_BODY * 3 // 4 < len(body) < MAX_BODY
    assert event_from_webhook(body).certificates == frozenset(hashlib.sha256(one).digest() for one in certificates)


def test_a_list_with_declarations_of_attributes_is_not_parsed() -> None:
    """Two megabytes of them take five seconds to parse. No device sends any."""  # R44
    content = plistlib.dumps({"CertificateList": list_entries(b"a certificate")})
    plain = content[: content.index(b"<!DOCTYPE")] + content[content.index(b"<plist") :]
    declared = plain.replace(b"<plist", b'<!DOCTYPE plist [<!ATTLIST plist a CDATA "x">]><plist', 1)
    for payload, is_read in ((plain, True), (declared, False)):
        posted = answer_event("Acknowledged", raw_payload=base64.b64encode(payload).decode())
        assert (event_from_webhook(posted).certificates is not None) is is_read


def test_more_certificates_than_a_device_has_are_no_list() -> None:
    """The number is limited, so that one answer costs the ledger a bounded number of lookups."""  # R40 R44
    certificates = [number.to_bytes(2, "big") for number in range(MAX_CERTIFICATES + 1)]
    assert event_from_webhook(certificate_list(list_entries(*certificates[:-1]))).certificates is not None
    assert event_from_webhook(certificate_list(list_entries(*certificates))).certificates is None


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
        .map(lambda value: base64.b64encode(_plist({"ErrorChain": value, "CertificateList": value})).decode())
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
@example(
    answer_event("Acknowledged", raw_payload=base64.b64encode(b"<plist>CertificateList" + b"<array>" * 9).decode())
)
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
    assert read.certificates is None or {len(one) for one in read.certificates} <= {32}


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
