"""nginx in front of NanoMDM, and connections of devices at chosen times."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed
from trustme import CA

from tools.services import nginx, ports, process
from tools.services.handshake import Visit, visit
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.services.testing import MdmServices

HOST = "mdm.example.com"
PATIENCE = 30.0


@dataclass(slots=True, kw_only=True)
class Front:
    """A running nginx, and the CA of its certificate."""

    port: int
    state: Path
    files: Path
    ca: CA

    def see(self, *, roots: tuple[bytes, ...] | None = None, host: str = HOST, days: int = 1) -> Visit:
        """Connect as a device *days* after ``NOW``. By default the device trusts this CA."""
        trusted = (root(self.ca),) if roots is None else roots
        return visit(self.port, host, trusted, NOW + timedelta(days=days))


NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRY = NOW + timedelta(days=90)


def root(ca: CA) -> bytes:
    """Return the certificate of a CA in DER."""
    return load_pem_x509_certificate(ca.cert_pem.bytes()).public_bytes(Encoding.DER)


def present(ca: CA, files: Path) -> None:
    """Write the files of a server certificate that is valid until ``EXPIRY``."""
    made = ca.issue_cert(HOST, not_before=NOW, not_after=EXPIRY)
    (files / "tls.crt").write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    (files / "tls.key").write_bytes(made.private_key_pem.bytes())


@pytest.fixture
def front(tmp_path: Path, mdm_services: MdmServices) -> Iterator[Front]:
    """Run nginx in a folder whose name has a space."""
    state, files, ca = tmp_path / "a state", tmp_path / "some files", CA()
    state.mkdir(mode=0o700)
    files.mkdir(mode=0o700)
    present(ca, files)
    settings = nginx.Settings(host=HOST, files=files, upstream=mdm_services.services.mdm_url)
    try:
        running = process.ensure(state, nginx.service(Toolchain.nginx(), state, settings))
        yield Front(port=running.port, state=state, files=files, ca=ca)
    finally:
        process.stop(state, nginx.NAME)


def test_a_device_that_trusts_the_root_gets_an_answer_of_the_mdm_server(front: Front) -> None:
    """The server terminates TLS and forwards the request."""
    seen = front.see()
    assert seen.accepted, seen.reason
    served = load_pem_x509_certificate((front.files / "tls.crt").read_bytes())
    assert seen.sha256 == served.fingerprint(served.signature_hash_algorithm or pytest.fail("no hash")).hex()


def test_a_device_refuses_what_it_does_not_trust_and_says_why(front: Front) -> None:
    """The device has no root, another root, another host, or a time before or after the validity."""
    assert "the device does not trust" in front.see(roots=()).reason
    assert "the device does not trust" in front.see(roots=(root(CA()),)).reason
    assert front.see(host="other.example.com").reason == "the certificate is for another host"
    assert front.see(days=91).reason == "the certificate has expired"
    assert front.see(days=-1).reason == "the certificate is not yet valid"
    assert front.see().accepted


def test_a_reload_serves_new_files_without_refusing_a_device(front: Front) -> None:
    """A device that trusts both certificates can connect at any time."""  # R16
    before, other = front.ca, CA()
    both = (root(before), root(other))
    first, workers = front.see(roots=both), nginx.workers(front.state)
    present(other, front.files)
    assert front.see(roots=both).sha256 == first.sha256, "new files have no effect without a reload"
    subprocess.run(
        shlex.split(nginx.reload_command(Toolchain.nginx(), front.state)), check=True, capture_output=True, cwd="/"
    )
    met = []

    def former() -> frozenset[int]:
        met.append(front.see(roots=both))
        return workers & nginx.workers(front.state)

    Retrying(retry=retry_if_result(bool), wait=wait_fixed(0.02), stop=stop_after_delay(PATIENCE))(former)
    assert [one.reason for one in met if not one.accepted] == []
    last = front.see(roots=(root(other),))
    assert last.accepted, last.reason
    assert last.sha256 != first.sha256
    assert not front.see(roots=(root(before),)).accepted, "the test must detect a refusal"


def test_a_server_that_is_not_there_is_no_crash() -> None:
    """The result has the reason that there was no connection."""
    seen = visit(ports.free_port(), HOST, [], NOW)
    assert not seen.accepted
    assert seen.sha256 == ""
    assert seen.reason.startswith("no connection")
