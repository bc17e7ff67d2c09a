"""A real NanoMDM on loopback, and simulated devices that send their HTTP requests directly."""

from __future__ import annotations

import base64
import contextlib
import plistlib
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tools.devices import DeviceAuthority, Fleet
from tools.toolchain import Toolchain, ToolchainMissingError, cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

API_KEY = "n4no-Secret+key"
CERT_HEADER = "X-Client-Cert"


def nanomdm_executable() -> Path:
    """Return the NanoMDM that the bootstrap built."""
    try:
        return Toolchain.load().nanomdm
    except ToolchainMissingError:
        # Another tool may be missing, and these tests need NanoMDM only.
        executable = cache_dir() / "bin" / "nanomdm"
        if executable.exists():
            return executable
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device whose messages a test sends one by one. Devices that process commands are in `tools.devices`."""

    url: str
    udid: str
    identity: bytes

    def put(self, **message: Any) -> dict[str, Any] | None:
        """Send one MDM message; return the command in the answer, or None if the answer is empty."""
        body = plistlib.dumps({**({"UDID": self.udid} if self.udid else {}), **message})
        headers = {CERT_HEADER: f":{base64.b64encode(self.identity).decode()}:"}
        if "MessageType" in message:
            headers["Content-Type"] = "application/x-apple-aspen-mdm-checkin"
        answer = httpx.put(f"{self.url}/mdm", content=body, headers=headers, trust_env=False)
        answer.raise_for_status()
        return dict(plistlib.loads(answer.content)) if answer.content else None

    def enroll(self, **names: str) -> None:
        """Authenticate and send a push token; *names* are identifiers of the device in addition to its UDID."""
        self.put(MessageType="Authenticate", Topic="com.apple.mgmt.test", **names)
        self.put(MessageType="TokenUpdate", Topic="com.apple.mgmt.test", PushMagic="magic", Token=b"token", **names)

    def acknowledge_queue(self) -> list[str]:
        """Acknowledge all queued commands; return their CommandUUIDs in order."""
        uuids: list[str] = []
        command = self.put(Status="Idle")
        while command is not None:
            uuids.append(str(command["CommandUUID"]))
            command = self.put(Status="Acknowledged", CommandUUID=uuids[-1])
        return uuids


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoMdmServer:
    """A running NanoMDM."""

    url: str
    api_key: str
    authority: DeviceAuthority = field(repr=False)

    def fleet(self) -> Fleet:
        """Return a fleet without devices, whose devices process their commands automatically."""
        return Fleet(f"{self.url}/mdm", self.authority, cert_header=CERT_HEADER)

    def device(self, udid: str) -> Device:
        """Return an enrolled device, which sends the messages of a test."""
        device = Device(url=self.url, udid=udid, identity=self.authority.identity(udid))
        device.enroll()
        return device


def free_port() -> int:
    """Return a TCP port on loopback that was free when it was checked."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def nanomdm_server(
    *, storage: str = "inmem", webhook_url: str = "", webhook_hmac_key: str = ""
) -> Iterator[NanoMdmServer]:
    """Run NanoMDM on a free port of loopback until the block ends."""
    executable = nanomdm_executable()
    authority = DeviceAuthority()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "ca.pem"
        root.write_bytes(authority.pem)
        port = free_port()
        arguments = [
            *("-listen", f"127.0.0.1:{port}"),
            *("-ca", str(root)),
            *("-storage", storage),
            *("-storage-dsn", str(Path(scratch) / "db")),
            *("-cert-header", CERT_HEADER),
        ]
        # Keys are passed in the environment, because every user who lists processes sees the arguments (R29).
        environment = {"NANOMDM_API": API_KEY}
        if webhook_url:
            environment |= {"NANOMDM_WEBHOOK_URL": webhook_url, "NANOMDM_WEBHOOK_HMAC_KEY": webhook_hmac_key}
        log = Path(scratch) / "nanomdm.log"
        with (
            log.open("wb") as output,
            subprocess.Popen([str(executable), *arguments], env=environment, stdout=output, stderr=output) as process,
        ):
            try:
                _wait_until_listening(port, process, log)
                yield NanoMdmServer(url=f"http://127.0.0.1:{port}", api_key=API_KEY, authority=authority)
            finally:
                process.kill()


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"NanoMDM stopped: {log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    pytest.fail(f"NanoMDM does not listen: {log.read_text()}")
