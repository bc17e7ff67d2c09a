"""A proxy that records every call to a service, and stacks of the real engine that make the calls."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, urlsplit

from tools.stack import Result, Stack, make_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from urllib.parse import SplitResult

__all__ = ["READS", "Answer", "Fault", "Recorded", "Result", "Stack", "make_stack", "recording_proxy", "refusal"]

READS = ("Describe", "Get", "List", "GET ")
"""Prefixes of the calls that change nothing: operations of AWS, and requests to REST APIs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of a service: HTTP status, headers and body."""

    status: int
    headers: Sequence[tuple[str, str]]
    content: bytes


class Fault(Protocol):
    """Fault of a service, which a proxy plays."""

    def answer(self, call: str, body: bytes, send: Callable[[str, bytes], Answer]) -> Answer:
        """Answer a call.

        Args:
            call: the call, as in ``Recorded.calls``.
            body: body of the request.
            send: sends a request to the service. Its arguments are the operation and the body. The operation of a
                request to a REST API cannot be changed.
        """


@dataclass(slots=True, kw_only=True)
class Recorded:
    """A service on loopback behind a proxy that records every call.

    Args:
        target: URL of the service.
        url: URL of the proxy.
        calls: the calls in order: the operation for AWS, else method and path.
        lives: number of writes that still pass; then every call is refused, as if the run had crashed. None for all.
        answers_last: whether the last write that passes is answered.
        denied: operations for which the caller has no permission.
        keeps_versions: whether a second value for a version id is refused, as by AWS. The emulators overwrite it.
        fault: fault of the service; None for a service without a fault.
    """

    target: str
    url: str = ""
    calls: list[str] = field(default_factory=list)
    lives: int | None = None
    answers_last: bool = True
    denied: set[str] = field(default_factory=set)
    keeps_versions: bool = False
    fault: Fault | None = None
    _versions: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, call: str, body: bytes) -> str | None:
        """Return the error code for a call that does not pass; None if it passes. Count the call."""
        if call in self.denied:
            return "AccessDeniedException"
        if self._has_version(call, body):
            return "ResourceExistsException"
        return None if self.passes(call) else "ValidationException"

    def _has_version(self, call: str, body: bytes) -> bool:
        """Return whether a call puts a value under a version id that has one, and note the id."""
        if not self.keeps_versions or call not in {"CreateSecret", "PutSecretValue"}:
            return False
        version: str = json.loads(body)["ClientRequestToken"]
        with self._lock:
            is_known = version in self._versions
            self._versions.add(version)
        return is_known and call == "PutSecretValue"

    def passes(self, call: str) -> bool:
        """Return whether a call passes, and count it."""
        if self.lives is None or (call.startswith(READS) and self.lives > 0):
            return True
        self.lives -= 1
        return self.lives >= 0

    @property
    def is_answer_dropped(self) -> bool:
        """Whether the answer to the current write is dropped."""
        return self.lives == 0 and not self.answers_last

    def writes(self) -> list[str]:
        """Return the calls that change data."""
        return [call for call in self.calls if not call.startswith(READS)]


def refusal(code: str, message: str = "refused by the test", *, is_form: bool = False) -> Answer:
    """Return the answer of AWS with an error code. IAM answers in XML (*is_form*), the other services in JSON."""
    if is_form:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Answer(400, [("Content-Type", "text/xml")], f"<ErrorResponse>{error}</ErrorResponse>".encode())
    content = json.dumps({"__type": code, "message": message}).encode()
    return Answer(400, [("Content-Type", "application/x-amz-json-1.1")], content)


def _upstream_answer(target: SplitResult, handler: BaseHTTPRequestHandler, call: str, body: bytes) -> Answer:
    """Send the request of a handler to a service, with this operation of AWS and this body."""
    headers = dict(handler.headers)
    if operation := headers.get("X-Amz-Target"):
        headers["X-Amz-Target"] = f"{operation.rpartition('.')[0]}.{call}"
    headers["Content-Length"] = str(len(body))
    upstream = http.client.HTTPConnection(str(target.hostname), target.port or 80)
    upstream.request(handler.command, handler.path, body, headers)
    found = upstream.getresponse()
    answer = Answer(found.status, found.getheaders(), found.read())
    upstream.close()
    return answer


@contextmanager
def recording_proxy(target: str) -> Iterator[Recorded]:
    """Run a recording proxy in front of *target*."""
    record = Recorded(target=target)
    parts = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # otherwise header and body, sent separately, take 40 ms per call

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # JSON services name the operation in a header, IAM in the form.
            form = parse_qs(body.decode("latin-1")) if body.startswith(b"Action=") else {}
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or form.get("Action", [""])[0]
            call = operation or f"{self.command} {self.path.partition('/enqueue/')[0]}"
            record.calls.append(call)
            if code := record.refusal(call, body):
                self.refuse(code, is_form=bool(form) and call in record.denied)
                return
            send = partial(_upstream_answer, parts, self)
            answer = send(call, body) if record.fault is None else record.fault.answer(call, body, send)
            if record.is_answer_dropped:
                self.refuse()
                return
            self.reply(answer)

        def refuse(self, code: str = "ValidationException", *, is_form: bool = False) -> None:
            self.reply(refusal(code, is_form=is_form))

        def reply(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers:
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_DELETE = forward  # noqa: N815 - http.server's names

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    record.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield record
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
