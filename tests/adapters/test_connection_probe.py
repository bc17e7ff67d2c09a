"""The requirements of Apple 126655, checked at real servers that are configured wrongly in one way each."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes

from ios_mdm.adapters.tls_probe import TlsProbe
from ios_mdm.core.connection.demands import ATS_CIPHERS, Demand
from ios_mdm.core.connection.handshake import Protocol
from ios_mdm.core.connection.readiness import EndpointReadiness, Verdict, endpoint_readiness
from ios_mdm.core.pair.policies import connection_notices
from tests.support.certificates import CLIENT, HOST, NOW, Chain, Made, SelfSigned
from tests.support.wrong_servers import WITHOUT_MASTER_SECRET, nginx_servers, s_server
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ios_mdm.core.pair.observed import ServedCertificate

PROBE = TlsProbe(seconds=20)
PAGE = (ROOT / "docs" / "connection.md").read_text(encoding="utf-8")
(DOCUMENTED,) = re.findall(r"^```nginx\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
RSA = Chain().but(leaf={"key": "rsa-2048"})
EVERYTHING = "ALL:@SECLEVEL=0"


def probe_result(endpoint: str) -> ServedCertificate:
    """Return the result of the probe."""
    (served,) = PROBE.served_certificates(HOST, [endpoint])
    return served


def readiness(endpoint: str) -> EndpointReadiness:
    """Return the verdict about an endpoint."""
    return endpoint_readiness(probe_result(endpoint), host=HOST, now=NOW)


def demands(found: EndpointReadiness) -> list[str]:
    """Return the codes of the findings."""
    return [str(one.demand) for one in found.findings]


NGINX = {
    "default": ("", []),
    "of the documentation": (DOCUMENTED, []),
    "of the documentation, without TLS 1.3": (DOCUMENTED.replace("TLSv1.3", ""), []),
    "TLS 1.3 only": ("ssl_protocols TLSv1.3;", []),
    "TLS 1.2 only": ("ssl_protocols TLSv1.2;", []),
    "TLS 1.1 only": (f"ssl_protocols TLSv1.1; ssl_ciphers {EVERYTHING};", ["tls-version"]),
    "TLS 1.0 only": (f"ssl_protocols TLSv1; ssl_ciphers {EVERYTHING};", ["tls-version"]),
    "RSA key exchange": ("ssl_protocols TLSv1.2; ssl_ciphers AES256-GCM-SHA384:AES128-GCM-SHA256;", ["tls-cipher"]),
    "CBC": ("ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384;", ["tls-cipher"]),
    "CBC with TLS 1.3": ("ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE-RSA-AES128-SHA256;", []),
    "CBC preferred": (
        "ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on; ssl_ciphers ECDHE-RSA-AES128-SHA256:ECDHE+AESGCM;",
        [],
    ),
    "DHE": ("ssl_protocols TLSv1.2; ssl_ciphers DHE-RSA-AES128-GCM-SHA256:AES128-SHA;", ["tls-cipher"]),
    "ChaCha20": ("ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-CHACHA20-POLY1305;", ["tls-cipher"]),
    "no extended master secret": (
        "ssl_protocols TLSv1.2; ssl_conf_command Options -ExtendedMasterSecret;",
        ["tls-master-secret"],
    ),
    "no extended master secret, TLS 1.3": (
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command Options -ExtendedMasterSecret;",
        [],
    ),
    "no extended master secret, CBC": (
        "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES128-SHA256; ssl_conf_command Options -ExtendedMasterSecret;",
        ["tls-cipher", "tls-master-secret"],
    ),
}


def test_the_page_names_each_requirement_and_cipher_suite() -> None:
    """Each configuration on the page has the same cipher suites."""  # R48
    assert re.findall(r"^\| `([a-z-]+-[a-z-]+)` \| .* \| .* \|$", PAGE, re.MULTILINE) == [str(one) for one in Demand]
    assert PAGE.count(":".join(ATS_CIPHERS)) == PAGE.count("\n## ") - 2
    assert all(f"| `{one}` |" in PAGE for one in Verdict)


def test_each_configuration_of_nginx_has_its_findings(tmp_path: Path) -> None:
    """All ports present the same certificate, which is read from each of them."""  # R48
    made = RSA.make()
    configurations = {name: directives for name, (directives, _) in NGINX.items()}
    with nginx_servers(made, tmp_path, configurations) as endpoints:
        served = PROBE.served_certificates(HOST, list(endpoints.values()))
    found = {
        name: demands(endpoint_readiness(one, host=HOST, now=NOW)) for name, one in zip(endpoints, served, strict=True)
    }
    assert found == {name: expected for name, (_, expected) in NGINX.items()}
    assert {one.sha256 for one in served} == {made.leaf.fingerprint(hashes.SHA256()).hex()}
    assert {one.problem for one in served} == {""}
    assert {str(one.reason) for one in connection_notices(served)} == {
        one for _, expected in NGINX.values() for one in expected
    }


@pytest.mark.parametrize(
    ("options", "configuration", "protocol", "expected"),
    [
        ((), "", Protocol.TLS_1_3, []),
        (("-tls1_2",), "", Protocol.TLS_1_2, []),
        (("-tls1_1", "-cipher", EVERYTHING), "", Protocol.TLS_1_1, ["tls-version"]),
        (("-tls1_2", "-cipher", "AES128-GCM-SHA256"), "", Protocol.TLS_1_2, ["tls-cipher"]),
        (("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"), "", Protocol.TLS_1_2, ["tls-cipher"]),
        (("-tls1_2",), WITHOUT_MASTER_SECRET, Protocol.TLS_1_2, ["tls-master-secret"]),
        (("-tls1_2", "-curves", "brainpoolP256r1"), "", Protocol.TLS_1_2, ["tls-cipher"]),
        (
            ("-tls1_2", "-sigalgs", "RSA+SHA1", "-cipher", "DEFAULT:@SECLEVEL=0"),
            "",
            Protocol.TLS_1_2,
            ["tls-handshake"],
        ),
    ],
    ids=["default", "TLS 1.2", "TLS 1.1", "RSA key exchange", "CBC", "no master secret", "curve", "SHA-1 handshake"],
)
def test_each_configuration_of_s_server_has_its_findings(
    tmp_path: Path, options: tuple[str, ...], configuration: str, protocol: Protocol | None, expected: list[str]
) -> None:
    """OpenSSL's server has options that nginx lacks."""  # R48
    with s_server(RSA.make(), tmp_path, *options, configuration=configuration) as endpoint:
        served = probe_result(endpoint)
    assert served.handshake is not None, served.problem
    assert served.handshake.protocol is protocol
    assert demands(endpoint_readiness(served, host=HOST, now=NOW)) == expected


CERTIFICATES: dict[str, tuple[Chain | SelfSigned, list[str]]] = {
    "valid": (Chain(), []),
    "self-signed": (SelfSigned(), []),
    "wildcard": (Chain().but(leaf={"sans": ("*.example.com",)}), []),
    "RSA 1024": (Chain().but(leaf={"key": "rsa-1024"}), ["certificate-key"]),
    "P-224": (Chain().but(leaf={"key": "p224"}), ["tls-handshake"]),
    "secp256k1": (Chain().but(leaf={"key": "k256"}), ["tls-handshake"]),
    "SHA-1": (RSA.but(leaf={"hash": hashes.SHA1()}), ["certificate-signature"]),  # noqa: S303 - the defect
    "three years": (Chain().but(leaf={"days": (-10, 1085)}), ["certificate-validity"]),
    "expired": (Chain().but(leaf={"days": (-90, -1)}), ["certificate-dates"]),
    "another name": (Chain().but(leaf={"sans": ("other.example.com",)}), ["certificate-name"]),
    "common name only": (Chain().but(leaf={"sans": ()}), ["certificate-name"]),
    "for clients": (Chain().but(leaf={"purposes": (CLIENT,)}), ["certificate-purpose"]),
    "without a purpose": (Chain().but(leaf={"purposes": None}), ["certificate-purpose"]),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_each_wrong_certificate_has_its_finding(tmp_path: Path, name: str) -> None:
    """The certificate is read from a real server, which is configured correctly otherwise."""  # R48
    description, expected = CERTIFICATES[name]
    made: Made = description.make()
    with s_server(made, tmp_path, "-cipher", "DEFAULT:@SECLEVEL=0") as endpoint:
        found = readiness(endpoint)
    assert demands(found) == expected, found.findings
    assert found.verdict is (Verdict.AT_RISK if expected else Verdict.READY)


@contextmanager
def answering(answer: bytes, *, is_closed: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """Answer the first bytes of each connection; yield the endpoint and the list of the first bytes."""
    received: list[bytes] = []
    released = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    received.append(connection.recv(1 << 16))
                    connection.sendall(answer)
                    if not is_closed:
                        released.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}", received
        finally:
            released.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_endpoint_without_tls_is_unknown() -> None:
    """A server that answers in plain HTTP is asked once."""  # R48
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (endpoint, received):
        found = readiness(endpoint)
    assert (found.verdict, found.findings) == (Verdict.UNKNOWN, ())
    assert found.served.problem.startswith("no TLS handshake")
    assert len(received) == 1


def test_an_endpoint_that_cannot_be_reached_is_unknown() -> None:
    """A closed port says nothing about the configuration of the server."""  # R48
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = readiness(f"127.0.0.1:{bound.getsockname()[1]}")
    assert (found.verdict, found.findings) == (Verdict.UNKNOWN, ())
    assert found.served.problem == "connection refused"


def test_an_endpoint_that_never_answers_is_unknown_and_asked_once() -> None:
    """The time limit is for both handshakes together, so there is no second one."""  # R48
    with answering(b"", is_closed=False) as (endpoint, received):
        (served,) = TlsProbe(seconds=0.3).served_certificates(HOST, [endpoint])
    assert served.problem == "no answer in time"
    assert endpoint_readiness(served, host=HOST, now=NOW).verdict is Verdict.UNKNOWN
    assert len(received) == 1


def test_a_server_that_closes_the_connection_is_asked_again_with_everything() -> None:
    """Some servers send no alert if they have no version or cipher suite in common with the client."""  # R48
    with answering(b"") as (endpoint, received):
        found = readiness(endpoint)
    assert (found.verdict, found.findings) == (Verdict.UNKNOWN, ())
    assert found.served.problem == "the connection was closed before a certificate was presented"
    assert len(received) == 2


def test_a_server_that_refuses_every_version_is_at_risk() -> None:
    """The alert protocol_version says that the server has neither TLS 1.2 nor TLS 1.3."""  # R48
    with answering(bytes.fromhex("15030100020246")) as (endpoint, received):
        found = readiness(endpoint)
    assert demands(found) == ["tls-version"]
    assert found.served.problem == "no TLS handshake: tlsv1 alert protocol version"
    assert len(received) == 2


def test_a_healthy_server_is_asked_once(tmp_path: Path) -> None:
    """Status reads many endpoints, so there is no handshake for each requirement."""  # R48
    asked: list[Any] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = Chain().make()
    with s_server(made, tmp_path):
        context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    context.sni_callback = lambda _connection, name, _context: asked.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            # The client reads the certificate and closes the connection.
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        found = readiness(f"127.0.0.1:{listening.getsockname()[1]}")
        thread.join()
    assert found.verdict is Verdict.READY
    assert asked == [HOST]


def test_a_client_certificate_that_is_required_leaves_the_certificate_unknown(tmp_path: Path) -> None:
    """The server has chosen version and cipher suite before it ends the handshake, so they are known."""  # R48
    options = ("-tls1_2", "-Verify", "1")
    with s_server(RSA.make(), tmp_path, *options, configuration=WITHOUT_MASTER_SECRET) as endpoint:
        served = probe_result(endpoint)
    assert served.sha256 is None
    assert served.handshake is not None
    assert (served.handshake.protocol, served.handshake.certificate) == (Protocol.TLS_1_2, None)
    found = endpoint_readiness(served, host=HOST, now=NOW)
    assert demands(found) == ["tls-master-secret"]
    assert found.served.problem.startswith("no TLS handshake")
