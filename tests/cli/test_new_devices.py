"""`ios-mdm receive --definition`: new devices of a real NanoMDM, and the MDM server of a definition."""

from __future__ import annotations

import hashlib
import os
import plistlib
import subprocess
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.cli.mdm_server import MdmServer
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceState, StatePolicy
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.profile import certificate_digests, trust_profile
from ios_mdm.core.x509.issuing import issue
from ios_mdm.errors import DefinitionError, StoreError
from ios_mdm.wiring import Wiring, process_wiring
from tests.cli.receiving import SECRET, definition, eventually, receive_command, receiving, server
from tests.support.engine_aws import client
from tests.support.events import record_device
from tests.support.memory import MemorySecretStore
from tests.support.nanomdm_server import free_port, nanomdm_server
from tests.support.pairs import HandClock
from tests.support.wiring import TestWiring
from tools.services import ministack, process
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.nanomdm_server import Device
    from tools.services import local

PRIVATE = b"DER of a certificate that another program installed"


@pytest.fixture(scope="module")
def aws_url(tmp_path_factory: pytest.TempPathFactory, executables: local.Executables) -> Iterator[str]:
    """Run an AWS emulator."""
    state = tmp_path_factory.mktemp("aws")
    service = ministack.service(executables.ministack, state / "data")
    try:
        yield process.ensure(state, service).url
    finally:
        process.stop(state, service.name)


@dataclass(slots=True)
class Phone:
    """A simulated device that installs each profile that it is sent, and reports its certificates."""

    device: Device
    profiles: list[bytes] = field(default_factory=list)

    def check_in(self) -> int:
        """Answer all queued commands; return the number of profiles that were installed so far."""
        command = self.device.put(Status="Idle")
        while command is not None:
            report: dict[str, Any] = {}
            if command["Command"]["RequestType"] == "InstallProfile":
                self.profiles.append(command["Command"]["Payload"])
            else:
                assert command["Command"] == {"RequestType": "CertificateList", "ManagedOnly": True}
                report["CertificateList"] = [
                    {"CommonName": "any name", "Data": one, "IsIdentity": False}
                    for one in (*self.certificates, PRIVATE)
                ]
            command = self.device.put(Status="Acknowledged", CommandUUID=command["CommandUUID"], **report)
        return len(self.profiles)

    @property
    def certificates(self) -> list[bytes]:
        """The certificates of the last profile, DER."""
        return [one["PayloadContent"] for one in plistlib.loads(self.profiles[-1])["PayloadContent"]]


def test_new_and_erased_devices_get_the_profile_without_an_up(tmp_path: Path, aws_url: str) -> None:
    """The real NanoMDM reports an enrollment, and the collector queues the bytes that `up` published.

    The device then reports its certificates. The ledger keeps no trace of the others.
    """  # R42 R43 R44
    port, ledger = free_port(), SqliteLedger(tmp_path / "ledger.sqlite")
    now = datetime.now(UTC).replace(microsecond=0)
    chain = issue("berlin.example.com", key=KeyType.EC_P256, validity_days=90, now=now).chain
    profile = trust_profile([chain], identifier="com.example.mdm", server="berlin", host="berlin.example.com")
    with nanomdm_server(webhook_url=f"http://127.0.0.1:{port}/") as mdm:
        client("secretsmanager", aws_url).create_secret(Name=SECRET, SecretString=mdm.api_key)
        file = definition(tmp_path / "servers.yaml", server("berlin", mdm.url, proof={"certificateList": True}))
        published = ledger.publish(
            "berlin",
            profile,
            certificates=certificate_digests(profile),
            seed=uuid.uuid4(),
            at=now,
            channel=mdm.url,
            is_for_all=True,
        )
        policy = StatePolicy(revision=published.revision, certificates=published.certificates, is_proof_configured=True)

        def state(udid: str) -> DeviceState:
            (record,) = ledger.devices("berlin", enrollment_ids=[udid])
            return device_status(record, policy).state

        def has_proved(phone: Phone, profiles: int) -> bool:
            return phone.check_in() == profiles and state(phone.device.udid) is DeviceState.PROVED

        arguments = ["--definition", str(file), "--listen", f"127.0.0.1:{port}"]
        with receiving(*arguments, aws_url=aws_url, folder=tmp_path):
            phone, other = Phone(mdm.device("phone")), Phone(mdm.device("other"))
            eventually(lambda: has_proved(phone, 1))
            eventually(lambda: has_proved(other, 1))
            phone.device.enroll()
            eventually(lambda: state("phone") is not DeviceState.PROVED)
            eventually(lambda: has_proved(phone, 2))
            phone.device.put(MessageType="TokenUpdate", Topic="com.apple.mgmt.test", PushMagic="magic", Token=b"new")
            # The collector sends in the order of the enrollments, so a second copy precedes the profile of this device.
            last = Phone(mdm.device("last"))
            eventually(lambda: has_proved(last, 1))
            assert (phone.check_in(), other.check_in()) == (2, 1)
        assert {*phone.profiles, *other.profiles, *last.profiles} == {profile}
    kept = ledger.path.read_bytes() + (tmp_path / "log").read_bytes()
    private = (PRIVATE, hashlib.sha256(PRIVATE).digest(), hashlib.sha256(PRIVATE).hexdigest().encode(), b"any name")
    assert [one for one in private if one in kept] == []


def test_events_are_recorded_without_aws(tmp_path: Path) -> None:
    """AWS does not answer at the start. Events are recorded, and a warning says so."""  # R40 R43
    file = definition(tmp_path / "servers.yaml", server("berlin", "http://127.0.0.1:9"))
    arguments = ["--definition", str(file), "--listen", "127.0.0.1:0"]
    with receiving(*arguments, aws_url=f"http://127.0.0.1:{free_port()}", folder=tmp_path):
        pass
    assert "Events are recorded. The API key is read again when a device enrolls" in (tmp_path / "log").read_text()


def test_without_a_definition_the_command_says_that_it_only_records(tmp_path: Path) -> None:
    """New devices then wait for the next `up`."""  # R43
    arguments = ["--ledger", f"sqlite:///{tmp_path / 'ledger.sqlite'}", "--listen", "127.0.0.1:0"]
    with receiving(*arguments, aws_url="", folder=tmp_path):
        pass
    assert (tmp_path / "log").read_text().startswith("events are recorded only: without --definition")


def test_a_missing_api_key_is_an_error_at_the_start(tmp_path: Path, aws_url: str) -> None:
    """The command exits before devices wait for a profile that is never sent."""  # R43
    file = definition(tmp_path / "servers.yaml", server("berlin", "http://127.0.0.1:9"))
    file.write_text(file.read_text().replace(SECRET, "mdm/missing"))
    environment = os.environ | ministack.CREDENTIALS | {"AWS_ENDPOINT_URL": aws_url, "AWS_CONFIG_FILE": os.devnull}
    command = receive_command("--definition", str(file), "--listen", "127.0.0.1:0")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "there is no secret mdm/missing" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no ledger is named: add --ledger"),
        (["--ledger", "sqlite:///x.db", "--server", "berlin"], "--server names a server of a definition"),
        (["--definition", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_a_wrong_combination_of_options_is_one_line(arguments: list[str], words: str) -> None:
    """The message names the option to add or to correct."""
    done = CliRunner().invoke(app, ["receive", *arguments])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr


def test_a_definition_without_a_ledger_is_refused(tmp_path: Path) -> None:
    """Without a ledger, `up` publishes no profile that the collector could send."""  # R43
    one = server("berlin", "https://mdm.example.com", devices=["D1"], ledger=None)
    file = definition(tmp_path / "servers.yaml", one)
    with pytest.raises(DefinitionError) as caught:
        MdmServer.read(file, None).ledger(process_wiring())
    assert "names no ledger: add `ledger: sqlite:///path`" in str(caught.value)


def test_proof_is_a_setting_of_each_server(tmp_path: Path) -> None:
    """Only devices of servers with `proof` are asked for their certificates."""  # R44
    file = definition(
        tmp_path / "servers.yaml",
        server("berlin", "https://mdm.example.com", proof={"certificateList": True}),
        server("hamburg", "https://mdm.example.com"),
    )
    assert MdmServer.read(file, None).servers_with_proof == {"berlin"}


def test_servers_can_share_an_mdm_server(tmp_path: Path) -> None:
    """The URL of an MDM server may end with a slash."""
    file = definition(
        tmp_path / "servers.yaml",
        server("berlin", "https://mdm.example.com"),
        server("hamburg", "https://mdm.example.com/"),
        server("munich", None),
    )
    assert MdmServer.read(file, None).distribution.channel.chosen.destination == "https://mdm.example.com"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, "has several MDM servers (https://a.example.com, https://b.example.com): add --server"),
        ("munich", "has no distribution through an MDM server, so no profile is sent: remove --definition"),
        ("bonn", "has no server 'bonn'"),
    ],
)
def test_the_mdm_server_must_be_known(tmp_path: Path, name: str | None, words: str) -> None:
    """An event does not say which MDM server posted it."""  # R43
    file = definition(
        tmp_path / "servers.yaml",
        server("berlin", "https://a.example.com"),
        server("hamburg", "https://b.example.com"),
        server("munich", None),
    )
    with pytest.raises(DefinitionError) as caught:
        MdmServer.read(file, name)
    assert words in str(caught.value)


def test_only_switches_of_devices_of_this_mdm_server_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector of another MDM server moves the others."""  # R46
    file = definition(
        tmp_path / "servers.yaml",
        server("berlin", "https://mdm.example.com"),
        server("hamburg", "https://other.example.com"),
        server("munich", "https://mdm.example.com"),
    )
    moved: list[str] = []

    @dataclass
    class Mover:
        """Notes the server."""

        name: str

        def move(self) -> bool:
            """Note the server, or fail for the first one."""
            moved.append(self.name)
            if self.name == "berlin":
                raise StoreError("access denied")
            return True

    monkeypatch.setattr(Wiring, "switch_mover", lambda _self, one, *_arguments, **_options: Mover(one.name))
    MdmServer.read(file, "berlin").move_switches(Wiring(environ={}, base=tmp_path))
    assert moved == ["berlin", "munich"]


def test_records_of_devices_that_left_are_deleted_daily(tmp_path: Path) -> None:
    """The collector deletes them without an `up`, after the longest retention, apart from listed devices."""  # R41 R46
    file = definition(
        tmp_path / "servers.yaml",
        server("berlin", "https://mdm.example.com", retentionDays=10),
        server("hamburg", "https://mdm.example.com", retentionDays=20),
        server("munich", "https://other.example.com", retentionDays=300),
        server("bonn", "https://mdm.example.com", devices=["L1"], retentionDays=10),
        server("kiel", "https://other.example.com", devices=["L2"]),
        server("ulm", None),
    )
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    now = datetime(2040, 1, 31, tzinfo=UTC)
    for name, days in (("D1", 19), ("D2", 21), ("L1", 21), ("L2", 21)):
        record_device(ledger, name, enrolled=False, at=now - timedelta(days=days))
    record_device(ledger, "D3", enrolled=True, at=now - timedelta(days=300))
    mdm_server = MdmServer.read(file, "berlin")
    mdm_server.delete_left_devices(
        TestWiring(environ={}, base=tmp_path, memory=MemorySecretStore(), hand_clock=HandClock(now)), ledger
    )
    assert [one.enrollment_id for one in ledger.devices("berlin")] == ["D1", "D3", "L1", "L2"]
