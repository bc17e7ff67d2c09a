"""Scenario of a rehearsal, for ``make rehearse`` and its test: two cycles of a pair in 2040.

The engine, NanoMDM, nginx and `consume` are real. AWS is an emulator: ``tools.services.schedules`` makes the calls of
stored schedules when they are due. Devices use the rehearsal's clock and trust only the roots in their installed
profile. A device fetches its commands only if it accepts the certificate that nginx presents.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from tools.services import nginx, process, records, schedules
from tools.services.handshake import Visit, visit
from tools.services.ports import free_port
from tools.stack import make_stack
from tools.timeline_bars import Bar
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from tools.services.local import LocalServices
    from tools.stack import Stack

START = datetime(2040, 1, 1, tzinfo=UTC)
"""Start of the rehearsal. In the future, because the emulator drops schedules that are due by the machine's clock."""
HOST = "mdm.example.com"
SERVER = "berlin"
SECRET = f"ios-mdm/{SERVER}"
PROFILE = "com.example.mdm.trust"
API_KEY_SECRET = "mdm/api-key"  # noqa: S105 - the name of a secret
DEVICES = 5
DAY = timedelta(days=1)
RELOAD_SECONDS = 30.0

_COUNT = re.compile(r"^\s+[~+-]?\s*(?P<count>\d+) (?P<what>created|updated|unchanged|deleted|replaced)$", re.MULTILINE)
_FINGERPRINT_TAIL = re.compile(r"(?<=[0-9a-f]{8})[0-9a-f]{56}")


class RehearsalError(Exception):
    """The rehearsal failed. The message is the line that the user sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A device that refused the server's certificate."""

    at: datetime
    device: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """One server with its devices.

    Args:
        services: Emulator, NanoMDM and the simulated devices.
        stack: Stack of the real engine.
        state: Folder of the rehearsal.
        executable: Path of nginx.
        report: Receives the time and the text of each event.
    """

    services: LocalServices
    stack: Stack
    state: Path
    executable: Path
    report: Callable[[datetime, str], None]
    port: int = field(default_factory=free_port)
    now: datetime = START
    refusals: list[Refusal] = field(default_factory=list)
    listed: tuple[str, ...] = ()
    bars: dict[str, Bar] = field(default_factory=dict)
    serving: bool = False
    shown: Mapping[str, Any] = field(default_factory=dict)
    """Outputs of the server after the last `pulumi up`."""

    @property
    def files(self) -> Path:
        """Folder with the certificate files of nginx."""
        return self.state / "tls"

    def define(self, devices: Iterable[str]) -> None:
        """Write the definition with these devices, and with the defaults for reserve and promotion."""
        self.listed = tuple(devices)
        # Without a push: APNs is not part of the rehearsal, and the scenario decides when devices connect.
        nanomdm = {"url": self.services.mdm_url, "apiKeySecret": API_KEY_SECRET, "push": False}
        server = {
            "name": SERVER,
            "address": HOST,
            "endpoints": [f"127.0.0.1:{self.port}"],
            "main": {"issue": {"key": "ec-p256"}},
            "distribution": {
                "profile": {"identifier": PROFILE, "organization": "Example"},
                "channel": {"nanomdm": nanomdm},
                "devices": list(self.listed),
                "ledger": "sqlite:///ledger.sqlite",
            },
        }
        self.stack.define([server])

    def up(self, now: datetime) -> None:
        """Run `pulumi up` at this time, as a daily pipeline does."""
        self.now = now
        output = self.stack.up(IOS_MDM_CLOCK=f"{now:%Y-%m-%dT%H:%M:%SZ}").ok().output
        counts = ", ".join(f"{found['count']} {found['what']}" for found in _COUNT.finditer(output))
        self.report(now, f"pulumi up: {counts}")
        for line in output.splitlines():
            text = line.strip().removeprefix(f"{SERVER}: ")
            # Lines about this server, except its outputs and, before nginx runs, the notice about its endpoints.
            is_notice = "`endpoints: []`" in text
            if text != line.strip() and not text.startswith("{") and (self.serving or not is_notice):
                self.report(now, f"  {text}")
        self.shown = self.stack.outputs()["servers"][SERVER]
        for slot in ("main", "reserve"):
            self._note(slot, self.shown[slot])

    def _note(self, slot: str, certificate: Mapping[str, Any] | None) -> None:
        if certificate is None:
            return
        name = certificate["certificate"]
        start, end = (datetime.fromisoformat(certificate[key]) for key in ("notBefore", "notAfter"))
        bar = self.bars.setdefault(name, Bar(name, start, end))
        if slot == "main" and bar.main_from is None:
            bar.main_from = self.now
            for other in self.bars.values():
                if other is not bar and other.main_from is not None and other.main_until is None:
                    other.main_until = self.now

    def trusted_roots(self, device: str) -> tuple[bytes, ...]:
        """Return the roots in this server's profiles on a device, in DER."""
        profiles = self.services.fleet.profiles(device)
        ours = (profile for profile in profiles if profile.identifier.startswith(f"{PROFILE}."))
        return tuple(root for profile in ours for root in profile.roots())

    def visits(self, devices: Iterable[str]) -> dict[str, Visit]:
        """Let devices connect to the server at the rehearsal's time, and record each refusal."""
        found = {device: visit(self.port, HOST, self.trusted_roots(device), self.now) for device in devices}
        self.refusals += [
            Refusal(at=self.now, device=device, reason=one.reason) for device, one in found.items() if not one.accepted
        ]
        return found

    def check_in(self, devices: Iterable[str], now: datetime, group: str = "devices") -> None:
        """Let devices connect. Devices that accept the server fetch their commands."""
        self.now = now
        seen = self.visits(devices)
        accepted = [device for device, one in seen.items() if one.accepted]
        poll = self.services.fleet.poll(accepted)
        if poll.failed:
            raise RehearsalError(f"a device could not fetch its commands: {next(iter(poll.failed.values()))}")
        lost = len(seen) - len(accepted)
        self.report(now, f"{group}: {len(accepted)} of {len(seen)} connect" + (f", {lost} LOCKED OUT" if lost else ""))

    def fire(self, now: datetime) -> None:
        """Make the calls of the schedules that are due, as AWS does."""
        self.now = now
        fired = schedules.fire(self.services.aws_url, now)
        if not fired:
            raise RehearsalError(f"no schedule is due at {now:%Y-%m-%d %H:%M}, so the reserve does not become main")
        for one in fired:
            if one.problem:
                raise RehearsalError(f"the call of the schedule {one.name} failed: {one.problem}")
            self.report(now, "AWS: the schedule moves the label AWSCURRENT, without a run of pulumi")

    def consume(self) -> None:
        """Run `consume` once, as its service does every few minutes. It reloads nginx if nginx runs."""
        arguments = ["consume", "--secret", SECRET, "--dir", str(self.files), "--once"]
        if self.serving:
            arguments += ["--exec", nginx.reload_command(self.executable, self.state)]
        done = subprocess.run(
            [Toolchain.load().python, "-m", "ios_mdm", *arguments],
            cwd=self.state,
            env=self.stack.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RehearsalError(f"consume failed: {done.stderr.strip()}")
        self.report(self.now, f"consume: {_FINGERPRINT_TAIL.sub('…', done.stdout.strip().splitlines()[-1])}")

    def serve(self) -> None:
        """Start nginx with the files of `consume`."""
        settings = nginx.Settings(host=HOST, files=self.files, upstream=self.services.mdm_url)
        with records.state_lock(self.state):
            running = process.ensure(
                self.state, nginx.service(self.executable, self.state, settings), wished_port=self.port
            )
        if running.port != self.port:
            raise RehearsalError("another process took the port of nginx: run this command again")
        self.serving = True

    def follow(self, devices: Iterable[str]) -> None:
        """Run `consume`, and let devices connect continuously until nginx has reloaded."""
        listed, before = list(devices), nginx.workers(self.state)
        self.consume()

        def former() -> frozenset[int]:
            self.visits(listed)
            return before & nginx.workers(self.state)

        try:
            Retrying(retry=retry_if_result(bool), wait=wait_fixed(0.02), stop=stop_after_delay(RELOAD_SECONDS))(former)
        except RetryError:
            raise RehearsalError("nginx did not load its new files: see nginx.log") from None


def play(stage: Rehearsal, *, cycles: int = 2) -> Iterator[str]:
    """Run the scenario, and yield the name of each scene after its end.

    Devices 1 to 3 always connect. Device 4 does not connect in the first three weeks of each reserve. Device 5 is
    removed from the list before the first reserve is issued, so it never trusts the reserve. It must be locked out:
    this proves that the rehearsal detects a lock-out.
    """
    devices = stage.services.fleet.ids()
    steady, late, forgotten = devices[:3], devices[3], devices[4]
    kept = [*steady, late]
    stage.define(devices)
    stage.up(START)
    # A device gets its first profile at its enrollment, or through a connection that it trusts for another reason.
    stage.services.fleet.poll()
    stage.consume()
    stage.serve()
    stage.check_in(devices, START + timedelta(hours=1))
    yield "start"
    for cycle in range(1, cycles + 1):
        expiry = datetime.fromisoformat(stage.shown["main"]["notAfter"]) + timedelta(seconds=1)
        stage.define(kept)
        if cycle == 1:
            stage.report(expiry - 60 * DAY, "device 5 is removed from the list by mistake; device 4 is away")
        stage.up(expiry - 60 * DAY)
        stage.check_in([*steady, forgotten], expiry - 60 * DAY + timedelta(hours=1), "devices 1, 2, 3, 5")
        yield "reserve"
        stage.check_in([late], expiry - 39 * DAY, "device 4, back after three weeks")
        yield "late device"
        stage.fire(expiry - DAY + timedelta(seconds=60))
        stage.visits(kept)  # the label has moved, but the server still presents the former main
        yield "fired"
        stage.follow(kept)
        stage.check_in(devices, expiry - DAY + timedelta(minutes=10), "all devices")
        yield "switched"
        stage.up(expiry - DAY + timedelta(hours=6))
        stage.check_in(kept, expiry - DAY + timedelta(hours=7), "devices 1 to 4")
        yield "tidied"
        stage.up(expiry + DAY)
        stage.check_in(kept, expiry + DAY + timedelta(hours=1), "devices 1 to 4")
        yield "former main gone"


def stage(state: Path, report: Callable[[datetime, str], None], services: LocalServices) -> Rehearsal:
    """Return a rehearsal that uses running services. *state* is an empty folder."""
    client = schedules.client("secretsmanager", services.aws_url)
    client.create_secret(Name=API_KEY_SECRET, SecretString=services.api_key.read_text(encoding="utf-8"))
    client.close()
    return Rehearsal(
        services=services,
        stack=make_stack(state, services.aws_url, "rehearsal"),
        state=state,
        executable=Toolchain.nginx(),
        report=report,
    )
