"""The story of a rehearsal, for ``make rehearse`` and for its test: two cycles of a pair in 2040.

Real are the engine, NanoMDM, nginx and `consume`. AWS is an emulator, whose stored schedules
``tools.services.schedules`` performs when their moment comes. Devices look at the rehearsal's clock, trust only what
their installed profile holds, and fetch their commands only where they accept what nginx presents.
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
"""An emulator drops schedules that are due by the machine's clock, so all of it is in a future."""
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
    """The rehearsal cannot go on; the message is the one line that the user sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A device that did not accept what the server presented."""

    at: datetime
    device: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """One server with its devices.

    Args:
        services: the emulator, NanoMDM and the simulated devices.
        stack: of the real engine.
        state: folder of the rehearsal.
        executable: nginx.
        tell: takes an event of the story.
    """

    services: LocalServices
    stack: Stack
    state: Path
    executable: Path
    tell: Callable[[datetime, str], None]
    port: int = field(default_factory=free_port)
    now: datetime = START
    refused: list[Refused] = field(default_factory=list)
    listed: tuple[str, ...] = ()
    bars: dict[str, Bar] = field(default_factory=dict)
    serving: bool = False
    shown: Mapping[str, Any] = field(default_factory=dict)
    """The outputs of the server after the last `up`."""

    @property
    def files(self) -> Path:
        """What nginx reads."""
        return self.state / "tls"

    def define(self, devices: Iterable[str]) -> None:
        """Let the definition list these devices; reserve and promotion are what they are where nothing is said."""
        self.listed = tuple(devices)
        # Without a push: APNs is not part of this, and the devices come when the story lets them.
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
        """Run `pulumi up` at this moment, as a pipeline does every day."""
        self.now = now
        output = self.stack.up(IOS_MDM_CLOCK=f"{now:%Y-%m-%dT%H:%M:%SZ}").ok().output
        counts = ", ".join(f"{found['count']} {found['what']}" for found in _COUNT.finditer(output))
        self.tell(now, f"pulumi up: {counts}")
        for line in output.splitlines():
            told = line.strip().removeprefix(f"{SERVER}: ")
            # Lines about this server; not its outputs, and not what cannot be looked at before there is a server.
            if told != line.strip() and not told.startswith("{") and (self.serving or not told.startswith("what the")):
                self.tell(now, f"  {told}")
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

    def trusted(self, device: str) -> tuple[bytes, ...]:
        """Return the roots in the profiles of ours that are installed on a device."""
        profiles = self.services.fleet.profiles(device)
        ours = (profile for profile in profiles if profile.identifier.startswith(f"{PROFILE}."))
        return tuple(root for profile in ours for root in profile.roots())

    def visits(self, devices: Iterable[str]) -> dict[str, Visit]:
        """Let devices connect to the server at the rehearsal's moment; note who refuses it."""
        found = {device: visit(self.port, HOST, self.trusted(device), self.now) for device in devices}
        self.refused += [
            Refused(at=self.now, device=device, reason=one.reason) for device, one in found.items() if not one.accepted
        ]
        return found

    def check_in(self, devices: Iterable[str], now: datetime, whose: str = "devices") -> None:
        """Let devices connect, and those that accept the server fetch what waits for them."""
        self.now = now
        seen = self.visits(devices)
        accepted = [device for device, one in seen.items() if one.accepted]
        poll = self.services.fleet.poll(accepted)
        if poll.failed:
            raise RehearsalError(f"a device could not fetch its commands: {next(iter(poll.failed.values()))}")
        lost = len(seen) - len(accepted)
        self.tell(now, f"{whose}: {len(accepted)} of {len(seen)} connect" + (f", {lost} LOCKED OUT" if lost else ""))

    def fire(self, now: datetime) -> None:
        """Let AWS do what its schedules say is due."""
        self.now = now
        fired = schedules.fire(self.services.aws_url, now)
        if not fired:
            raise RehearsalError(f"no schedule is due at {now:%Y-%m-%d %H:%M}: nothing would have made the switch")
        for one in fired:
            if one.problem:
                raise RehearsalError(f"the schedule {one.name} fired in vain: {one.problem}")
            self.tell(now, "AWS: the schedule fires and moves the label; nobody runs pulumi")

    def consume(self) -> None:
        """Run `consume` once, as its service does every few minutes, with the reload of nginx once that runs."""
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
        self.tell(self.now, f"consume: {_FINGERPRINT_TAIL.sub('…', done.stdout.strip().splitlines()[-1])}")

    def serve(self) -> None:
        """Start nginx with what `consume` wrote."""
        settings = nginx.Settings(host=HOST, files=self.files, upstream=self.services.mdm_url)
        with records.locked(self.state):
            running = process.ensure(
                self.state, nginx.service(self.executable, self.state, settings), wished_port=self.port
            )
        if running.port != self.port:
            raise RehearsalError("the port that was chosen for nginx was taken meanwhile: run this again")
        self.serving = True

    def follow(self, devices: Iterable[str]) -> None:
        """Run `consume`, and let devices connect all the time that nginx takes for its reload."""
        listed, before = list(devices), nginx.workers(self.state)
        self.consume()

        def former() -> frozenset[int]:
            self.visits(listed)
            return before & nginx.workers(self.state)

        try:
            Retrying(retry=retry_if_result(bool), wait=wait_fixed(0.02), stop=stop_after_delay(RELOAD_SECONDS))(former)
        except RetryError:
            raise RehearsalError("nginx has not taken up its new files, see nginx.log") from None


def play(stage: Rehearsal, *, cycles: int = 2) -> Iterator[str]:
    """Play the story, and yield the name of each scene when it is over.

    Devices 1 to 3 are always there. Device 4 is away for three weeks after each reserve came. Device 5 is taken off
    the list before the first reserve comes, and so never gets it: somebody must be locked out, or nothing is proved.
    """
    devices = stage.services.fleet.ids()
    steady, late, forgotten = devices[:3], devices[3], devices[4]
    kept = [*steady, late]
    stage.define(devices)
    stage.up(START)
    # A device has its first profile from the enrolment, or through a connection that it trusts for another reason.
    stage.services.fleet.poll()
    stage.consume()
    stage.serve()
    stage.check_in(devices, START + timedelta(hours=1))
    yield "start"
    for cycle in range(1, cycles + 1):
        expiry = datetime.fromisoformat(stage.shown["main"]["notAfter"]) + timedelta(seconds=1)
        stage.define(kept)
        if cycle == 1:
            stage.tell(expiry - 60 * DAY, "somebody forgets device 5 in the list of devices; device 4 is away")
        stage.up(expiry - 60 * DAY)
        stage.check_in([*steady, forgotten], expiry - 60 * DAY + timedelta(hours=1), "devices 1, 2, 3, 5")
        yield "reserve"
        stage.check_in([late], expiry - 39 * DAY, "device 4, back after three weeks")
        yield "late device"
        stage.fire(expiry - DAY + timedelta(seconds=60))
        stage.visits(kept)  # the label has moved, and the server still has the former one
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


def stage(state: Path, tell: Callable[[datetime, str], None], services: LocalServices) -> Rehearsal:
    """Return a rehearsal in *state*, an empty folder, beside running services."""
    client = schedules.client("secretsmanager", services.aws_url)
    client.create_secret(Name=API_KEY_SECRET, SecretString=services.api_key.read_text(encoding="utf-8"))
    client.close()
    return Rehearsal(
        services=services,
        stack=make_stack(state, services.aws_url, "rehearsal"),
        state=state,
        executable=Toolchain.nginx(),
        tell=tell,
    )
