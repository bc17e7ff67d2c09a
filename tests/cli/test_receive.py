"""``ios-mdm receive``: the command, and the collector with events of a real NanoMDM."""

from __future__ import annotations

import contextlib
import plistlib
import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from ios_mdm import wiring
from ios_mdm.__main__ import app
from ios_mdm.adapters.clock import SystemClock
from ios_mdm.adapters.http_server import HttpServer
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.app.collector.handler import Collector
from ios_mdm.core.ledger.values import DeviceState, DeviceStatus
from tests.cli.receiving import eventually, receive_command
from tests.support.events import KEY, event, record_sent, signature, status_of, statuses_of
from tests.support.nanomdm_server import nanomdm_server
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ios_mdm.ports import Ledger

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A ledger that records that command c1 was queued for D1."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    record_sent(ledger, "c1", enrollment_ids=["D1"], at=NOW)
    return ledger


def status(ledger: Ledger, device: str = "D1") -> DeviceStatus:
    """Return the status of a device in the ledger."""
    return status_of(ledger, device)


@contextmanager
def collecting(ledger: Ledger, hmac_key: bytes | None = None) -> Iterator[HttpServer]:
    """Run the collector on a free port."""
    collector = Collector(ledger=ledger, clock=SystemClock(), hmac_key=hmac_key)
    with HttpServer(collector, host="127.0.0.1") as http:
        yield http


@pytest.mark.parametrize("storage", ["inmem", "filekv"])
def test_from_the_queue_to_the_ledger_through_the_real_nanomdm(tmp_path: Path, storage: str) -> None:
    """A device fetches and answers a queued command, NanoMDM signs the event, and the ledger records it."""  # R15
    ledger = SqliteLedger(tmp_path / "ledger.db")
    with (
        collecting(ledger, hmac_key=KEY) as http,
        nanomdm_server(storage=storage, webhook_url=f"http://{http.address}/", webhook_hmac_key=KEY.decode()) as server,
    ):
        willing, full, busy = (server.device(udid) for udid in ("willing", "full", "busy"))
        eventually(lambda: ledger.enrolled_ids() == ("busy", "full", "willing"))
        ids = [*ledger.enrolled_ids(), "never-seen"]
        command = plistlib.dumps({"CommandUUID": "c1", "Command": {"RequestType": "InstallProfile", "Payload": b"x"}})
        with contextlib.closing(NanoMdm(url=server.url, api_key=server.api_key, push=False)) as channel:
            channel.enqueue(ids, command)
        assert willing.acknowledge_queue() == ["c1"]
        record_sent(ledger, "c1", enrollment_ids=ids, at=NOW)
        full.put(Status="Idle")
        chain = [{"LocalizedDescription": "No space", "ErrorDomain": "NS", "ErrorCode": 28}]
        full.put(Status="Error", CommandUUID="c1", ErrorChain=chain)
        busy.put(Status="NotNow", CommandUUID="c1")

        def known() -> dict[str, tuple[str, str]]:
            return {one.enrollment_id: (one.state, one.detail) for one in statuses_of(ledger, ids)}

        expected = {
            "willing": (DeviceState.ACKNOWLEDGED, ""),
            "full": (DeviceState.FAILED, "No space (NS 28)"),
            "busy": (DeviceState.NOT_NOW, ""),
            "never-seen": (DeviceState.QUEUED, ""),
        }
        eventually(lambda: known() == expected)
        busy.put(Status="Acknowledged", CommandUUID="c1")
        eventually(lambda: status(ledger, "busy").state == DeviceState.ACKNOWLEDGED)
        full.put(MessageType="CheckOut", Topic="com.apple.mgmt.test")
        eventually(lambda: ledger.enrolled_ids() == ("busy", "willing"))


def test_user_channels_and_user_enrollments_have_nanomdms_names(tmp_path: Path) -> None:
    """For each kind of enrollment, the ledger has the id that NanoMDM queues commands for."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    with (
        collecting(ledger) as http,
        nanomdm_server(webhook_url=f"http://{http.address}/") as server,
    ):
        private = replace(server.device("of-a-company"), udid="", identity=server.authority.identity("private"))
        private.enroll(EnrollmentID="of-a-person")
        server.device("of-a-company-2").put(Status="Idle", UserID="U1")
        eventually(lambda: ledger.enrolled_ids() == ("of-a-company", "of-a-company-2", "of-a-person"))


def test_a_signed_large_event_is_recorded_while_others_hold_large_bodies_open(ledger: SqliteLedger) -> None:
    """A signature can be checked only after the body, so unsigned senders must not block others."""  # R40
    body = event(status="Acknowledged", command_uuid="c1", raw_payload="A" * 1024 * 1024)
    lines = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", f"X-Hmac-Signature: {signature(b'')}"]
    begun = "\r\n".join([*lines, "", ""]).encode() + body[:1000]
    with collecting(ledger, hmac_key=KEY) as http, contextlib.ExitStack() as stack:
        for _ in range(8):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", http.port), timeout=30))
            slow.sendall(begun)
        headers = {"X-Hmac-Signature": signature(body)}
        url = f"http://{http.address}/"
        assert httpx.post(url, content=body, headers=headers, timeout=20, trust_env=False).status_code == 200
    assert status(ledger).state == DeviceState.ACKNOWLEDGED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_listens_until_a_signal(ledger: SqliteLedger, tmp_path: Path, number: int) -> None:
    """It prints its URL and writes its address to a file, records signed events, and exits with 0 on a signal."""
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
            body = event(status="Acknowledged", command_uuid="c1")
            headers = {"X-Hmac-Signature": signature(body)}
            assert httpx.post(f"http://{address}/", content=body, headers=headers, trust_env=False).is_success
            process.send_signal(number)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert not port_file.exists()
    assert status(ledger).state == DeviceState.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ledger", "dynamodb://x"], "is not a ledger URL"),
        (["--ledger", "sqlite:///x.db", "--listen", "localhost:1"], "not an address to listen on"),
        (["--ledger", "sqlite:///x.db", "--listen", "127.0.0.1:65536"], "not an address to listen on"),
        (["--ledger", "sqlite:///x.db", "--listen", "9100"], "not an address to listen on"),
        (["--ledger", "sqlite:///x.db", "--listen", "0.0.0.0:0"], "without an HMAC key"),
        (["--ledger", "sqlite:///x.db", "--hmac-key-file", "nowhere"], "cannot be read"),
        (["--ledger", "sqlite:///x.db", "--hmac-key-file", "/dev/null"], "it is a device, not a file"),
        (["--ledger", "sqlite:///x.db", "--listen", "127.0.0.1:0", "--port-file", "no/port"], "cannot be written"),
    ],
)
def test_an_error_of_the_command_is_one_line(arguments: list[str], words: str) -> None:
    """A wrong option gives exit code 2 and one line without a traceback."""
    done = subprocess.run(
        receive_command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unexpected_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback quotes values, and the output of the collector can be in a log."""  # R39

    def fail() -> None:
        raise RuntimeError("a value that no log may have")

    monkeypatch.setattr(wiring, "process_wiring", fail)
    shown = CliRunner().invoke(app, ["receive", "--ledger", "sqlite:///ledger.sqlite"])
    assert (shown.exit_code, shown.stderr) == (
        2,
        "error: unexpected RuntimeError: this is a bug in ios-mdm, please report it\n",
    )


def test_a_ledger_that_cannot_be_used_is_an_error_at_the_start(ledger: SqliteLedger, tmp_path: Path) -> None:
    """The command fails at its start, before it loses events."""  # R40
    ledger.path.chmod(0o666)
    port_file = tmp_path / "port"
    arguments = ["--ledger", f"sqlite:///{ledger.path}", "--listen", "127.0.0.1:0", "--port-file", str(port_file)]
    done = subprocess.run(
        receive_command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "other users can write it (mode 0666)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not port_file.exists()


def test_another_host_name_is_an_option(ledger: SqliteLedger) -> None:
    """Without a key, `--allow-host` accepts the host name under which NanoMDM reaches loopback."""  # R40
    arguments = ["--ledger", f"sqlite:///{ledger.path}", "--listen", "127.0.0.1:0", "--allow-host", "host.internal"]
    with subprocess.Popen(
        receive_command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("listening on ").strip()
            for host, expected in (("host.internal:9100", 200), ("attacker.example", 403), ("localhost", 200)):
                headers = {"Host": host, "Content-Type": "application/json"}
                body = event("mdm.TokenUpdate")
                assert httpx.post(url, content=body, headers=headers, trust_env=False).status_code == expected
        finally:
            process.kill()
