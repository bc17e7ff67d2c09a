"""The presented certificate, read in real handshakes, and the reasons if it cannot be read."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.tls_probe import TlsProbe
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.core.x509.issuing import issue
from tests.support.tls_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "mdm.example.com"
OWN_CERTIFICATE = issue(HOST, key=KeyType.EC_P256, validity_days=397, now=datetime(2040, 1, 1, tzinfo=UTC))
PROBE = TlsProbe(seconds=2)


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen, and pass every connection to *answer*; yield the endpoint."""
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
    """A certificate that is not valid yet, and not trusted, is reported as presented."""  # R17
    with serving(credential_to_json(OWN_CERTIFICATE), tmp_path) as endpoint:
        (seen,) = PROBE.served_certificates(HOST, [endpoint])
    assert (seen.endpoint, seen.sha256, seen.problem) == (endpoint, OWN_CERTIFICATE.sha256, "")


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
    """The certificate is read, unless the server ends a TLS 1.2 handshake for lack of a client certificate.

    nginx does not end the handshake, but answers 400 afterwards.
    """
    (tmp_path / "crt").write_text(OWN_CERTIFICATE.certificate, encoding="ascii")
    (tmp_path / "key").write_text(OWN_CERTIFICATE.private_key, encoding="ascii")
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
        (found,) = PROBE.served_certificates(HOST, [endpoint])
    assert (found.sha256 == OWN_CERTIFICATE.sha256) == seen
    assert (found.problem == "") == seen


def test_the_name_is_asked_for(tmp_path: Path) -> None:
    """The server gets the host, and not the endpoint, as server name (SNI)."""
    (tmp_path / "crt").write_text(OWN_CERTIFICATE.certificate, encoding="ascii")
    (tmp_path / "key").write_text(OWN_CERTIFICATE.private_key, encoding="ascii")
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
        PROBE.served_certificates(HOST, [endpoint])
    assert asked == [HOST]


def test_an_endpoint_that_cannot_be_checked_has_a_reason(tmp_path: Path) -> None:
    """A closed port, a server without TLS and a reset have one line each, in the order of the endpoints."""
    with socket.socket() as bound, answering(lambda one: one.sendall(b"HTTP/1.1 400\r\n\r\n")) as plain:
        bound.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{bound.getsockname()[1]}"
        with answering(lambda _one: None) as hangs_up, serving(credential_to_json(OWN_CERTIFICATE), tmp_path) as good:
            seen = PROBE.served_certificates(HOST, [closed, plain, hangs_up, good])
    assert [one.endpoint for one in seen] == [closed, plain, hangs_up, good]
    assert [one.sha256 for one in seen] == [None, None, None, OWN_CERTIFICATE.sha256]
    assert seen[0].problem == "connection refused"
    assert seen[1].problem.startswith("no TLS handshake")
    assert seen[2].problem.startswith("the connection was closed")
    assert all("\n" not in one.problem for one in seen)


@pytest.mark.parametrize("drip", [b"", b"\x16"], ids=["silent", "a byte at a time"])
def test_a_server_that_never_answers_does_not_hold_it_up(drip: bytes) -> None:
    """The time limit applies to the whole handshake, and not to each byte."""
    released = threading.Event()

    def stall(connection: socket.socket) -> None:
        while not released.wait(0.05):
            try:
                connection.sendall(drip)
            except OSError:
                return

    with answering(stall) as endpoint:
        (seen,) = TlsProbe(seconds=0.3).served_certificates(HOST, [endpoint])
        released.set()
    assert seen.sha256 is None
    assert seen.problem != ""


def test_a_name_that_is_never_found_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name lookup of the system has no time limit, but the probe has."""
    released = threading.Event()

    def search(*_asked: object, **_named: object) -> list[object]:
        released.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", search)
    (seen,) = TlsProbe(seconds=0.1).served_certificates(HOST, ["slow.example.com"])
    released.set()
    assert (seen.sha256, seen.problem) == (None, "no answer in time")


def test_every_address_of_a_name_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address refuses or never answers, and the second one is the server."""
    asked: list[tuple[object, object]] = []
    with serving(credential_to_json(OWN_CERTIFICATE), tmp_path) as endpoint, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        open_port = int(endpoint.rpartition(":")[2])
        search = socket.getaddrinfo

        def both(host: str, port: int, *rest: int, **named: int) -> object:
            if host != HOST:
                return search(host, port, *rest, **named)
            asked.append((host, port))
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", one))
                for one in (bound.getsockname()[1], open_port)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        (seen,) = PROBE.served_certificates(HOST, [HOST])
    assert seen.sha256 == OWN_CERTIFICATE.sha256
    assert asked == [(HOST, 443)], "the port of a bare name"


@pytest.mark.parametrize(
    "endpoint",
    ["", ":443", "127.0.0.1:https", "127.0.0.1:99999", "::1", "[::1", f"{'a' * 64}.example.com"],
)
def test_an_invalid_endpoint_is_reported_and_not_raised(endpoint: str) -> None:
    """The problem is one line, as for every other failure."""
    (seen,) = PROBE.served_certificates(HOST, [endpoint])
    assert (seen.endpoint, seen.sha256, seen.problem) == (
        endpoint,
        None,
        "it is not host:port, or the server name is not valid",
    )


def test_an_invalid_server_name_is_reported(tmp_path: Path) -> None:
    """The endpoint is valid, but the host is not."""
    with serving(credential_to_json(OWN_CERTIFICATE), tmp_path) as endpoint:
        (seen,) = PROBE.served_certificates(f"{'a' * 64}.example.com", [endpoint])
    assert (seen.sha256, seen.problem) == (None, "it is not host:port, or the server name is not valid")


def test_more_endpoints_than_are_checked_together_are_all_checked(tmp_path: Path) -> None:
    """The results are in the order of the endpoints."""
    with serving(credential_to_json(OWN_CERTIFICATE), tmp_path) as endpoint, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{bound.getsockname()[1]}"
        asked = [endpoint, *[closed] * 33, endpoint]
        seen = TlsProbe(seconds=20).served_certificates(HOST, asked)
    assert [one.endpoint for one in seen] == asked
    assert [one.sha256 for one in seen] == [OWN_CERTIFICATE.sha256, *[None] * 33, OWN_CERTIFICATE.sha256]


def test_no_endpoints_give_no_certificates() -> None:
    """The result is empty for an empty list."""
    assert PROBE.served_certificates(HOST, []) == ()
