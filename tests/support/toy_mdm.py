"""A toy MDM server, a channel to it that passes the conformance kit, and its bench."""

from __future__ import annotations

import http.client
import http.server
import json
import logging
import plistlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ios_mdm.core.enrollment import checked_enrollment_ids
from ios_mdm.errors import BatchTooLargeError, DeliveryError
from tests.support.channel_kit import DeviceBench, Failure
from tests.support.nanomdm_server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

__all__ = ["ToyBench", "ToyChannel", "command"]

_TOO_LARGE = 413
_REFUSED = 500


def command(number: int, stem: str = "command") -> bytes:
    """Return an InstallProfile command whose CommandUUID has this number."""
    body = {"RequestType": "InstallProfile", "Payload": b"a profile"}
    return plistlib.dumps({"CommandUUID": f"{stem}-{number}", "Command": body})


@dataclass(slots=True)
class ToyServer:
    """The state of the server.

    Args:
        queues: CommandUUIDs that each device got, in their order.
        known: CommandUUIDs of all commands. A known one makes a call a repetition.
        failure: how the server fails; None for not at all.
        calls: number of calls.
    """

    queues: dict[str, list[str]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    failure: Failure | None = None
    calls: int = 0

    def answer(self, call: Mapping[str, object], key: str) -> tuple[int, str]:
        """Return the HTTP status and the JSON that answer a call."""
        self.calls += 1
        ids, uuid = [str(one) for one in json.loads(json.dumps(call["ids"]))], str(call["uuid"])
        if self.failure is Failure.ECHO:
            return _REFUSED, json.dumps({"error": f"refused: {key}"})
        if self.failure is Failure.TOO_LARGE and len(ids) > 1:
            return _TOO_LARGE, "{}"
        if uuid in self.known:
            return 200, "{}"
        self.known.add(uuid)
        refused = ids[:1] if self.failure is Failure.PARTIAL else []
        for one in ids[len(refused) :]:
            self.queues.setdefault(one, []).append(uuid)
        asleep = len(ids) if self.failure is Failure.ASLEEP else 0
        return 200, json.dumps({"refused": len(refused), "asleep": asleep})


@contextmanager
def toy_server() -> Iterator[tuple[int, ToyServer]]:
    """Run a server on loopback; yield its port and its state."""
    state = ToyServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers calls, and keeps connections open."""

        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            """Answer a call."""
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, text = state.answer(call, self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield serving.server_port, state
        finally:
            serving.shutdown()
            thread.join()


@dataclass(slots=True)
class ToyChannel:
    """A channel to a toy server. Each step is a method, which a bad channel replaces."""

    port: int
    key: str = field(repr=False)
    timeout: float | None = 5.0
    batch_size: int = 500
    memory: dict[bytes, Sequence[str]] = field(default_factory=dict, repr=False)

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return batches of equal size."""
        ids = self.checked_ids(enrollment_ids)
        return [ids[at : at + self.batch_size] for at in range(0, len(ids), self.batch_size)]

    def enqueue(self, enrollment_ids: Sequence[str], content: bytes) -> tuple[str, ...]:
        """Queue the command."""
        ids = self.checked_ids(enrollment_ids)
        status, text = self.call(ids, self.uuid(content))
        return self.result(ids, status, json.loads(text))

    def checked_ids(self, ids: Sequence[str]) -> Sequence[str]:
        """Return the devices without duplicates."""
        return checked_enrollment_ids(ids)

    def uuid(self, content: bytes) -> str:
        """Return the CommandUUID."""
        return str(plistlib.loads(content)["CommandUUID"])

    def call(self, ids: Sequence[str], uuid: str) -> tuple[int, str]:
        """Send a call; return the status and the text of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        logging.getLogger("toy").debug("calling port %s", self.port)
        try:
            connection.request("PUT", "/", json.dumps({"ids": ids, "uuid": uuid}), {"Authorization": self.key})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            raise self.down(error) from None
        finally:
            self.finish(connection)

    def down(self, error: OSError) -> Exception:
        """Return the error for a server that does not answer."""
        return DeliveryError(f"the toy server does not answer: {error}")

    def close(self) -> None:
        """Do nothing: each call closes its connection."""

    def finish(self, connection: http.client.HTTPConnection) -> None:
        """Close the connection."""
        connection.close()

    def result(self, ids: Sequence[str], status: int, answer: Mapping[str, object]) -> tuple[str, ...]:
        """Return the notices, or raise the error."""
        if status == _TOO_LARGE:
            raise self.too_large(ids)
        if status != 200:
            raise DeliveryError(f"the toy server refuses the call: {self.keyless_text(str(answer.get('error')))}")
        if answer.get("refused"):
            raise DeliveryError(f"the toy server refuses {answer['refused']} of {len(ids)} devices")
        return ("the devices sleep",) if answer.get("asleep") else ()

    def too_large(self, ids: Sequence[str]) -> Exception:
        """Return the error for a call that is too large."""
        return BatchTooLargeError(f"{len(ids)} devices are too many")

    def keyless_text(self, text: str) -> str:
        """Return a text of the server without the key."""
        return text.replace(self.key, "***")


class ToyBench(DeviceBench):
    """The bench of a channel to a toy server."""

    kind: ClassVar[type[ToyChannel]] = ToyChannel
    key = "k3y-of-the-toy"
    devices = ("CCCC-3", "AAAA-1", "BBBB-2")

    def __init__(self, port: int, server: ToyServer) -> None:
        """Use a running server."""
        self.port = port
        self.server = server

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Yield a bench with a new server."""
        with toy_server() as (port, server):
            yield cls(port, server)

    def channel(self) -> ToyChannel:
        """Return a channel to the server."""
        return self.kind(self.port, self.key)

    def enqueue(self, channel: object, ids: Sequence[str], number: int) -> tuple[str, ...]:
        """Queue a command."""
        assert isinstance(channel, ToyChannel)
        return channel.enqueue(ids, command(number))

    def effects(self) -> Mapping[str, Sequence[int]]:
        """Return the commands that the devices got."""
        return {one: [int(uuid.split("-")[1]) for uuid in uuids] for one, uuids in self.server.queues.items()}

    @contextmanager
    def failing(self, failure: Failure) -> Iterator[ToyChannel]:
        """Yield a channel to the failing server."""
        self.server.failure, self.server.calls = failure, 0
        try:
            yield self.kind(free_port() if failure is Failure.DOWN else self.port, self.key)
        finally:
            self.server.failure = None

    def calls(self) -> int:
        """Return the number of calls."""
        return self.server.calls
