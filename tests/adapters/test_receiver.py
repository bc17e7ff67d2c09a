"""The webhook receiver: over real HTTP, with the real NanoMDM as the sender, and with senders that lie."""

from __future__ import annotations

import base64
import http.client
import json
import plistlib
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ios_mdm.adapters import receiver as module
from ios_mdm.adapters.clock import FixedClock
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.adapters.receiver import Answer, Event, Receiver, WebhookError, event_from_webhook, signature
from ios_mdm.errors import DefinitionError, DeliveryError
from ios_mdm.ports import DeliveryStatus, DeviceStatus
from tests.support.nanomdm_server import nanomdm_server
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ios_mdm.ports import Ledger

PROFILE = "ab" * 32
NOW = datetime(2040, 1, 1, tzinfo=UTC)
KEY = b"webhook-key"


def event(topic: str = "mdm.Connect", **fields: Any) -> bytes:
    """Return an event as NanoMDM v0.9.0 posts it."""
    name = "acknowledge_event" if topic == "mdm.Connect" else "checkin_event"
    details = {"ids": {"id": "D1", "type": "Device"}, "udid": "D1", "raw_payload": "", **fields}
    return json.dumps({"topic": topic, "event_id": "e", "created_at": "2026-01-01T00:00:00Z", name: details}).encode()


def answered(status: str, **fields: Any) -> bytes:
    """Return the event of an answer to command c1."""
    return event(status=status, command_uuid="c1", **fields)


def report(*chain: Any) -> str:
    """Return a raw_payload with an ErrorChain."""
    return base64.b64encode(plistlib.dumps({"Status": "Error", "ErrorChain": list(chain)})).decode()


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A ledger in which command c1 was queued for D1."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.record_enqueued("c1", server="berlin", profile=PROFILE, enrollment_ids=["D1"], at=NOW)
    return ledger


def status(ledger: Ledger, device: str = "D1") -> DeviceStatus:
    """Return what the ledger knows of a device."""
    (one,) = ledger.coverage(server="berlin", profile=PROFILE, enrollment_ids=[device]).devices
    return one


@contextmanager
def receiving(ledger: Ledger, **options: Any) -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    with Receiver(ledger, FixedClock(moment=NOW), **options) as receiver:
        serving = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            serving.join()


def post(receiver: Receiver, body: bytes, headers: dict[str, str] | None = None) -> int:
    """Post *body*; return the status of the answer."""
    url = f"http://{receiver.address}/"
    return httpx.post(url, content=body, headers=headers or {}, trust_env=False).status_code


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds; fail after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("posted", "words"),
    [
        ("Acknowledged", DeliveryStatus.ACKNOWLEDGED),
        ("NotNow", DeliveryStatus.NOT_NOW),
        ("Error", DeliveryStatus.ERROR),
        ("CommandFormatError", DeliveryStatus.ERROR),
    ],
)
def test_an_answer_of_a_device_is_read(posted: str, words: str) -> None:
    """The four answers to a command become the ledger's three words, and show that the device is enrolled."""
    read = event_from_webhook(answered(posted))
    assert (read.topic, read.enrollment_id, read.enrolled) == ("mdm.Connect", "D1", True)
    assert read.answer is not None
    assert (read.answer.command_uuid, read.answer.status) == ("c1", words)


def test_an_error_is_told_in_the_words_of_the_device() -> None:
    """The whole ErrorChain, in one line: description, domain and code."""
    chain = [
        {"LocalizedDescription": "Profil\nungültig", "ErrorDomain": "MCInstallation", "ErrorCode": 4001},
        {"USEnglishDescription": "invalid payload", "ErrorDomain": "MCPayload", "ErrorCode": 2002},
    ]
    read = event_from_webhook(answered("Error", raw_payload=report(*chain)))
    detail = "Profil ungültig (MCInstallation 4001); invalid payload (MCPayload 2002)"
    assert read.answer == Answer(command_uuid="c1", status=DeliveryStatus.ERROR, detail=detail)


@pytest.mark.parametrize("payload", ["", "%%%", base64.b64encode(b"no plist").decode(), report(), report(1, "x"), 7])
def test_an_error_counts_without_its_reason(payload: object) -> None:
    """A report that cannot be read does not hide that there is an error."""
    read = event_from_webhook(answered("Error", raw_payload=payload))
    assert read.answer is not None
    assert read.answer.status == DeliveryStatus.ERROR


def test_a_long_reason_is_cut() -> None:
    """A device cannot fill the ledger with its words."""
    read = event_from_webhook(answered("Error", raw_payload=report({"LocalizedDescription": "x" * 100_000})))
    assert read.answer is not None
    assert len(read.answer.detail) == 1000


def test_an_idle_device_only_shows_that_it_is_there() -> None:
    """Idle asks for work; it is no answer."""
    assert event_from_webhook(event(status="Idle")) == Event(topic="mdm.Connect", enrollment_id="D1", enrolled=True)


@pytest.mark.parametrize(
    ("topic", "enrolled"),
    [("mdm.TokenUpdate", True), ("mdm.CheckOut", False), ("mdm.Authenticate", None), ("mdm.GetToken", None)],
)
def test_checkins_tell_who_is_enrolled(topic: str, enrolled: bool | None) -> None:  # noqa: FBT001 - a parameter
    """A token makes a device reachable; an Authenticate alone only asks to enrol."""
    assert event_from_webhook(event(topic)) == Event(topic=topic, enrollment_id="D1", enrolled=enrolled)


def test_a_user_channel_is_no_device() -> None:
    """Users come and go on their device's user channel; the device stays."""
    ids = {"id": "D1:user", "parent_id": "D1", "type": "User"}
    assert event_from_webhook(event("mdm.CheckOut", ids=ids)).enrolled is None
    assert event_from_webhook(event("mdm.TokenUpdate", ids=ids)).enrolled is None


@pytest.mark.parametrize(("name", "other"), [("udid", "enrollment_id"), ("enrollment_id", "udid")])
def test_older_senders_name_the_device_otherwise(name: str, other: str) -> None:
    """Without NanoMDM's own ids a UDID, and for User Enrollments an EnrollmentID, names the device."""
    assert event_from_webhook(answered("NotNow", ids=None, **{name: "X1", other: None})).enrollment_id == "X1"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"7", b"\xff", b'{"topic": "mdm.Connect"}', b'{"topic": 1}', b"[" * 100_000),
        json.dumps({"topic": "other", "acknowledge_event": {}}).encode(),
        *(answered("NotNow", ids={"id": one}) for one in ("", "a,b", "../a", "a\nb", "\ud800", "x" * 300)),
        *(event(status="Acknowledged", command_uuid=one) for one in (None, "", "a b", "x" * 200, "\ud800")),
    ],
)
def test_what_is_no_event_is_told(body: bytes) -> None:
    """A malformed event is one named error."""
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
@example(answered("Error", raw_payload=base64.b64encode(b"<plist>" + b"<array>" * 50_000).decode()))
@example(answered("Error", raw_payload=base64.b64encode(b"<plist><integer>" + b"9" * 5000).decode()))
@example(answered("Error", raw_payload=base64.b64encode(b'<!DOCTYPE p [<!ENTITY a "b">]><plist>&a;').decode()))
def test_nothing_that_is_posted_breaks_the_reader(body: bytes) -> None:
    """Whatever comes is an event that a ledger can keep, or the one named error."""
    try:
        read = event_from_webhook(body)
    except WebhookError:
        return
    assert read.enrollment_id.isascii()
    if read.answer is not None:
        assert read.answer.status in {DeliveryStatus.ACKNOWLEDGED, DeliveryStatus.ERROR, DeliveryStatus.NOT_NOW}
        assert read.answer.detail == "" or read.answer.detail.isprintable()


def test_200_means_that_it_is_written(ledger: SqliteLedger) -> None:
    """An answer is in the ledger, at the time of the clock, when the sender hears of it."""  # R15
    with receiving(ledger) as receiver:
        assert receiver.address.startswith("127.0.0.1:")
        assert post(receiver, answered("Acknowledged")) == 200
        assert status(ledger) == DeviceStatus(enrollment_id="D1", status=DeliveryStatus.ACKNOWLEDGED, at=NOW)
        assert ledger.enrolled() == ("D1",)
        assert post(receiver, event("mdm.CheckOut")) == 200
        assert ledger.enrolled() == ()


def test_a_signature_is_wanted_where_there_is_a_key(ledger: SqliteLedger) -> None:
    """Only who knows the key can tell the ledger anything."""
    body = answered("Acknowledged")
    good = signature(body, KEY)
    with receiving(ledger, hmac_key=KEY) as receiver:
        for wrong in ("", "AAAA", signature(body, b"other"), signature(body + b" ", KEY), f"{good}=", "é".encode()):
            assert post(receiver, body, {"X-Hmac-Signature": wrong}) == 401  # type: ignore[dict-item]
        assert post(receiver, body) == 401
        assert status(ledger).status == DeliveryStatus.PENDING
        assert post(receiver, body, {"X-Hmac-Signature": good}) == 200
        assert status(ledger).status == DeliveryStatus.ACKNOWLEDGED


def test_the_signature_is_nanomdms() -> None:
    """base64 of HMAC-SHA256; the value was computed with `openssl dgst -sha256 -hmac`."""
    assert signature(b"The quick brown fox jumps over the lazy dog", b"key") == (
        "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="
    )


def test_a_malformed_event_is_refused_and_the_next_one_taken(ledger: SqliteLedger) -> None:
    """400 for junk, 411 without a length, 413 for a flood, 200 for a look; then business as usual."""
    with receiving(ledger) as receiver:
        assert post(receiver, b"junk") == 400
        for length, expected in (("-1", 411), ("many", 411), (str(module.BODY_LIMIT + 1), 413), ("9" * 30, 411)):
            connection = http.client.HTTPConnection(receiver.address, timeout=10)
            connection.putrequest("POST", "/")
            connection.putheader("Content-Length", length)
            connection.endheaders()
            assert connection.getresponse().status == expected
            connection.close()
        assert httpx.get(f"http://{receiver.address}/", trust_env=False).status_code == 200
        assert post(receiver, answered("Acknowledged")) == 200


def test_a_sender_that_hangs_up_or_stalls_stops_nobody(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an event is no event, and a silent connection holds up neither the others nor the stop."""
    monkeypatch.setattr(module._Handler, "timeout", 0.2)
    with receiving(ledger) as receiver:
        host, port = receiver.address.split(":")
        half = b"POST / HTTP/1.0\r\nContent-Length: 1000\r\n\r\n" + answered("Error")
        with (
            socket.create_connection((host, int(port))) as stalled,
            socket.create_connection((host, int(port))) as gone,
        ):
            stalled.sendall(half)
            gone.sendall(half)
            gone.close()
            assert post(receiver, answered("NotNow")) == 200
    assert status(ledger).status == DeliveryStatus.NOT_NOW


@dataclass(frozen=True)
class _FullDisk(SqliteLedger):
    def record_answer(self, *_arguments: object, **_options: object) -> None:
        raise DeliveryError("the ledger cannot be used: disk full")


def test_what_cannot_be_written_is_not_acknowledged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A ledger that fails is a 500 and a line in the log."""
    with receiving(_FullDisk(tmp_path / "x.db")) as receiver:
        assert post(receiver, answered("Acknowledged")) == 500
    assert "disk full" in caplog.text


def test_a_fleet_answers_at_once(ledger: SqliteLedger) -> None:
    """Three hundred connections at the same time lose nothing."""
    ids = [f"F{number}" for number in range(300)]
    ledger.record_enqueued("c1", server="berlin", profile=PROFILE, enrollment_ids=ids, at=NOW)
    with receiving(ledger) as receiver:
        bodies = [answered("Acknowledged", ids={"id": one}) for one in ids]
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda one=one: statuses.append(_posted(receiver, one))) for one in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 300
    coverage = ledger.coverage(server="berlin", profile=PROFILE, enrollment_ids=ids)
    assert [one.status for one in coverage.devices] == [DeliveryStatus.ACKNOWLEDGED] * 300


def _posted(receiver: Receiver, body: bytes) -> int:
    connection = http.client.HTTPConnection(receiver.address, timeout=60)
    connection.request("POST", "/", body)
    code = connection.getresponse().status
    connection.close()
    return code


def test_the_rest_of_the_world_needs_a_key(ledger: SqliteLedger) -> None:
    """An address that others reach is refused without an HMAC key, and a taken one is told."""
    with pytest.raises(DefinitionError, match="HMAC key"):
        Receiver(ledger, FixedClock(moment=NOW), host="0.0.0.0")  # noqa: S104 - that is what is refused
    with receiving(ledger) as receiver, pytest.raises(DefinitionError, match="cannot listen"):
        Receiver(ledger, FixedClock(moment=NOW), port=receiver.server_port)


@pytest.mark.parametrize("storage", ["inmem", "filekv"])
def test_from_the_queue_to_the_ledger_through_the_real_nanomdm(tmp_path: Path, storage: str) -> None:
    """A command is queued, a device fetches and answers it, NanoMDM signs the event, and the ledger knows."""  # R15
    ledger = SqliteLedger(tmp_path / "ledger.db")
    with (
        receiving(ledger, hmac_key=KEY) as receiver,
        nanomdm_server(
            storage=storage, webhook_url=f"http://{receiver.address}/", webhook_hmac_key=KEY.decode()
        ) as server,
    ):
        willing, full, busy = (server.device(udid) for udid in ("willing", "full", "busy"))
        eventually(lambda: ledger.enrolled() == ("busy", "full", "willing"))
        ids = [*ledger.enrolled(), "never-seen"]
        command = plistlib.dumps({"CommandUUID": "c1", "Command": {"RequestType": "InstallProfile", "Payload": b"x"}})
        NanoMdm(url=server.url, api_key=server.api_key, push=False).enqueue(ids, command)
        assert willing.queued() == ["c1"]
        ledger.record_enqueued("c1", server="berlin", profile=PROFILE, enrollment_ids=ids, at=NOW)
        full.put(Status="Idle")
        chain = [{"LocalizedDescription": "No space", "ErrorDomain": "NS", "ErrorCode": 28}]
        full.put(Status="Error", CommandUUID="c1", ErrorChain=chain)
        busy.put(Status="NotNow", CommandUUID="c1")

        def known() -> dict[str, tuple[str, str]]:
            devices = ledger.coverage(server="berlin", profile=PROFILE, enrollment_ids=ids).devices
            return {one.enrollment_id: (one.status, one.detail) for one in devices}

        expected = {
            "willing": (DeliveryStatus.ACKNOWLEDGED, ""),
            "full": (DeliveryStatus.ERROR, "No space (NS 28)"),
            "busy": (DeliveryStatus.NOT_NOW, ""),
            "never-seen": (DeliveryStatus.PENDING, ""),
        }
        eventually(lambda: known() == expected)
        busy.put(Status="Acknowledged", CommandUUID="c1")
        eventually(lambda: status(ledger, "busy").status == DeliveryStatus.ACKNOWLEDGED)
        full.put(MessageType="CheckOut", Topic="com.apple.mgmt.test")
        eventually(lambda: ledger.enrolled() == ("busy", "willing"))


def test_user_channels_and_user_enrollments_have_nanomdms_names(tmp_path: Path) -> None:
    """What NanoMDM calls an enrolment is what commands are queued for, whatever kind it is."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    with (
        receiving(ledger) as receiver,
        nanomdm_server(webhook_url=f"http://{receiver.address}/") as server,
    ):
        private = replace(server.device("of-a-company"), udid="", identity=server.authority.identity("private"))
        private.enrol(EnrollmentID="of-a-person")
        server.device("of-a-company-2").put(Status="Idle", UserID="U1")
        eventually(lambda: ledger.enrolled() == ("of-a-company", "of-a-company-2", "of-a-person"))


def receive_command(*arguments: str) -> list[str]:
    """Return the command line that runs the command."""
    return [sys.executable, "-m", "ios_mdm", "receive", *arguments]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_listens_until_it_is_told_to_stop(ledger: SqliteLedger, tmp_path: Path, number: int) -> None:
    """It says where it listens, in a line and in a file, takes signed events, and stops cleanly on a signal."""
    key = tmp_path / "key"
    key.write_bytes(KEY + b"\n")
    port_file = tmp_path / "port"
    arguments = ["--listen", "127.0.0.1:0", "--hmac-key-file", str(key), "--port-file", str(port_file)]
    with subprocess.Popen(
        receive_command("--ledger", f"sqlite:///{ledger.path}", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = port_file.read_text().strip()
            assert line == f"listening on http://{address}/\n"
            body = answered("Acknowledged")
            headers = {"X-Hmac-Signature": signature(body, KEY)}
            assert httpx.post(f"http://{address}/", content=body, headers=headers, trust_env=False).is_success
            process.send_signal(number)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert not port_file.exists()
    assert status(ledger).status == DeliveryStatus.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ledger", "dynamodb://x"], "is not a ledger"),
        (["--ledger", "sqlite:///x.db", "--listen", "localhost:1"], "not an address to listen on"),
        (["--ledger", "sqlite:///x.db", "--listen", "127.0.0.1:65536"], "not an address to listen on"),
        (["--ledger", "sqlite:///x.db", "--listen", "9100"], "not an address to listen on"),
        (["--ledger", "sqlite:///x.db", "--listen", "0.0.0.0:0"], "without an HMAC key"),
        (["--ledger", "sqlite:///x.db", "--hmac-key-file", "nowhere"], "cannot be read"),
        (["--ledger", "sqlite:///x.db", "--hmac-key-file", "/dev/null"], "is empty"),
        (["--ledger", "sqlite:///x.db", "--listen", "127.0.0.1:0", "--port-file", "no/port"], "cannot be written"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(arguments: list[str], words: str) -> None:
    """A wrong option ends with exit code 2 and one line, no traceback."""
    done = subprocess.run(
        receive_command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
