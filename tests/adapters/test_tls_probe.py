"""What a server presents, seen in real handshakes; and what is said where nothing can be seen."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from provider.adapters.tls_probe import TlsProbe
from provider.core.certificates import credential_to_json
from provider.core.definition import KeyType
from provider.core.issuing import issue
from tests.tls_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "mdm.example.com"
OURS = issue(HOST, key=KeyType.EC_P256, validity_days=397, now=datetime(2040, 1, 1, tzinfo=UTC))
PROBE = TlsProbe(seconds=2)


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen, and let *answer* deal with every connection; yield the endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_the_certificate_is_seen_whatever_it_is_worth(tmp_path: Path) -> None:
    """One that is not valid yet, and that nobody trusts: what counts is that it is presented."""  # R17
    with serving(credential_to_json(OURS), tmp_path) as endpoint:
        (seen,) = PROBE.served(HOST, [endpoint])
    assert (seen.endpoint, seen.sha256, seen.problem) == (endpoint, OURS.sha256, "")


@pytest.mark.parametrize(
    ("version", "demand", "seen"),
    [
        (ssl.TLSVersion.TLSv1_2, ssl.CERT_OPTIONAL, True),
        (ssl.TLSVersion.TLSv1_3, ssl.CERT_OPTIONAL, True),
        (ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED, True),
        (ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED, False),
    ],
)
def test_a_server_that_asks_for_a_client_certificate(
    tmp_path: Path, version: ssl.TLSVersion, demand: ssl.VerifyMode, *, seen: bool
) -> None:
    """It is seen, unless it ends a TLS 1.2 handshake for want of one: nginx does not, it answers 400 afterwards."""
    (tmp_path / "crt").write_text(OURS.certificate, encoding="ascii")
    (tmp_path / "key").write_text(OURS.private_key, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    context.verify_mode = demand
    context.load_verify_locations(tmp_path / "crt")
    context.minimum_version = context.maximum_version = version

    def shake(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True):
                pass
        except OSError:
            pass

    with answering(shake) as endpoint:
        (found,) = PROBE.served(HOST, [endpoint])
    assert (found.sha256 == OURS.sha256) == seen
    assert (found.problem == "") == seen


def test_the_name_is_asked_for(tmp_path: Path) -> None:
    """The server gets the host as server name (SNI), not the endpoint."""
    (tmp_path / "crt").write_text(OURS.certificate, encoding="ascii")
    (tmp_path / "key").write_text(OURS.private_key, encoding="ascii")
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    context.sni_callback = lambda _connection, name, _context: asked.append(name)

    def shake(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True):
                pass
        except OSError:
            pass

    with answering(shake) as endpoint:
        PROBE.served(HOST, [endpoint])
    assert asked == [HOST]


def test_what_cannot_be_seen_has_a_reason(tmp_path: Path) -> None:
    """A closed port, a server without TLS, one that hangs up: one line each, in the order asked for, and no error."""
    with socket.socket() as bound, answering(lambda one: one.sendall(b"HTTP/1.1 400\r\n\r\n")) as plain:
        bound.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{bound.getsockname()[1]}"
        with answering(lambda _one: None) as hangs_up, serving(credential_to_json(OURS), tmp_path) as good:
            seen = PROBE.served(HOST, [closed, plain, hangs_up, good])
    assert [one.endpoint for one in seen] == [closed, plain, hangs_up, good]
    assert [one.sha256 for one in seen] == [None, None, None, OURS.sha256]
    assert seen[0].problem == "connection refused"
    assert seen[1].problem.startswith("no TLS handshake")
    assert seen[2].problem.startswith("the connection was closed")
    assert all("\n" not in one.problem for one in seen)


@pytest.mark.parametrize("drip", [b"", b"\x16"], ids=["silent", "a byte at a time"])
def test_a_server_that_never_answers_does_not_hold_it_up(drip: bytes) -> None:
    """The time is for the whole handshake, not for each byte of it."""
    released = threading.Event()

    def stall(connection: socket.socket) -> None:
        while not released.wait(0.05):
            try:
                connection.sendall(drip)
            except OSError:
                return

    with answering(stall) as endpoint:
        (seen,) = TlsProbe(seconds=0.3).served(HOST, [endpoint])
        released.set()
    assert seen.sha256 is None
    assert seen.problem != ""


def test_nothing_to_look_at_is_nothing_seen() -> None:
    """An empty list."""
    assert PROBE.served(HOST, []) == ()
