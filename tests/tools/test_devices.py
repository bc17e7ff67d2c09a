"""Simulated devices: their model, and what a real NanoMDM receives from them."""

from __future__ import annotations

import contextlib
import plistlib
import re
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.core.profile import install_profile_command
from tests.support.nanomdm_server import CERT_HEADER, NanoMdmServer, free_port, nanomdm_server
from tools.devices import Behavior, Device, DeviceAuthority, DeviceError, Fleet
from tools.devices import __main__ as devices_command
from tools.services.webhook import Recorder
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEY = "webhook-key"
FULL = DeviceError(code=4001, description="There is no space left.")


@pytest.fixture(scope="module")
def authority() -> DeviceAuthority:
    """A CA that also stands for the source of the certificates in profiles."""
    return DeviceAuthority()


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """The receiver of NanoMDM's events."""
    key = tmp_path_factory.mktemp("webhook") / "key"
    key.write_text(KEY, encoding="ascii")
    with Recorder(key) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def server(webhook: Recorder) -> Iterator[NanoMdmServer]:
    """A running NanoMDM."""
    with nanomdm_server(webhook_url=webhook.url, webhook_hmac_key=KEY) as running:
        yield running


def profile(*certificates: bytes, identifier: str = "com.example.trust") -> bytes:
    """Return a profile with certificates, DER."""
    payloads = [
        {"PayloadType": "com.apple.security.root", "PayloadIdentifier": f"{identifier}.{number}", "PayloadContent": one}
        for number, one in enumerate(certificates)
    ]
    names = {"PayloadType": "Configuration", "PayloadIdentifier": identifier, "PayloadUUID": str(uuid.uuid4())}
    return plistlib.dumps({**names, "PayloadVersion": 1, "PayloadContent": payloads})


def list_command(**options: bool) -> bytes:
    """Return a command that lists the certificates of a device."""
    command = {"RequestType": "CertificateList", **options}
    return plistlib.dumps({"CommandUUID": str(uuid.uuid4()), "Command": command})


def install(server: NanoMdmServer, devices: Iterable[Device], content: bytes) -> str:
    """Queue a profile for devices, and return the CommandUUID."""
    return queue(server, devices, install_profile_command(content, str(uuid.uuid4())))


def queue(server: NanoMdmServer, devices: Iterable[Device], command: bytes) -> str:
    """Queue a command for devices, and return its CommandUUID."""
    with contextlib.closing(NanoMdm(url=server.url, api_key=server.api_key, push=False)) as channel:
        channel.enqueue([one.udid for one in devices], command)
    return str(plistlib.loads(command)["CommandUUID"])


def listed_certificates(answer: bytes) -> set[bytes]:
    """Return the certificates in the answer to a CertificateList, without identities."""
    return {one["Data"] for one in plistlib.loads(answer)["CertificateList"] if not one["IsIdentity"]}


class TestModel:
    """A device without an MDM server."""

    def test_a_profile_replaces_the_one_with_its_identifier(self, authority: DeviceAuthority) -> None:
        """The list of certificates has those of the installed profiles only, and the identity."""
        old, new, other = (authority.identity(name) for name in ("old", "new", "other"))
        device = Device(udid="D1", identity=authority.identity("D1"))
        for content in (profile(old), profile(other, identifier="com.example.other"), profile(new)):
            answer = plistlib.loads(device.answer(install_profile_command(content, "c1")))
            assert answer == {"UDID": "D1", "CommandUUID": "c1", "Status": "Acknowledged"}
        answer = device.answer(list_command())
        assert listed_certificates(answer) == {new, other}
        assert {one["CommonName"] for one in plistlib.loads(answer)["CertificateList"]} == {"new", "other", "D1"}
        device.remove("com.example.other")
        assert listed_certificates(device.answer(list_command())) == {new}
        device.erase()
        assert listed_certificates(device.answer(list_command())) == set()

    def test_foreign_certificates_are_not_managed(self, authority: DeviceAuthority) -> None:
        """They are in a list of all certificates only."""
        foreign, managed = authority.identity("foreign"), authority.identity("managed")
        device = Device(udid="D1", identity=authority.identity("D1"), behavior=Behavior(foreign=(foreign,)))
        device.answer(install_profile_command(profile(managed), "c1"))
        assert listed_certificates(device.answer(list_command())) == {managed, foreign}
        assert listed_certificates(device.answer(list_command(ManagedOnly=True))) == {managed}

    @pytest.mark.parametrize(
        "content",
        [b"", b"no plist", plistlib.dumps({}), plistlib.dumps([]), profile(b"no certificate")],
        ids=["empty", "no plist", "no profile", "no dictionary", "no certificate"],
    )
    def test_a_profile_that_cannot_be_read_is_not_installed(self, content: bytes) -> None:
        """The answer has an ErrorChain, and the device keeps its content."""
        device = Device(udid="D1")
        answer = plistlib.loads(device.answer(install_profile_command(content, "c1")))
        assert answer["Status"] == "Error"
        assert answer["ErrorChain"][0]["ErrorDomain"] == "MCInstallationErrorDomain"
        assert device.profiles == {}

    def test_an_unknown_command_is_an_error(self) -> None:
        """The simulator does not acknowledge commands that it does not process."""
        device = Device(udid="D1")
        command = plistlib.dumps({"CommandUUID": "c1", "Command": {"RequestType": "EraseDevice"}})
        answer = plistlib.loads(device.answer(command))
        assert (answer["Status"], answer["ErrorChain"][0]["ErrorCode"]) == ("Error", 12021)

    @pytest.mark.parametrize(
        "url", ["http://192.0.2.1:9000/mdm", "http://example.com:9000/mdm", "https://127.0.0.1:9000/mdm", "127.0.0.1"]
    )
    def test_only_loopback_is_reached(self, authority: DeviceAuthority, url: str) -> None:
        """An address outside of this machine is refused before a connection."""
        with pytest.raises(ValueError, match="loopback"):
            Fleet(url, authority, cert_header=CERT_HEADER)


class TestNanoMdm:
    """Devices that are enrolled with a real NanoMDM."""

    def test_all_devices_install_a_profile_at_once(self, server: NanoMdmServer, webhook: Recorder) -> None:
        """The webhook receives the answer of each device, and each device has the profile."""
        fleet = server.fleet()
        devices = fleet.add(20)
        assert fleet.enroll().connected == fleet.devices.keys()
        content = profile(server.authority.identity("root"))
        command = install(server, devices, content)
        answered = fleet.answer_at_once()
        assert answered.devices(command) == fleet.devices.keys()
        assert answered.statuses == {"Acknowledged": 20}
        answers = webhook.answers(command, count=20)
        assert {one.status for one in answers.values()} == {"Acknowledged"}
        assert {one.profiles["com.example.trust"].content for one in devices} == {content}
        assert fleet.connect().answers == {}

    def test_a_list_of_certificates_reaches_the_webhook(self, server: NanoMdmServer, webhook: Recorder) -> None:
        """The event has the certificates of the device, DER."""
        fleet, root = server.fleet(), server.authority.identity("root")
        devices = fleet.add(1)
        fleet.enroll()
        install(server, devices, profile(root))
        command = queue(server, devices, list_command(ManagedOnly=True))
        assert fleet.connect().statuses == {"Acknowledged": 2}
        assert listed_certificates(webhook.answers(command, count=1)[devices[0].udid].message) == {root}

    def test_each_behavior_is_visible_in_the_answers(self, server: NanoMdmServer, webhook: Recorder) -> None:
        """NotNow is followed by an acknowledgment, an error has its chain, and a silent device sends nothing."""
        fleet = server.fleet()
        (busy,), (full,), (silent,) = (
            fleet.add(1, one) for one in (Behavior(not_now=2), Behavior(errors=(FULL,)), Behavior(is_silent=True))
        )
        fleet.enroll()
        command = install(server, [busy, full, silent], profile(server.authority.identity("root")))
        rounds = [fleet.connect() for _ in range(4)]
        assert [one.answers.get(busy.udid) for one in rounds] == [
            [(command, "NotNow")],
            [(command, "NotNow")],
            [(command, "Acknowledged")],
            None,
        ]
        assert rounds[0].answers[full.udid] == [(command, "Error")]
        assert not any(silent.udid in one.connected for one in rounds)
        answers = webhook.answers(command, count=2)
        assert answers[full.udid].answer()["ErrorChain"] == [FULL.content]
        assert silent.udid not in answers

    def test_an_erased_device_enrolls_again_and_is_empty(self, server: NanoMdmServer, webhook: Recorder) -> None:
        """NanoMDM accepts its new identity, and deletes the queue of the former enrollment."""
        fleet = server.fleet()
        (device,) = fleet.add(1)
        fleet.enroll()
        identity = device.identity
        install(server, [device], profile(server.authority.identity("root")))
        fleet.connect()
        device.erase()
        assert fleet.connect().connected == set()
        install(server, [device], profile(server.authority.identity("root")))
        assert fleet.enroll().failures == {}
        assert device.identity != identity
        assert fleet.connect().answers == {}
        assert device.profiles == {}
        webhook.wait(lambda: check_ins(webhook, device).count("mdm.Authenticate") == 2, "Authenticate")

    def test_a_device_enrolls_again_after_each_profile(self, server: NanoMdmServer, webhook: Recorder) -> None:
        """Each profile is followed by an erasure and an enrollment."""
        fleet = server.fleet()
        (device,) = fleet.add(1, Behavior(enrolls_after_install=True))
        fleet.enroll()
        for _ in range(3):
            install(server, [device], profile(server.authority.identity("root")))
            assert fleet.connect().statuses == {"Acknowledged": 1}
            assert (device.is_enrolled, device.profiles) == (True, {})
        expected = [f"mdm.{one}" for one in ("Authenticate", "TokenUpdate")] * 4
        webhook.wait(lambda: len(check_ins(webhook, device)) == len(expected), "check-ins")
        assert sorted(check_ins(webhook, device)) == sorted(expected)

    def test_a_device_checks_out(self, server: NanoMdmServer, webhook: Recorder) -> None:
        """The webhook receives the message, and the device does not connect any more."""
        fleet = server.fleet()
        (device,) = fleet.add(1)
        fleet.enroll()
        assert fleet.check_out([device]).failures == {}
        webhook.wait(lambda: "mdm.CheckOut" in check_ins(webhook, device), "CheckOut")
        assert fleet.connect().connected == set()

    def test_a_server_that_is_down_is_a_failure_of_each_device(self, authority: DeviceAuthority) -> None:
        """The device is not enrolled."""
        fleet = Fleet(f"http://127.0.0.1:{free_port()}/mdm", authority, cert_header=CERT_HEADER)
        fleet.add(3)
        failed = fleet.enroll()
        assert failed.failures.keys() == fleet.devices.keys()
        assert failed.connected == set()

    def test_a_device_that_nanomdm_refuses_is_a_failure(self, server: NanoMdmServer) -> None:
        """A device with the identity of another CA does not enroll."""
        fleet = Fleet(f"{server.url}/mdm", DeviceAuthority(), cert_header=CERT_HEADER)
        (device,) = fleet.add(1)
        assert re.search(r"answered [45]\d\d", fleet.enroll().failures[device.udid])


def check_ins(webhook: Recorder, device: Device) -> list[str]:
    """Return the topics of the check-ins of a device."""
    return [one.topic for one in webhook.events if one.udid == device.udid and one.topic != "mdm.Connect"]


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "tools.devices", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_refuses_other_machines(tmp_path: Path) -> None:
    """It exits before it writes a file."""
    done = command_line("--url", "http://192.0.2.1:9000/mdm", "--ca", str(tmp_path / "ca.pem"))
    assert done.returncode == 2
    assert "loopback" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_enrolls_devices_and_lets_them_connect(
    server: NanoMdmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each round is one line."""
    monkeypatch.setattr(devices_command, "DeviceAuthority", lambda: server.authority)
    options = ["--count", "2", "--not-now", "1", "--silent", "1", "--rounds", "2", "--every", "0"]
    code = devices_command.main(["--url", f"{server.url}/mdm", "--ca", str(tmp_path / "ca.pem"), *options])
    assert code == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "4 devices are enrolled",
        "round 1: 3 devices connected: no command",
        "round 2: 3 devices connected: no command",
    ]


def test_the_command_reports_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """The CA exists, so that NanoMDM can be started with it."""
    ca = tmp_path / "ca.pem"
    url = f"http://127.0.0.1:{free_port()}/mdm"
    done = command_line("--url", url, "--ca", str(ca), "--count", "2", "--silent", "1", "--patience", "0")
    assert done.returncode == 1
    assert "3 devices did not enroll" in done.stderr
    assert ca.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
