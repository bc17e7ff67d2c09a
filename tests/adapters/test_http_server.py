"""The HTTP server with a handler, over real connections: order, limits, slow senders and stops."""

from __future__ import annotations

import contextlib
import http.client
import resource
import select
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.adapters.http_server import HttpServer, Limits
from ios_mdm.core.http import MAX_BODY, Request, Response
from ios_mdm.errors import DefinitionError
from tests.support.long import bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PATIENCE = 30.0
"""Seconds after which a test fails."""

QUICK = Limits(patience=1.0, grace=1.0)
SENDERS = bounds(300, long=10_000)
"""Number of devices that answer at the same time."""


@dataclass
class Echo:
    """A handler that answers with the body. It refuses a request with the header ``Refuse`` without reading the body.

    Args:
        gate: the handler waits for it.
        batches: how many requests each call had.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def answer_without_body(self, request: Request) -> Response | None:
        """Refuse or answer a request from its head."""
        if "refuse" in request.headers:
            return Response(status=401, text="refused")
        return Response(status=200, text="here") if request.method != "POST" else None

    def answers(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Return each body; fail for the body ``fail``."""
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        self.batches.append(len(requests))
        self.requests += requests
        assert not any(one.body == b"fail" for one in requests)
        return [Response(status=200, text=one.body[:20].decode()) for one in requests]


@contextlib.contextmanager
def serving(limits: Limits | None = None, *, is_open: bool = True) -> Iterator[tuple[HttpServer, Echo]]:
    """Run a server on a free port. If *is_open*, the handler does not wait."""
    echo = Echo()
    if is_open:
        echo.gate.set()
    try:
        with HttpServer(echo, host="127.0.0.1", limits=limits) as server:
            yield server, echo
    finally:
        echo.gate.set()


def new_connection(server: HttpServer) -> socket.socket:
    """Return a new connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def post(server: HttpServer, body: bytes, **headers: str) -> tuple[int, str]:
    """Post *body*; return status and text of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode().rstrip()


def raw(server: HttpServer, sent: bytes) -> bytes:
    """Send bytes; return all bytes of the answer until the server closes the connection."""
    with new_connection(server) as one:
        one.sendall(sent)
        return rest(one)


def rest(one: socket.socket) -> bytes:
    """Return all bytes until the other end closes or resets the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := one.recv(65536):
            received += chunk
    return received


def head(length: int | str, *lines: str) -> bytes:
    """Return the head of a POST with additional lines."""
    return "\r\n".join(["POST / HTTP/1.1", "Host: x", f"Content-Length: {length}", *lines, "", ""]).encode()


def test_a_request_reaches_the_handler_as_it_is() -> None:
    """The handler gets the method, the path with its query, the header names in lower case, and the body."""
    with serving() as (server, echo):
        assert server.address == f"127.0.0.1:{server.port}"
        sent = b"POST /a/b?c=d HTTP/1.0\r\nX-One: 1\r\nx-ONE: 2\r\nContent-Length: 5\r\n\r\nhello"
        assert raw(server, sent).startswith(b"HTTP/1.1 200 OK\r\n")
    headers = {"x-one": "1,2", "content-length": "5"}
    assert echo.requests == [Request(method="POST", path="/a/b?c=d", headers=headers, body=b"hello")]


def test_each_connection_carries_one_request() -> None:
    """A second request on a connection is not read, so no sender uses a connection that is being closed."""
    with serving() as (server, echo):
        answer = raw(server, (head(1) + b"a") * 3)
        assert answer.count(b"HTTP/1.1") == 1
        assert b"Connection: close\r\n" in answer
    assert len(echo.requests) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_no_sender_is_promised_that_its_connection_stays_open(version: str) -> None:
    """A proxy with HTTP/1.0 and keep-alive would use the connection while it is closed, and lose an event."""
    with serving() as (server, echo):
        sent = f"POST / HTTP/{version}\r\nHost: x\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na"
        assert b"keep-alive" not in raw(server, sent.encode()).lower()
    assert echo.requests[0].headers["connection"] == "keep-alive"


def test_requests_that_wait_share_a_call_of_the_handler() -> None:
    """Complete requests are collected while the handler works. Each request gets its answer."""
    with serving(is_open=False) as (server, echo), contextlib.ExitStack() as stack:
        opened = [stack.enter_context(new_connection(server)) for _ in range(50)]
        for number, one in enumerate(opened):
            body = f"{number}".encode()
            one.sendall(head(len(body)) + body)
        assert echo.entered.wait(PATIENCE)
        wait(lambda: server._work.unanswered == 50)
        echo.gate.set()
        for number, one in enumerate(opened):
            assert rest(one).endswith(f"\r\n\r\n{number}\n".encode())
        assert sum(echo.batches) == 50
        assert len(echo.batches) <= 3


def wait(condition: Callable[[], bool]) -> None:
    """Wait until *condition* is true; fail after half a minute."""
    never = threading.Event()
    for _ in range(round(PATIENCE * 100)):
        if condition():
            return
        never.wait(0.01)
    pytest.fail("it does not happen")


def test_a_fleet_that_answers_at_once_loses_nothing() -> None:
    """With more senders than connections, the others wait for an answer, and none is refused."""
    with serving(Limits(connections=20)) as (server, echo):
        answers: list[tuple[int, str]] = []
        threads = [
            threading.Thread(target=lambda one=one: answers.append(post(server, f"{one}".encode())))
            for one in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == sorted((200, f"{one}") for one in range(SENDERS))
    assert len(echo.requests) == SENDERS


def test_connections_that_wait_are_distributed_over_several_queues() -> None:
    """More senders than one queue takes are connected before the server accepts the first of them."""
    echo = Echo()
    echo.gate.set()
    server = HttpServer(echo, host="127.0.0.1", limits=Limits(backlog=50, queues=8))
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(150):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", server.port))
            opened.append(one)
        _, connected, _ = select.select([], opened, [], 0)
        assert len(connected) == len(opened)
        with server:
            for one in opened:
                one.setblocking(True)
                one.sendall(head(1) + b"a")
            assert all(b" 200 OK" in rest(one) for one in opened)


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        (b"", b""),
        (b"P", b""),
        (b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: ", b""),
        (head(1000) + b"{", b"HTTP/1.1 408 "),
        (head(1024 * 1024) + b"{", b"HTTP/1.1 408 "),
        (head(1024 * 1024) + b"{" * 100_000, b"HTTP/1.1 408 "),
        (head(1000, "Refuse: 1") + b"{", b"HTTP/1.1 401 "),
    ],
)
def test_a_slow_sender_is_closed_although_it_sends(begun: bytes, expected: bytes) -> None:
    """Head and body have a deadline, so occasional bytes do not keep a connection open."""  # R40
    with serving(QUICK) as (server, echo), new_connection(server) as slow:
        slow.sendall(begun)
        for _ in range(round(PATIENCE * 20)):
            readable, _, _ = select.select([slow], [], [], 0.05)
            if readable:
                break
            with contextlib.suppress(ConnectionError):
                slow.send(b"a")
        assert readable
        assert rest(slow).startswith(expected)
        assert post(server, b"next") == (200, "next")
    assert len(echo.requests) == 1


def test_silent_connections_up_to_the_limit_are_replaced() -> None:
    """The next sender is answered as soon as the silent connections are closed."""
    with serving(Limits(connections=4, patience=1.0)) as (server, _), contextlib.ExitStack() as stack:
        for _ in range(9):
            stack.enter_context(new_connection(server))
        assert post(server, b"next") == (200, "next")


def test_the_limit_of_open_files_limits_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file descriptors stay free for the ledger."""
    for soft, expected in ((256, 192), (65_536, 512), (resource.RLIM_INFINITY, 512), (10, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert Limits().descriptors == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [("-1", 411), ("many", 411), ("9" * 30, 411), ("", 411), (str(MAX_BODY + 1), 413), ("9" * 18, 413)],
)
def test_a_body_without_a_length_or_over_the_limit_is_not_read(length: str, expected: int) -> None:
    """The server answers before the body arrives."""
    with serving() as (server, echo):
        assert raw(server, head(length)).startswith(f"HTTP/1.1 {expected} ".encode())
        assert post(server, b"next") == (200, "next")
    assert len(echo.requests) == 1


def test_a_chunked_body_is_refused() -> None:
    """A chunked body has no length in advance. NanoMDM always sends a length."""
    with serving() as (server, echo):
        sent = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        assert raw(server, sent).startswith(b"HTTP/1.1 411 ")
        both = sent.replace(b"Host: x\r\n", b"Host: x\r\nContent-Length: 3\r\n")
        assert b" 200 " not in raw(server, both)
    assert echo.requests == []


def test_a_head_over_the_limit_is_not_read_to_its_end() -> None:
    """The server closes the connection."""
    with serving() as (server, echo):
        assert b" 200 " not in raw(server, b"POST / HTTP/1.1\r\nX-Long: " + b"a" * 100_000)
        assert post(server, b"next") == (200, "next")
    assert len(echo.requests) == 1


def test_a_large_body_is_read_in_parts() -> None:
    """The body can have any length up to the limit, and the sender may wait for `100 Continue` first."""
    body = b"x" * MAX_BODY
    with serving() as (server, echo):
        assert post(server, body) == (200, "x" * 20)
        with new_connection(server) as one:
            one.sendall(head(len(body), "Expect: 100-continue"))
            assert one.recv(100).startswith(b"HTTP/1.1 100 ")
            one.sendall(body)
            assert b" 200 OK\r\n" in rest(one)
    assert [one.body for one in echo.requests] == [body, body]


@pytest.mark.parametrize("sent", [0, 1000, 40_000])
def test_a_large_event_is_answered_while_others_drip(sent: int) -> None:
    """Any number of senders that stop, before or after they have a place, do not block another sender."""  # R40
    body = b"x" * MAX_BODY
    with serving(Limits(grace=2.0)) as (server, echo), contextlib.ExitStack() as stack:
        for _ in range(10):
            slow = stack.enter_context(new_connection(server))
            slow.sendall(head(MAX_BODY) + b"x" * sent)
        assert post(server, body) == (200, "x" * 20)
        assert post(server, b"small") == (200, "small")
    assert [one.body for one in echo.requests] == [body, b"small"]


def test_a_sender_that_has_sent_little_has_no_place() -> None:
    """Large bodies that begin slowly have no effect on other senders, even before their deadline."""  # R40
    large = b"x" * 100_000
    with serving(Limits(large=1, grace=PATIENCE)) as (server, _), contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(new_connection(server)).sendall(head(MAX_BODY) + b"x" * 1000)
        assert post(server, large) == (200, "x" * 20)


def test_few_large_bodies_are_read_at_once() -> None:
    """The next large body waits and is not refused. Small bodies do not wait."""
    large = b"x" * 100_000
    with serving(Limits(large=1, grace=PATIENCE)) as (server, _), contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(new_connection(server)) for _ in range(2))
        first.sendall(head(len(large)) + large[:-1])
        second.sendall(head(len(large)) + large)
        assert post(server, b"small") == (200, "small")
        first.sendall(large[-1:])
        assert b" 200 OK\r\n" in rest(first)
        assert b" 200 OK\r\n" in rest(second)


def test_a_large_body_waits_as_long_as_the_handler_works() -> None:
    """A refusal would lose the event. The place is free when the first sender is answered or disconnects."""
    large = b"x" * 100_000
    limits = Limits(large=1, patience=0.1, grace=PATIENCE)
    with serving(limits, is_open=False) as (server, echo), contextlib.ExitStack() as stack:
        first, second, gone, small = (stack.enter_context(new_connection(server)) for _ in range(4))
        first.sendall(head(len(large)) + large)
        assert echo.entered.wait(PATIENCE)
        second.sendall(head(len(large)) + large)
        gone.sendall(head(len(large)) + b"x" * 50_000)
        gone.close()
        small.sendall(head(5) + b"small")
        wait(lambda: server._work.unanswered == 2)
        echo.gate.set()
        assert b" 200 OK\r\n" in rest(first)
        assert b" 200 OK\r\n" in rest(second)
        assert [len(one.body) for one in echo.requests] == [100_000, 5, 100_000]
        assert post(server, large) == (200, "x" * 20)


@pytest.mark.parametrize("length", [5, 100_000])
def test_a_refused_request_gets_its_answer(length: int) -> None:
    """A small body is read and dropped, and a large one is not read. The handler gets neither of them."""
    with serving() as (server, echo):
        refused = head(length, "Refuse: 1")
        assert raw(server, refused + b"x" * min(length, 5)).startswith(b"HTTP/1.1 401 ")
        assert raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"\r\n\r\nhere\n")
        answer = raw(server, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n")
    assert echo.requests == []


def test_a_sender_that_hangs_up_stops_no_other() -> None:
    """An incomplete request is dropped, and an answer that cannot be delivered is no error."""
    with serving(is_open=False) as (server, echo):
        with new_connection(server) as half, new_connection(server) as whole:
            half.sendall(head(1000) + b"{")
            whole.sendall(head(4) + b"gone")
            assert echo.entered.wait(PATIENCE)
        echo.gate.set()
        assert post(server, b"next") == (200, "next")
    assert [one.body for one in echo.requests] == [b"gone", b"next"]


def test_a_handler_that_fails_is_a_500_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The server answers the next request."""
    with serving() as (server, _):
        assert post(server, b"fail") == (500, "failed")
        assert post(server, b"next") == (200, "next")
    assert "a handler failed" in caplog.text


def test_a_stop_answers_the_requests_that_are_complete() -> None:
    """The events of these requests are written, so the senders get the answer."""
    with contextlib.ExitStack() as stack:
        server, echo = stack.enter_context(serving(is_open=False))
        one = stack.enter_context(new_connection(server))
        one.sendall(head(1) + b"a")
        assert echo.entered.wait(PATIENCE)
        server.stop()
        echo.gate.set()
        assert rest(one).endswith(b"a\n")


def test_a_stop_answers_the_connections_that_wait_for_a_place() -> None:
    """A connection in a queue may have sent its request, and closing the queue resets it."""  # R40
    with (
        serving(Limits(connections=4, stop=PATIENCE), is_open=False) as (server, echo),
        contextlib.ExitStack() as stack,
    ):
        opened = [stack.enter_context(new_connection(server)) for _ in range(20)]
        for one in opened:
            one.sendall(head(1) + b"a")
        wait(lambda: server._work.unanswered >= 4)
        server.stop()
        echo.gate.set()
        assert all(rest(one).endswith(b"a\n") for one in opened)


def test_a_stop_does_not_wait_for_silent_connections() -> None:
    """Connections without a request, or with a part of one, are closed at once."""  # R40
    with serving(Limits(connections=4, stop=1000.0)) as (server, _), contextlib.ExitStack() as stack:
        silent, slow = (stack.enter_context(new_connection(server)) for _ in range(2))
        slow.sendall(head(1000) + b"{")
        assert post(server, b"next") == (200, "next")
        server.stop()
        assert rest(silent) == rest(slow) == b""


def test_a_stop_does_not_wait_for_a_handler_that_hangs() -> None:
    """The sender gets no answer, and the process can end."""
    with contextlib.ExitStack() as stack:
        echo = Echo()
        with HttpServer(echo, host="127.0.0.1", limits=Limits(stop=0.2)) as server:
            one = stack.enter_context(new_connection(server))
            one.sendall(head(1) + b"a")
            assert echo.entered.wait(PATIENCE)
        assert rest(one) == b""
        echo.gate.set()


def test_a_stop_does_not_wait_for_a_body_that_waits() -> None:
    """A handler that hangs keeps the place, so no other request frees the place."""  # R40
    large = b"x" * 100_000
    limits = Limits(large=1, stop=0.2, patience=1000.0, grace=1000.0)
    with serving(limits, is_open=False) as (server, echo), contextlib.ExitStack() as stack:
        first, second, small = (stack.enter_context(new_connection(server)) for _ in range(3))
        first.sendall(head(len(large)) + large)
        assert echo.entered.wait(PATIENCE)
        second.sendall(head(len(large)) + large)
        small.sendall(head(1) + b"a")
        wait(lambda: server._work.unanswered == 2)
        server.stop()
        server._thread.join(PATIENCE / 2)  # the handler of the test returns later
        is_running = server._thread.is_alive()
        echo.gate.set()
    assert not is_running


def test_requests_of_senders_that_hung_up_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their connections are free at once, but not their memory, so the next senders wait for the handler."""  # R40
    unanswered: list[int] = []
    with serving(Limits(connections=4), is_open=False) as (server, echo), contextlib.ExitStack() as stack:

        def add(*arguments: Any) -> None:
            original(*arguments)
            unanswered.append(server._work.unanswered)

        original = server._work.add
        monkeypatch.setattr(server._work, "add", add)
        for _ in range(50):
            with new_connection(server) as one:
                one.sendall(head(5) + b"x" * 5)
        last = stack.enter_context(new_connection(server))
        last.sendall(head(4) + b"last")
        wait(lambda: server._work.unanswered >= 4)
        echo.gate.set()
        assert rest(last).endswith(b"last\n")
        wait(lambda: len(echo.requests) == 51)  # the other queues may be behind
    assert max(unanswered) < 8


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (head(3, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n", 411),
        (head(3, "Transfer-Encoding: identity") + b"abc", 411),
        (head(3, "Content-Length: 3") + b"abc", 411),
        (head(3, "Content-Length: 4") + b"abcd", 411),
        (head("+3") + b"abc", 411),
        (head("3, 3") + b"abc", 411),
        (head(3, "Transfer-Encoding : chunked") + b"abc", 400),
        (head(3, " folded: x") + b"abc", 400),
        (head(3, "X-Nul: a\0b") + b"abc", 400),
        (b"POST / HTTP/2.0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\xff\xfe / HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_an_ambiguous_request_has_one_answer(sent: bytes, expected: int) -> None:
    """A proxy might read an ambiguous request differently. The handler does not get such a request."""  # R40
    with serving() as (server, echo):
        answer = raw(server, sent)
        assert answer.startswith(f"HTTP/1.1 {expected} ".encode())
        assert answer.count(b"HTTP/1.1") == 1
    assert echo.requests == []


@pytest.mark.parametrize("length", [5, 100_000, MAX_BODY + 1])
def test_a_refused_sender_is_not_asked_for_its_body(length: int) -> None:
    """A sender that waits for `100 Continue` gets the answer instead."""  # R40
    with serving() as (server, echo):
        answer = raw(server, head(length, "Expect: 100-continue", "Refuse: 1"))
        assert answer.startswith(b"HTTP/1.1 401 ")
    assert echo.requests == []


def test_an_address_in_use_is_an_error_of_the_definition() -> None:
    """The port is in use, or the address belongs to another machine."""
    with serving() as (server, _), pytest.raises(DefinitionError, match="cannot listen on 127"):
        HttpServer(Echo(), host="127.0.0.1", port=server.port)
    with pytest.raises(DefinitionError, match="cannot listen on 203"):
        HttpServer(Echo(), host="203.0.113.1")
