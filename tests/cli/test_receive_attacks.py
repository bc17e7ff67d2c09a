"""Attacks on the running command ``ios-mdm receive`` by senders without a key, or with a recorded event."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import selectors
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from tests.support.events import KEY, event, signature
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
PATIENCE = 30.0
"""Seconds after which a test fails. Shorter durations do not affect the results."""


@dataclass(frozen=True, slots=True)
class Command:
    """The running command, and its ledger file."""

    process: subprocess.Popen[str]
    address: tuple[str, int]
    path: Path

    def new_connection(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(self.address, timeout=PATIENCE)

    def post(self, body: bytes, **headers: str) -> int:
        """Post *body* as NanoMDM does, and return the status. *headers* (``_`` for ``-``) replace the usual ones."""
        fields = {"Content-Type": "application/json; charset=utf-8"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", "/", body, fields)
            return connection.getresponse().status

    def post_signed(self, body: bytes) -> int:
        """Post *body* with a valid signature."""
        return self.post(body, X_Hmac_Signature=signature(body, KEY))

    def memory(self) -> int:
        """Return the resident memory of the process in bytes."""
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return int(shown.stdout) * 1024

    def enrolled_ids(self) -> tuple[str, ...]:
        """Return the enrollment ids of the enrolled devices."""
        return tuple(SqliteLedger(self.path).enrolled_ids())


@contextlib.contextmanager
def running(folder: Path, *, has_key: bool = True) -> Iterator[Command]:
    """Run the command on a free port, and kill it at the end."""
    arguments = ["--ledger", f"sqlite:///{folder / 'ledger.db'}", "--listen", "127.0.0.1:0"]
    if has_key:
        (folder / "key").write_bytes(KEY)
        arguments += ["--hmac-key-file", str(folder / "key")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ios_mdm", "receive", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            host, _, port = process.stdout.readline().removeprefix("listening on http://").rstrip("/\n").partition(":")
            yield Command(process, (host, int(port)), folder / "ledger.db")
        finally:
            process.kill()


def head(length: int, **headers: str) -> bytes:
    """Return the request line and headers of a POST of *length* bytes."""
    fields = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(length)}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


def flood(connections: list[socket.socket], sent: bytes, amount: int) -> None:
    """Send *sent* repeatedly on each connection, up to *amount* bytes or until the server stops reading."""
    left = dict.fromkeys(connections, amount)
    with selectors.DefaultSelector() as selector:
        for one in connections:
            one.setblocking(False)
            selector.register(one, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(timeout=1)
            if not ready:
                return
            for key, _ in ready:
                connection = next(one for one in connections if one is key.fileobj)
                try:
                    left[connection] -= connection.send(sent[: left[connection]])
                except OSError:  # the server has closed it
                    left[connection] = 0
                if left[connection] == 0:
                    selector.unregister(connection)


@pytest.mark.parametrize("claimed", ["", "AAAA"])
def test_large_bodies_without_a_valid_signature_take_little_memory(tmp_path: Path, claimed: str) -> None:
    """Row 5: forty senders without a key each send ten megabytes except the last byte.

    At commit cda6e65, the process then has 410 MB of memory instead of 25 MB.
    """  # R40
    signed = {"X_Hmac_Signature": claimed} if claimed else {}
    with running(tmp_path) as command, contextlib.ExitStack() as stack:
        before = command.memory()
        for length in (10 * MIB, 2 * MIB):
            connections = [stack.enter_context(command.new_connection()) for _ in range(40)]
            for one in connections:
                one.sendall(head(length, **signed))
            flood(connections, b" " * MIB, length - 1)
            assert command.memory() - before < 64 * MIB
        body = event("mdm.TokenUpdate")
        assert command.post_signed(body) == 200


def test_a_recorded_checkout_of_last_year_does_not_remove_a_device(tmp_path: Path) -> None:
    """Row 6: a replayed event has a valid signature, but it is older than the device's state in the ledger.

    At commit cda6e65, the device is then not enrolled any more.
    """  # R42
    now = datetime.now(UTC)
    recorded = event("mdm.CheckOut", at=now - timedelta(days=365))
    with running(tmp_path) as command:
        command.post_signed(recorded)
        assert command.post_signed(event("mdm.TokenUpdate", at=now)) == 200
        assert command.enrolled_ids() == ("D1",)
        command.post_signed(recorded)
        command.post_signed(event("mdm.CheckOut", at=now - timedelta(days=364)))
        assert command.enrolled_ids() == ("D1",)


def test_an_event_is_recorded_once(tmp_path: Path) -> None:
    """A second copy of an event does not change the ledger."""  # R42
    body = event(status="Error", command_uuid="c1", at=datetime.now(UTC))
    contents = []
    with running(tmp_path) as command:
        for _ in range(3):
            assert command.post_signed(body) == 200
            with contextlib.closing(sqlite3.connect(command.path)) as connection:
                contents.append(list(connection.iterdump()))
    assert contents[0] == contents[1] == contents[2]
    assert [line for line in contents[0] if line.startswith('INSERT INTO "event"')] != []


def test_refused_requests_do_not_fill_the_log(tmp_path: Path) -> None:
    """A sender without the key gets one line for each reason, and the number of its requests at the end."""
    with running(tmp_path) as command:
        for _ in range(50):
            assert command.post(b"{}") == 401
            assert command.post(b"{}", X_Hmac_Signature="A" * 43 + "=") == 401
        assert command.post_signed(event("mdm.TokenUpdate")) == 200
        command.process.send_signal(signal.SIGTERM)
        assert command.process.wait(PATIENCE) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    refused = [line for line in lines if line.startswith("refused a request: 401")]
    assert len(refused) < 50
    counted = [int(found[1]) for line in refused if (found := re.search(r"\(([0-9]+) more since", line))]
    assert len(refused) - len(counted) + sum(counted) == 100
    assert "mdm.TokenUpdate D1 " in lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_with_open_connections(tmp_path: Path, number: int) -> None:
    """Row 5: silent connections, incomplete headers or bodies, and single bytes do not delay the exit.

    At commit cda6e65, single bytes delay the exit without a limit.
    """
    with running(tmp_path) as command, contextlib.ExitStack() as stack:
        opened = [stack.enter_context(command.new_connection()) for _ in range(8)]
        body = event("mdm.TokenUpdate")
        begun = head(len(body), X_Hmac_Signature=signature(body, KEY)) + body
        for one, sent in zip(opened, (b"", b"P", b"POST / HTTP/1.1\r\nHost", begun[:-1]) * 2, strict=True):
            one.sendall(sent)
        assert command.post_signed(body) == 200
        command.process.send_signal(number)
        drip(opened[0], command.process)
        assert command.process.returncode == 0
        assert "Traceback" not in (tmp_path / "log").read_text()


def drip(connection: socket.socket, process: subprocess.Popen[str]) -> None:
    """Send a byte every tenth of a second until the process exits; fail after half a minute."""
    for _ in range(round(PATIENCE * 10)):
        with contextlib.suppress(OSError):
            connection.send(b"P")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            return
    pytest.fail("the process still runs")


@pytest.mark.parametrize(
    "forged",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:9100"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_web_page_cannot_post_without_a_key(tmp_path: Path, forged: dict[str, str]) -> None:
    """A web page in the administrator's browser reaches loopback, but with its host name or a simple content type."""
    body = json.dumps(json.loads(event("mdm.TokenUpdate"))).encode()
    with running(tmp_path, has_key=False) as command:
        assert command.post(body, **forged) >= 400
        assert command.enrolled_ids() == ()
        assert command.post(body) == 200
        assert command.enrolled_ids() == ("D1",)


def test_silent_connections_have_no_thread_each(tmp_path: Path) -> None:
    """Row 5: four hundred silent connections use no threads, and an event is still answered.

    At commit cda6e65, each connection has a thread.
    """  # R40
    with running(tmp_path) as command, contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(command.new_connection())
        assert command.post_signed(event("mdm.TokenUpdate")) == 200
        assert command.enrolled_ids() == ("D1",)
        threads = subprocess.run(
            ["ps", "-o", "nlwp=", "-p", str(command.process.pid)], capture_output=True, text=True, check=True
        )
        assert int(threads.stdout) < 20


def test_a_kill_in_the_middle_loses_no_acknowledged_event(tmp_path: Path) -> None:
    """Each device whose sender got 200 before SIGKILL is in the ledger."""  # R15
    acknowledged: list[str] = []
    enough = threading.Event()

    def send(name: int) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(10_000):
                device = f"{name}-{number}"
                assert command.post_signed(event("mdm.TokenUpdate", ids={"id": device})) == 200
                acknowledged.append(device)
                if len(acknowledged) > 100:
                    enough.set()

    with running(tmp_path) as command:
        senders = [threading.Thread(target=send, args=(name,)) for name in range(8)]
        for one in senders:
            one.start()
        assert enough.wait(PATIENCE)
        command.process.kill()
        for one in senders:
            one.join()
        assert set(acknowledged) <= set(command.enrolled_ids())
