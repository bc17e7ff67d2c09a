"""An MDM server of an attacker, which records the API keys in its requests."""

from __future__ import annotations

import base64
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tools.services.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Taker:
    """The server of an attacker, which records each request."""

    url: str = ""
    received: list[str] = field(default_factory=list)


@contextmanager
def taker() -> Iterator[Taker]:
    """Run the server on loopback."""
    found = Taker()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            kind, _, credential = self.headers.get("Authorization", "").partition(" ")
            assert kind == "Basic"
            found.received.append(base64.b64decode(credential).decode())
            self.send_response(401)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.url = f"http://{LOOPBACK}:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def attacker() -> Iterator[Taker]:
    """Return the server of an attacker."""
    with taker() as found:
        yield found
