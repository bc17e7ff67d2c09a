"""The local services: processes on loopback, devices that enroll and install profiles, and the stop of all services."""

from __future__ import annotations

import contextlib
import os
import plistlib
import shutil
import socket
import stat
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.core.profile import install_profile_command
from tests.support.nanomdm_server import nanomdm_server
from tools.devices import DeviceAuthority
from tools.services import local, nanomdm, ports, process, procfs, records
from tools.services.fleet import Fleet, FleetError
from tools.services.process import Command, Service, ServiceError
from tools.services.testing import MdmServices, executables, mdm_services
from tools.services.webhook import Recorder

__all__ = ["executables", "mdm_services"]

PAGE = (
    "import http.server, sys\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"
)
"""A program that listens on the port that is its argument."""

ROOT_DER = b"stands for the DER of a root certificate"


def profile(identifier: str, root: bytes = ROOT_DER) -> bytes:
    """Return a configuration profile that makes one certificate a trusted root."""
    payload = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.root",
        "PayloadUUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, identifier)),
        "PayloadContent": root,
    }
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": identifier,
            "PayloadUUID": str(uuid.uuid4()),
            "PayloadContent": [payload],
        }
    )


def install(
    services: local.LocalServices, ids: tuple[str, ...], content: bytes, command: str | None = None
) -> tuple[httpx.Response, str]:
    """Enqueue InstallProfile without a push; return NanoMDM's response and the UUID of the command."""
    chosen = command or str(uuid.uuid4())
    body = plistlib.dumps({"CommandUUID": chosen, "Command": {"RequestType": "InstallProfile", "Payload": content}})
    response = httpx.put(
        f"{services.mdm_url}/v1/enqueue/{','.join(ids)}?nopush=1",
        auth=(nanomdm.API_USER, services.api_key.read_text(encoding="ascii")),
        content=body,
    )
    return response, chosen


def profile_content(fleet: Fleet, udid: str, identifier: str) -> bytes | None:
    """Return the content of a profile on a device, or None if the device does not have it."""
    return next((kept.content for kept in fleet.profiles(udid) if kept.identifier == identifier), None)


def der_certificate() -> bytes:
    """Return a certificate, DER."""
    return DeviceAuthority().identity("root")


def message_keys(webhook: Recorder, commands: set[str]) -> dict[str, set[str]]:
    """Return the keys of the messages by topic and status, without answers to commands other than *commands*."""
    found: dict[str, set[str]] = {}
    for one in webhook.events:
        if not one.command or one.command in commands:
            found.setdefault(f"{one.topic} {one.status}", set()).update(one.answer())
    return found


class TestDevices:
    """Simulated devices with a real NanoMDM."""

    def test_all_devices_acknowledge_and_hold_a_profile(self, mdm_services: MdmServices) -> None:
        """Each device that connects installs the profile and answers. The webhook receives the answers."""
        fleet, content = mdm_services.fleet, profile("com.example.all")
        response, command = install(mdm_services.services, fleet.ids(), content)
        assert response.status_code == 200
        assert fleet.poll().connected == set(fleet.ids())
        answers = mdm_services.webhook.answers(command, count=5)
        assert {udid: event.status for udid, event in answers.items()} == dict.fromkeys(fleet.ids(), "Acknowledged")
        assert all(event.genuine for event in answers.values())
        assert [profile_content(fleet, udid, "com.example.all") for udid in fleet.ids()] == [content] * 5

    def test_a_device_that_does_not_connect_does_not_get_the_profile(self, mdm_services: MdmServices) -> None:
        """A command waits for devices that do not connect."""
        fleet, content = mdm_services.fleet, profile("com.example.later")
        away, *present = fleet.ids()
        _, command = install(mdm_services.services, fleet.ids(), content)
        assert fleet.poll(present).connected == set(present)
        assert set(mdm_services.webhook.answers(command, count=4)) == set(present)
        assert profile_content(fleet, away, "com.example.later") is None
        fleet.poll([away])
        assert profile_content(fleet, away, "com.example.later") == content

    def test_the_trusted_roots_can_be_read_from_the_device(self, mdm_services: MdmServices) -> None:
        """A profile with the same identifier replaces the installed one with its roots."""
        fleet = mdm_services.fleet
        one = fleet.ids()[:1]
        for root in (b"old", b"new"):
            install(mdm_services.services, one, profile("com.example.roots", root))
            fleet.poll(one)
        roots = [kept.roots() for kept in fleet.profiles(one[0]) if kept.identifier == "com.example.roots"]
        assert roots == [(b"new",)]

    def test_a_profile_that_a_device_cannot_read_is_answered_with_an_error(self, mdm_services: MdmServices) -> None:
        """The event has the ErrorChain of the device."""
        one = mdm_services.fleet.ids()[:1]
        _, command = install(mdm_services.services, one, b"no property list")
        mdm_services.fleet.poll(one)
        event = mdm_services.webhook.answers(command, count=1)[one[0]]
        assert event.status == "Error"
        assert event.answer()["ErrorChain"]

    def test_the_devices_of_tests_send_the_same_messages(self, mdm_services: MdmServices, tmp_path: Path) -> None:
        """The webhook receives messages with the same keys from `tools.devices` and from these devices (mdmb)."""
        content = profile("com.example.same", der_certificate())
        _, command = install(mdm_services.services, mdm_services.fleet.ids()[:1], content)
        mdm_services.fleet.poll()
        mdm_services.webhook.answers(command, count=1)
        key = tmp_path / "key"
        key.write_text("webhook-key", encoding="ascii")
        with (
            Recorder(key) as webhook,
            nanomdm_server(webhook_url=webhook.url, webhook_hmac_key="webhook-key") as server,
        ):
            fleet = server.fleet()
            fleet.add(1)
            fleet.enroll()
            with contextlib.closing(NanoMdm(url=server.url, api_key=server.api_key, push=False)) as channel:
                channel.enqueue(list(fleet.devices), install_profile_command(content, "c1"))
            fleet.connect()
            webhook.wait(lambda: len(webhook.events) == 4, "four events")
            ours = message_keys(webhook, {"c1"})
        theirs = message_keys(mdm_services.webhook, {command})
        assert ours.keys() == theirs.keys()
        # An iPad sends more about itself, and no RequestType.
        assert {name: sorted(theirs[name] - keys) for name, keys in ours.items() if theirs[name] - keys} == {
            "mdm.Connect Acknowledged": ["RequestType"]
        }

    def test_devices_that_do_not_exist_are_refused(self, mdm_services: MdmServices) -> None:
        """A wrong id in a test must not look like a device that does not connect."""
        with pytest.raises(FleetError, match="not enrolled: UNKNOWN"):
            mdm_services.fleet.poll(["UNKNOWN"])


class TestNanoMdm:
    """Behavior of NanoMDM v0.9.0 that the product depends on."""

    def test_an_unknown_device_is_not_reported(self, mdm_services: MdmServices) -> None:
        """The response is a success, so a wrong id is visible only in the coverage."""
        response, command = install(mdm_services.services, ("UNKNOWN",), profile("com.example.unknown"))
        assert (response.status_code, response.json()["command_uuid"]) == (200, command)

    def test_a_command_uuid_is_an_idempotency_key(self, mdm_services: MdmServices) -> None:
        """NanoMDM refuses a second command with the same UUID, also for other devices."""
        first, *others = mdm_services.fleet.ids()
        content = profile("com.example.once")
        _, command = install(mdm_services.services, (first,), content)
        again, _ = install(mdm_services.services, tuple(others), content, command)
        assert again.status_code == 500
        assert again.json()["command_error"] == f"command already exists: {command}"
        mdm_services.fleet.poll()

    def test_without_a_push_certificate_a_pushed_command_fails_but_is_queued(self, mdm_services: MdmServices) -> None:
        """Because of this, callers must not enqueue again if only the push failed."""
        services, one = mdm_services.services, mdm_services.fleet.ids()[:1]
        command, content = str(uuid.uuid4()), profile("com.example.pushed")
        response = httpx.put(
            f"{services.mdm_url}/v1/enqueue/{one[0]}",
            auth=(nanomdm.API_USER, services.api_key.read_text(encoding="ascii")),
            content=plistlib.dumps(
                {"CommandUUID": command, "Command": {"RequestType": "InstallProfile", "Payload": content}}
            ),
        )
        assert response.status_code == 500
        assert "push_error" in response.json()
        mdm_services.fleet.poll(one)
        assert profile_content(mdm_services.fleet, one[0], "com.example.pushed") == content

    def test_the_api_key_is_not_visible_in_the_process_list(self, mdm_services: MdmServices) -> None:
        """The key is passed in the environment, which only the owner can read."""
        services = mdm_services.services
        running = process.find(services.state, nanomdm.NAME)
        assert running is not None
        arguments = Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
        assert services.api_key.read_bytes() not in arguments
        assert services.webhook_key.read_bytes() not in arguments


class TestLifecycle:
    """Start, reuse and stop of services."""

    def test_everything_stops_and_goes_on_where_it_was(self, tmp_path: Path, executables: local.Executables) -> None:
        """A second `up` reuses running services. After `down`, `up` has the same ports, devices and AWS data."""
        state = tmp_path / "state"
        with Recorder(state / "mdm-webhook-key") as webhook:
            try:
                first = local.up(state, executables, webhook_url=webhook.url, devices=2)
                put_secret(first.aws_url, "kept")
                pids = running_pids(state)
                assert local.up(state, executables, webhook_url=webhook.url, devices=2) == first
                assert running_pids(state) == pids

                assert set(first.down()) == set(local.NAMES)
                assert [procfs.identify(pid) for pid in pids] == [None] * 3
                assert all(ports.is_free(httpx.URL(url).port or 0) for url in (first.aws_url, first.mdm_url))
                assert local.down(state) == ()

                again = local.up(state, executables, webhook_url=webhook.url, devices=2)
                assert again == first
                assert put_secret(again.aws_url, "kept") == 400  # ResourceExistsException
                assert again.fleet.poll().connected == set(first.fleet.ids())
            finally:
                local.down(state)

    def test_devices_are_enrolled_again_if_the_port_was_taken(
        self, tmp_path: Path, executables: local.Executables
    ) -> None:
        """If another process has NanoMDM's port, the devices are enrolled again and keep their other profiles."""
        with Recorder(tmp_path / "mdm-webhook-key") as webhook:
            try:
                first = local.up(tmp_path, executables, webhook_url=webhook.url, devices=1, storage="inmem")
                install(first, first.fleet.ids(), profile("com.example.stays"))
                first.fleet.poll()
                first.down()
                with socket.create_server((ports.LOOPBACK, httpx.URL(first.mdm_url).port or 0)):
                    second = local.up(tmp_path, executables, webhook_url=webhook.url, devices=1, storage="inmem")
                assert second.mdm_url != first.mdm_url
                assert second.fleet.poll().connected == set(first.fleet.ids())
                assert profile_content(second.fleet, second.fleet.ids()[0], "com.example.stays")
            finally:
                local.down(tmp_path)

    def test_only_loopback_ports_that_were_asked_for_are_open(self, mdm_services: MdmServices) -> None:
        """Each process listens only on one port at 127.0.0.1."""
        services = mdm_services.services
        for name in local.NAMES:
            running = process.find(services.state, name)
            assert running is not None
            assert procfs.listeners(procfs.group(running.process.pid)) == {("127.0.0.1", running.port)}

    def test_no_other_user_can_read_the_state(self, mdm_services: MdmServices) -> None:
        """Other users can read neither the directory nor its files."""
        state = mdm_services.services.state
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        modes = {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in state.rglob("*")}
        assert modes == {0}

    def test_a_recycled_pid_is_left_alone(self, tmp_path: Path) -> None:
        """A process with the pid of a former service is not a service."""
        impostor = procfs.Identity(pid=os.getpid(), started=1, boot=procfs.boot_id())
        records.write(tmp_path, "gone", records.Record(port=1, digest="", process=impostor))
        assert process.find(tmp_path, "gone") is None
        assert process.stop(tmp_path, "gone") is False

    def test_a_copied_state_stops_and_reuses_nothing_of_the_original(self, tmp_path: Path) -> None:
        """The copied record names the process of the original. The copy starts another process on another port."""
        service = Service(
            name="page", command=lambda port: Command(argv=(sys.executable, "-c", PAGE, str(port))), health="/"
        )
        original, copy = tmp_path / "original", tmp_path / "copy"
        original.mkdir()
        try:
            first = process.ensure(original, service)
            shutil.copytree(original, copy)
            assert process.find(copy, "page") is None
            assert process.stop(copy, "page") is False
            shutil.rmtree(copy)
            shutil.copytree(original, copy)
            second = process.ensure(copy, service)
            assert second.process.pid != first.process.pid
            assert second.port != first.port
            assert process.stop(copy, "page") is True
            assert process.find(original, "page") == replace(first, reused=True)
        finally:
            stopped = [process.stop(state, "page") for state in (original, copy)]
        assert stopped == [True, False]

    def test_a_moved_state_stops_its_processes(self, tmp_path: Path) -> None:
        """The processes still run in the renamed folder."""
        service = Service(
            name="page", command=lambda port: Command(argv=(sys.executable, "-c", PAGE, str(port))), health="/"
        )
        before, after = tmp_path / "before", tmp_path / "after"
        before.mkdir()
        first = process.ensure(before, service)
        before.rename(after)
        assert process.stop(after, "page") is True
        assert procfs.identify(first.process.pid) is None

    def test_a_service_that_ends_early_shows_its_log(self, tmp_path: Path) -> None:
        """The error quotes the log of the service."""
        broken = Service(
            name="broken", command=lambda _: Command(argv=("sh", "-c", "echo no such option; exit 3")), health="/"
        )
        with pytest.raises(ServiceError, match="no such option"):
            process.ensure(tmp_path, broken)

    def test_a_program_that_is_missing_is_named(self, tmp_path: Path) -> None:
        """A missing executable gives an error without a traceback."""
        missing = Service(name="missing", command=lambda _: Command(argv=("no-such-program",)), health="/")
        with pytest.raises(ServiceError, match="cannot execute no-such-program"):
            process.ensure(tmp_path, missing)

    def test_a_service_that_opens_more_than_its_port_is_stopped(self, tmp_path: Path) -> None:
        """Services must not be reachable on other addresses, whatever the defaults of a program are."""
        program = (
            "import http.server, socket, sys\n"
            "extra = socket.create_server(('127.0.0.2', 0))\n"
            "server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)\n"
            "server.serve_forever()"
        )
        service = Service(
            name="open", command=lambda port: Command(argv=(sys.executable, "-c", program, str(port))), health="/"
        )
        with pytest.raises(ServiceError, match=r"also listens on \[\('127.0.0.2'"):
            process.ensure(tmp_path, service)
        assert process.find(tmp_path, "open") is None


def running_pids(state: Path) -> list[int]:
    """Return the pids of the running services."""
    return [running.process.pid for name in local.NAMES if (running := process.find(state, name)) is not None]


def put_secret(endpoint: str, name: str) -> int:
    """Create a secret with one call of the AWS JSON protocol; return the HTTP status."""
    credential = "Credential=test/20400101/eu-west-1/secretsmanager/aws4_request"
    return httpx.post(
        endpoint,
        json={"Name": name, "SecretString": "x", "ClientRequestToken": "0" * 32},
        headers={
            "X-Amz-Target": "secretsmanager.CreateSecret",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0",
        },
    ).status_code
