"""Tests of the relay that delays calls of AWS."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from benchmarks.relay import delaying_relay


def test_calls_pass_on_one_connection_and_are_counted() -> None:
    """A client that keeps its connection keeps it through the relay, too."""
    connections = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            connections.add(self.client_address)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with delaying_relay(f"http://127.0.0.1:{server.server_address[1]}") as relay:
            client = http.client.HTTPConnection(urlsplit(relay.url).netloc)
            answers = []
            for body in (b"first", b"second"):
                client.request("POST", "/", body)
                answers.append(client.getresponse().read())
            client.close()
    finally:
        server.shutdown()
        server.server_close()
    assert answers == [b"first", b"second"]
    assert relay.calls == 2
    assert len(connections) == 1
