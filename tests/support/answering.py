"""An HTTP server on loopback that gives one fixed answer and records the requests."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tools.services.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(slots=True, kw_only=True)
class Answering:
    """The server.

    Args:
        url: base URL.
        status: status of each answer.
        content: content of each answer.
        headers: further headers of each answer.
        requests: paths with queries of the received requests.
        credentials: values of their header Authorization.
    """

    url: str = ""
    status: int = 200
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    credentials: list[str] = field(default_factory=list)


@contextmanager
def answering_server(content: bytes = b"", *, status: int = 200) -> Iterator[Answering]:
    """Run the server until the block ends."""
    found = Answering(content=content, status=status)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.requests.append(self.path)
            found.credentials.append(self.headers.get("Authorization", ""))
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.content)

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            """Print nothing: some clients close the connection early."""

    server = Quiet((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.url = f"http://{LOOPBACK}:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
