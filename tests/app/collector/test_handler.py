"""Tests of the collector's handler, called without a server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.clock import FixedClock
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.collector import handler
from ios_mdm.app.collector.handler import Collector, signature
from ios_mdm.core.http import MAX_BODY, Request, Response
from ios_mdm.core.ledger.values import DeviceState, DeviceStatus
from ios_mdm.errors import DeliveryError
from tests.support.events import EVENT_TIME, KEY, event, record_sent, status_of
from tests.support.events import signature as computed_signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.core.ledger.values import DeviceEvent

NOW = EVENT_TIME + timedelta(seconds=30)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A ledger in which command c1 was queued for D1."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    record_sent(ledger, "c1", enrollment_ids=["D1"], at=EVENT_TIME)
    return ledger


def status(ledger: SqliteLedger) -> DeviceStatus:
    """Return the status of D1 in the ledger."""
    return status_of(ledger, "D1")


def collector(ledger: SqliteLedger, *, hmac_key: bytes | None = KEY, hosts: Sequence[str] = ()) -> Collector:
    """Return the handler, with a clock half a minute after the time of the events."""
    return Collector(ledger=ledger, clock=FixedClock(time=NOW), hmac_key=hmac_key, hosts=hosts)


def unsigned_post(body: bytes = b"", **fields: str) -> Request:
    """Return an unsigned POST of *body*, as NanoMDM sends it; *fields* replace headers, with ``_`` for ``-``."""
    headers = {"host": "127.0.0.1:9100", "content-type": "application/json; charset=utf-8"}
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    return Request(method="POST", path="/webhook?x=1", headers=headers, body=body)


def signed_post(body: bytes) -> Request:
    """Return a POST of *body* with its signature."""
    return unsigned_post(body, x_hmac_signature=computed_signature(body))


def answer(to: Collector, request: Request) -> int:
    """Return the status of the answer to one request."""
    (response,) = to.answers([request])
    return response.status


def acknowledgment() -> bytes:
    """Return the event of a device that acknowledges command c1."""
    return event(status="Acknowledged", command_uuid="c1")


def test_200_means_that_the_event_is_in_the_ledger(ledger: SqliteLedger) -> None:
    """The answer of the device is recorded with the time of the event, not with the time of its arrival."""  # R15 R42
    assert answer(collector(ledger), signed_post(acknowledgment())) == 200
    assert (status(ledger).state, status(ledger).at) == (DeviceState.ACKNOWLEDGED, EVENT_TIME)
    assert ledger.enrolled_ids() == ("D1",)
    assert answer(collector(ledger), signed_post(event("mdm.CheckOut", at=EVENT_TIME + timedelta(seconds=1)))) == 200
    assert ledger.enrolled_ids() == ()


def test_an_erased_device_does_not_have_the_profile(ledger: SqliteLedger) -> None:
    """A later Authenticate ends the records of a device. A replayed older one changes nothing."""  # R42
    second = timedelta(seconds=1)
    assert answer(collector(ledger), signed_post(acknowledgment())) == 200
    assert answer(collector(ledger), signed_post(event("mdm.Authenticate", at=EVENT_TIME - second))) == 200
    assert status(ledger).state == DeviceState.ACKNOWLEDGED
    user = event("mdm.Authenticate", at=EVENT_TIME + second, ids={"id": "D1", "parent_id": "D1", "type": "User"})
    assert answer(collector(ledger), signed_post(user)) == 200
    assert status(ledger).state == DeviceState.ACKNOWLEDGED
    assert answer(collector(ledger), signed_post(event("mdm.Authenticate", at=EVENT_TIME + second))) == 200
    assert status(ledger).state == DeviceState.ERASED


def test_many_requests_share_one_write(ledger: SqliteLedger) -> None:
    """Each request has a separate answer, in the order of the requests."""
    counting = _Counting(ledger.path)
    requests = [
        signed_post(acknowledgment()),
        unsigned_post(acknowledgment(), x_hmac_signature="AAAA"),
        signed_post(b"junk"),
        signed_post(event("mdm.TokenUpdate", ids={"id": "D2"})),
        signed_post(event("mdm.Authenticate")),
        Request(method="GET", path="/", headers={}),
    ]
    responses = collector(counting).answers(requests)
    assert [one.status for one in responses] == [200, 401, 400, 200, 200, 200]
    assert counting.batches == [3]
    assert ledger.enrolled_ids() == ("D1", "D2")


@dataclass(frozen=True)
class _Counting(SqliteLedger):
    batches: list[int] = field(default_factory=list)

    def record_events(self, events: Sequence[DeviceEvent], **options: object) -> Sequence[str]:
        self.batches.append(len(events))
        return super().record_events(events, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("topic", ["mdm.GetToken", "mdm.DeclarativeManagement"])
def test_an_event_that_changes_nothing_is_not_written(tmp_path: Path, topic: str) -> None:
    """NanoMDM reports all requests of a device. Most of them have nothing to record."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    assert answer(collector(ledger), signed_post(event(topic))) == 200
    assert not ledger.path.exists()


@pytest.mark.parametrize(
    "wrong",
    ["", "AAAA", signature(acknowledgment(), b"other"), signature(acknowledgment() + b" ", KEY), "é", "\udcff"],
)
def test_a_request_without_the_right_signature_changes_nothing(ledger: SqliteLedger, wrong: str) -> None:
    """Only a sender with the key can change the ledger."""  # R40
    for request in (unsigned_post(acknowledgment(), x_hmac_signature=wrong), unsigned_post(acknowledgment())):
        assert answer(collector(ledger), request) == 401
    assert status(ledger).state == DeviceState.QUEUED
    assert answer(collector(ledger), signed_post(acknowledgment())) == 200


def test_a_body_is_not_parsed_before_its_signature_is_checked(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of a sender without the key costs no more than the HMAC."""  # R40
    parsed: list[bytes] = []
    monkeypatch.setattr(json, "loads", parsed.append)
    monkeypatch.setattr(handler, "event_from_webhook", parsed.append)
    assert answer(collector(ledger), unsigned_post(acknowledgment(), x_hmac_signature="AAAA")) == 401
    assert parsed == []


def test_a_missing_signature_is_known_without_the_body(ledger: SqliteLedger) -> None:
    """The server does not have to read such a body."""  # R40
    with_key, without = collector(ledger), collector(ledger, hmac_key=None)
    expected = Response(status=401, text="X-Hmac-Signature is missing: set NanoMDM's -webhook-hmac-key")
    assert with_key.answer_without_body(unsigned_post()) == expected
    assert with_key.answer_without_body(unsigned_post(x_hmac_signature=computed_signature(b"other"))) is None
    assert without.answer_without_body(unsigned_post()) is None


@pytest.mark.parametrize(
    "malformed",
    ["AAAA", f"{'A' * 44}", f"{'A' * 43}= ", f"{'A' * 43}=,{'A' * 43}=", f"{'a1' * 32}", f"{'é' * 43}=", "A" * 10_000],
)
def test_a_malformed_signature_is_known_without_the_body(ledger: SqliteLedger, malformed: str) -> None:
    """This includes a repeated header, whose values a server joins."""  # R40
    refused = collector(ledger).answer_without_body(unsigned_post(x_hmac_signature=malformed))
    assert refused == Response(status=401, text="X-Hmac-Signature is not the base64 of one HMAC-SHA256")


def test_a_signature_sent_twice_is_refused(ledger: SqliteLedger) -> None:
    """This is so even if both values are correct."""  # R40
    body = acknowledgment()
    twice = f"{computed_signature(body)},{computed_signature(body)}"
    assert answer(collector(ledger), unsigned_post(body, x_hmac_signature=twice)) == 401
    assert status(ledger).state == DeviceState.QUEUED


def test_an_old_event_under_a_new_time_is_refused(ledger: SqliteLedger) -> None:
    """The signature covers the time of the event."""  # R40 R42
    old = event("mdm.CheckOut", at=EVENT_TIME - timedelta(days=365))
    new = event("mdm.CheckOut", at=EVENT_TIME + timedelta(seconds=1))
    one = collector(ledger)
    assert answer(one, signed_post(event("mdm.TokenUpdate"))) == 200
    assert answer(one, unsigned_post(new, x_hmac_signature=computed_signature(old))) == 401
    assert ledger.enrolled_ids() == ("D1",)


def test_one_bad_request_of_many_loses_no_other(ledger: SqliteLedger) -> None:
    """Examples are bytes that are not UTF-8, invalid times, and a text that no database can store."""  # R40
    bad = [
        b"\xff\xfe\xfd",
        acknowledgment().replace(b"D1", b"D\xff"),
        acknowledgment().replace(b"D1", b"D\xed\xa0\x80"),
        event("mdm.CheckOut").replace(b"2026-01-01T00:00:00+00:00", b"0001-01-01T00:00:00+23:59"),
        event("mdm.CheckOut").replace(b"2026-01-01T00:00:00+00:00", b"9999-12-31T23:59:59-23:59"),
        b"[" * 100_000,
    ]
    responses = collector(ledger).answers([*map(signed_post, bad), signed_post(acknowledgment())])
    assert [one.status for one in responses] == [*[400] * len(bad), 200]
    assert status(ledger).state == DeviceState.ACKNOWLEDGED
    oldest = event("mdm.TokenUpdate", ids={"id": "D2"}).replace(b"2026-01-01T00:00:00+00:00", b"0001-01-01T00:00:00Z")
    odd = event("mdm.\ud800", event_id="\ud800", ids={"id": "D3"})
    assert [one.status for one in collector(ledger).answers([*map(signed_post, (oldest, odd))])] == [200, 200]


def test_the_signature_is_nanomdms() -> None:
    """The signature is the base64 of HMAC-SHA256. The value was computed with `openssl dgst -sha256 -hmac`."""
    assert signature(b"The quick brown fox jumps over the lazy dog", b"key") == (
        "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="
    )


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.:9100", "127.0.0.1", "127.0.0.1:9100", "127.8.8.8", "[::1]", "[::1]:9100", "Collector:80"],
)
def test_without_a_key_the_host_is_this_machine(ledger: SqliteLedger, host: str) -> None:
    """Allowed are a loopback address, localhost, and a name of `--allow-host`."""  # R40
    assert (
        answer(collector(ledger, hmac_key=None, hosts=["collector"]), unsigned_post(acknowledgment(), host=host)) == 200
    )


@pytest.mark.parametrize(
    "host",
    [
        *("", "attacker.example", "attacker.example:9100", "127.0.0.1.attacker.example", "localhost.attacker.example"),
        *("127.0.0.1,127.0.0.1", "10.0.0.1", "[::2]", "::1", "localhost:x", "user@localhost", "[::]", "2130706433"),
    ],
)
def test_without_a_key_another_host_is_refused(ledger: SqliteLedger, host: str) -> None:
    """A web page whose name resolves to loopback (DNS rebinding) sends its name as the host."""  # R40
    without = collector(ledger, hmac_key=None)
    assert answer(without, unsigned_post(acknowledgment(), host=host)) == 403
    assert answer(without, Request(method="GET", path="/", headers={"host": host})) == 403
    assert status(ledger).state == DeviceState.QUEUED


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_without_a_key_the_content_type_is_json(ledger: SqliteLedger, kind: str) -> None:
    """A web page of another origin can post other types without a preflight request."""  # R40
    assert answer(collector(ledger, hmac_key=None), unsigned_post(acknowledgment(), content_type=kind)) == 415
    assert status(ledger).state == DeviceState.QUEUED


def test_with_a_key_host_and_content_type_do_not_matter(ledger: SqliteLedger) -> None:
    """A proxy may replace both headers. The signature decides."""
    body = acknowledgment()
    headers = {"host": "mdm.example.com", "x-hmac-signature": computed_signature(body)}
    assert answer(collector(ledger), Request(method="POST", path="/", headers=headers, body=body)) == 200


def test_a_long_body_is_refused_before_its_signature_is_checked(ledger: SqliteLedger) -> None:
    """A caller other than the collector's server may have read more than the limit."""  # R40
    assert answer(collector(ledger), signed_post(b" " * (MAX_BODY + 1))) == 413
    assert answer(collector(ledger), signed_post(b" " * MAX_BODY)) == 400


def test_the_methods_are_post_and_get(ledger: SqliteLedger) -> None:
    """A health check needs no signature. Other methods are refused."""
    for method, expected in (("GET", 200), ("HEAD", 200), ("PUT", 501), ("DELETE", 501), ("post", 501)):
        assert answer(collector(ledger), Request(method=method, path="/", headers={})) == expected


def test_old_events_and_copies_change_nothing(ledger: SqliteLedger) -> None:
    """A recorded CheckOut that is sent again with its valid signature does not remove the device."""  # R42
    checkout = signed_post(event("mdm.CheckOut", at=EVENT_TIME - timedelta(days=365)))
    recent = signed_post(event("mdm.CheckOut"))
    one = collector(ledger)
    for request in (recent, signed_post(event("mdm.TokenUpdate", at=EVENT_TIME + timedelta(seconds=1)))):
        assert answer(one, request) == 200
    for replayed in (checkout, recent, checkout):
        assert answer(one, replayed) == 200
        assert ledger.enrolled_ids() == ("D1",)


def test_an_event_from_the_future_is_refused(ledger: SqliteLedger) -> None:
    """Such an event hides all later events of its device. Five minutes are allowed, because clocks differ."""
    # R42
    one = collector(ledger)
    assert answer(one, signed_post(event("mdm.CheckOut", at=NOW + timedelta(minutes=5, seconds=1)))) == 400
    assert answer(one, signed_post(event("mdm.TokenUpdate", at=NOW + timedelta(minutes=5)))) == 200
    assert ledger.enrolled_ids() == ("D1",)


@dataclass(frozen=True)
class _FullDisk(SqliteLedger):
    def record_events(self, *_arguments: object, **_options: object) -> Sequence[str]:
        raise DeliveryError("the ledger cannot be used: disk full")


def test_an_event_that_cannot_be_written_is_not_acknowledged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the ledger results in status 500 and a line in the log."""
    full = collector(_FullDisk(tmp_path / "x.db"))
    assert answer(full, signed_post(acknowledgment())) == 500
    assert "disk full" in caplog.text


def test_the_key_is_not_shown() -> None:
    """Neither a repr nor a message contains the key."""  # R29
    shown = repr(Collector(ledger=SqliteLedger(Path("x")), clock=FixedClock(time=NOW), hmac_key=KEY))
    assert KEY.decode() not in shown
