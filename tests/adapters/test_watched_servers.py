"""Watched certificates over HTTP: a real NanoMDM, a real SCEP server, and servers with other answers."""

from __future__ import annotations

import base64
import json
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import load_pem_x509_certificate

from ios_mdm.adapters import watched_servers
from ios_mdm.adapters.watched_servers import HttpWatchedServers
from ios_mdm.core.bundle.form import MAX_BUNDLE_BYTES
from ios_mdm.core.watch import WatchedCertificate, first_to_expire
from ios_mdm.errors import DefinitionError, WatchError
from tests.support.answering import Answering, answering_server
from tests.support.certificates import Chain
from tests.support.nanomdm_server import API_KEY, nanomdm_server
from tools.services import process, scep
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOPIC = "com.apple.mgmt.External.e3b8ceac-1f18-2c8e-8a63-dd17d99435d9"
SERVERS = HttpWatchedServers()


@pytest.fixture
def server() -> Iterator[Answering]:
    """Return a server whose answer a test chooses."""
    with answering_server() as found:
        yield found


def push(server: Answering, status: int = 200, **answer: Any) -> WatchedCertificate | None:
    """Return the push certificate that an answer of NanoMDM reports."""
    server.status, server.content = status, json.dumps(answer, indent="\t").encode()
    return SERVERS.push_certificate(server.url, api_key=API_KEY, topic=TOPIC, ca_file=None)


def push_error(server: Answering, status: int = 200, **answer: Any) -> str:
    """Return the error of an answer. It never has the API key."""  # R29
    with pytest.raises(WatchError) as raised:
        push(server, status, **answer)
    message = str(raised.value)
    assert API_KEY not in message
    assert base64.b64encode(f"nanomdm:{API_KEY}".encode()).decode() not in message
    return message


def test_nanomdm_reports_topic_and_expiry(server: Answering) -> None:
    """The answer has the form of NanoMDM's `GET /v1/pushcert`; a fraction of a second is dropped."""
    found = push(server, topic=TOPIC, not_after="2041-01-07T04:04:46.5Z")
    assert found == WatchedCertificate(not_after=datetime(2041, 1, 7, 4, 4, 46, tzinfo=UTC), topic=TOPIC)
    assert server.requests == [f"/v1/pushcert?topic={TOPIC}"]
    assert base64.b64decode(server.credentials[0].removeprefix("Basic ")) == f"nanomdm:{API_KEY}".encode()


@pytest.mark.parametrize(
    "error",
    [
        "retrieve push cert: sql: no rows in result set",
        "retrieve push cert: key not found: topic.cert",
        f"retrieve push cert: open db/{TOPIC}.pem: no such file or directory",
    ],
)
def test_a_topic_that_nanomdm_does_not_have_is_no_certificate(server: Answering, error: str) -> None:
    """Each storage of NanoMDM has its own words."""
    assert push(server, 500, error=error) is None


def test_nanomdm_of_the_pinned_version_cannot_report_it() -> None:
    """v0.9.0 has only the upload at this URL. The error names the version and the alternative."""
    with nanomdm_server() as found, pytest.raises(WatchError, match=r"v0\.9\.0 and older.*under file") as raised:
        SERVERS.push_certificate(found.url, api_key=found.api_key, topic=TOPIC, ca_file=None)
    assert "HTTP 400" in str(raised.value)


def test_a_wrong_api_key_is_named() -> None:
    """A real NanoMDM refuses the key."""
    with nanomdm_server() as found, pytest.raises(WatchError, match="refuses the API key: check the secret"):
        SERVERS.push_certificate(found.url, api_key="wrong", topic=TOPIC, ca_file=None)


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (200, {}, "not from NanoMDM"),
        (200, {"topic": TOPIC, "not_after": "soon"}, "not from NanoMDM"),
        (200, {"error": f"bad {API_KEY}"}, "cannot read its push certificate"),
        (403, {}, "HTTP 403"),
        (404, {}, "no NanoMDM API at this URL"),
        (405, {"error": "method not allowed"}, "does not report its push certificate"),
        (502, {}, "not from NanoMDM (HTTP 502)"),
        (500, {"error": "connection to database failed"}, "connection to database failed"),
        (500, {"error": "dial unix /run/db.sock: connect: no such file or directory"}, "check its log and its storage"),
    ],
)
def test_another_answer_is_an_error_that_says_what_to_do(
    server: Answering, status: int, answer: dict[str, str], expected: str
) -> None:
    """No answer is taken for a certificate by mistake."""
    assert expected in push_error(server, status, **answer)


def test_a_redirect_is_not_followed(server: Answering) -> None:
    """The API key is sent to the given URL only."""  # R39
    with answering_server() as other:
        server.headers = {"Location": f"{other.url}/v1/pushcert"}
        assert "HTTP 307" in push_error(server, 307)
        assert other.requests == []


def test_the_ca_of_a_real_scep_server_is_read(tmp_path: Path) -> None:
    """One CA certificate is an answer in DER."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    ca = scep.authority(state)
    try:
        running = process.ensure(state, scep.service(Toolchain.load().scepserver, ca))
        content = SERVERS.ca_certificates(f"{running.url}/scep", ca_file=None)
    finally:
        process.stop(state, scep.NAME)
    expected = load_pem_x509_certificate(ca.certificate.read_bytes())
    assert first_to_expire(content).not_after == expected.not_valid_after_utc


def test_a_scep_server_may_send_a_chain(server: Answering) -> None:
    """CA and RA certificates are an answer in PKCS #7 (RFC 8894, 4.2.1.2)."""
    made = Chain().make()
    server.content = pkcs7.serialize_certificates(list(made.chain[1:]), Encoding.DER)
    content = SERVERS.ca_certificates(f"{server.url}/scep", ca_file=None)
    assert first_to_expire(content).subject == "CN=Issuing"
    assert server.requests == ["/scep?operation=GetCACert"]
    assert server.credentials == [""]


def test_a_scep_server_without_a_certificate_is_an_error(server: Answering) -> None:
    """The error has the status of the answer."""
    for status, content in ((200, b""), (404, b"not found")):
        server.status, server.content = status, content
        with pytest.raises(WatchError, match=f"does not return its CA certificate .HTTP {status}."):
            SERVERS.ca_certificates(f"{server.url}/scep", ca_file=None)


def test_a_server_that_is_down_is_named() -> None:
    """The error says that the connection was refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/scep"
        with pytest.raises(WatchError, match=rf"^the SCEP server at {url} is down: connection refused$"):
            SERVERS.ca_certificates(url, ca_file=None)


def test_a_huge_answer_is_an_error(server: Answering) -> None:
    """No more than the limit is kept in memory."""  # R40
    server.content = b"0" * (MAX_BUNDLE_BYTES + 1)
    with pytest.raises(WatchError, match="more than 1,024 KiB"):
        SERVERS.ca_certificates(server.url, ca_file=None)


def test_a_slow_answer_is_an_error(server: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for the whole answer, so that a server cannot send one byte at a time without an end."""
    times = iter([0.0, watched_servers.READ_TIMEOUT + 1])
    monkeypatch.setattr(watched_servers, "monotonic", lambda: next(times))
    server.content = b"0"
    with pytest.raises(WatchError, match="does not complete its answer within 20 s"):
        SERVERS.ca_certificates(server.url, ca_file=None)


def test_an_unusable_ca_file_is_an_error(tmp_path: Path, server: Answering) -> None:
    """The file is checked before a connection is opened."""
    (tmp_path / "roots.pem").write_text("no certificate", encoding="ascii")
    with pytest.raises(DefinitionError, match="no readable PEM certificate"):
        SERVERS.ca_certificates(server.url, ca_file=str(tmp_path / "roots.pem"))
    assert server.requests == []
