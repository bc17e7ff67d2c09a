"""A receiver for NanoMDM's webhook that keeps the events in memory, for tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import plistlib
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from tools.services.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One webhook event: `topic` (such as mdm.Connect), device, and for an answer the command's UUID and status.

    `message` is the plist of the device. `genuine` is true if the HMAC of the event is correct.
    """

    topic: str
    udid: str
    command: str
    status: str
    message: bytes
    genuine: bool

    def answer(self) -> dict[str, object]:
        """Return the parsed message of the device. For the status Error it contains an ErrorChain."""
        parsed: dict[str, object] = plistlib.loads(self.message)
        return parsed


class Recorder:
    """Context manager that listens on a free loopback port and records the events in the order of their arrival.

    `key` is the file of the HMAC key. It is read for each event, because NanoMDM may create it later.
    """

    def __init__(self, key: Path) -> None:
        """Open the port, so that `url` is known. Events are received inside the `with` block."""
        self._events: list[Event] = []
        self._changed = threading.Condition()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                recorder._record(_event(body, self.headers.get("X-Hmac-Signature", ""), key))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Log nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/"

    def __enter__(self) -> Self:
        """Start to receive events."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def events(self) -> tuple[Event, ...]:
        """Events received so far."""
        with self._changed:
            return tuple(self._events)

    def answers(self, command: str, count: int, *, patience: float = 30) -> dict[str, Event]:
        """Wait until `count` devices have answered the command with this UUID; return their last answers by device.

        Raises:
            TimeoutError: Fewer devices answered within `patience` seconds.

        """

        def found() -> dict[str, Event]:
            return {event.udid: event for event in self._events if event.command == command}

        self.wait(lambda: len(found()) >= count, f"{count} answers to {command}", patience=patience)
        with self._changed:
            return found()

    def wait(self, reached: Callable[[], bool], description: str, *, patience: float = 30) -> None:
        """Wait until a condition holds. It is checked after each event.

        Raises:
            TimeoutError: The condition does not hold after `patience` seconds.

        """
        with self._changed:
            if not self._changed.wait_for(reached, timeout=patience):
                raise TimeoutError(f"no {description} within {patience:.0f} s; events received: {len(self._events)}")

    def _record(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()


def _event(body: bytes, signature: str, key: Path) -> Event:
    expected = base64.b64encode(hmac.new(key.read_bytes(), body, hashlib.sha256).digest()).decode()
    parsed = json.loads(body)
    detail = parsed.get("acknowledge_event") or parsed.get("checkin_event") or {}
    return Event(
        topic=parsed["topic"],
        udid=detail.get("udid", ""),
        command=detail.get("command_uuid", ""),
        status=detail.get("status", ""),
        message=base64.b64decode(detail.get("raw_payload", "")),
        genuine=hmac.compare_digest(expected, signature),
    )
