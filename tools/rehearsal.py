"""``make rehearse``: two cycles of a pair in 2040, with everything that is part of the switch, told as a story.

The real engine, NanoMDM and nginx; an emulator of AWS whose stored schedules ``tools.services.schedules`` performs when
their moment comes; devices that look at the rehearsal's clock and trust only what their installed profile holds.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from tools.services import local, nginx, process, records, schedules
from tools.services.handshake import Visit, visit
from tools.services.ports import free_port
from tools.services.webhook import Recorder
from tools.stack import make_stack
from tools.toolchain import ROOT, Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tools.stack import Stack

START = datetime(2040, 1, 1, tzinfo=UTC)
HOST = "mdm.example.com"
SERVER = "berlin"
PROFILE = "com.example.mdm.trust"
API_KEY_SECRET = "mdm/api-key"  # noqa: S105 - the name of a secret
RELOAD_SECONDS = 30.0
DAY = timedelta(days=1)


class RehearsalError(Exception):
    """The rehearsal cannot go on; the message is the one line that the user sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A device that did not accept what the server presented."""

    at: datetime
    device: str
    reason: str


@dataclass(slots=True)
class Bar:
    """The life of one certificate: validity, and when it was main."""

    name: str
    start: datetime
    end: datetime
    main_from: datetime | None = None
    main_until: datetime | None = None


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

    services: local.LocalServices
    stack: Stack
    state: Path
    executable: Path
    tell: Callable[[datetime, str], None]
    port: int = field(default_factory=free_port)
    now: datetime = START
    refused: list[Refused] = field(default_factory=list)
    listed: tuple[str, ...] = ()
    bars: dict[str, Bar] = field(default_factory=dict)
    serving: str = ""

    @property
    def files(self) -> Path:
        """What nginx reads."""
        return self.state / "tls"

    def define(self, devices: Iterable[str]) -> None:
        """Let the definition list these devices; everything else is a default."""
        self.listed = tuple(devices)
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

    def up(self, now: datetime) -> str:
        """Run `pulumi up` at this moment, as a pipeline does; return what it shows."""
        self.now = now
        shown = self.stack.up(IOS_MDM_CLOCK=f"{now:%Y-%m-%dT%H:%M:%SZ}").ok().output
        for line in shown.splitlines():
            text = line.strip()
            told = text.removeprefix(f"{SERVER}: ")
            # Lines about this server; not its outputs, and not what cannot be seen before there is a server.
            if told != text and not told.startswith(("{", "what the server")):
                self.tell(now, told)
        for slot in ("main", "reserve"):
            self._note(slot, self.shown[slot])
        return shown

    @property
    def shown(self) -> Mapping[str, Any]:
        """The outputs of the server."""
        found: Mapping[str, Any] = self.stack.outputs()["servers"][SERVER]
        return found

    def _note(self, slot: str, shown: Mapping[str, Any] | None) -> None:
        if shown is None:
            return
        name = shown["certificate"]
        start, end = datetime.fromisoformat(shown["notBefore"]), datetime.fromisoformat(shown["notAfter"])
        bar = self.bars.setdefault(name, Bar(name, start, end))
        if slot == "main" and bar.main_from is None:
            bar.main_from = self.now
            for other in self.bars.values():
                if other is not bar and other.main_from is not None and other.main_until is None:
                    other.main_until = self.now

    def trusted(self, device: str) -> tuple[bytes, ...]:
        """Return the roots in the profile of ours that is installed on a device."""
        profiles = self.services.fleet.profiles(device)
        return tuple(root for profile in profiles if profile.identifier == PROFILE for root in profile.roots())

    def visits(self, devices: Iterable[str]) -> dict[str, Visit]:
        """Let devices connect to the server at the rehearsal's moment; note who refuses it."""
        found = {device: visit(self.port, HOST, self.trusted(device), self.now) for device in devices}
        self.refused += [
            Refused(at=self.now, device=device, reason=one.reason) for device, one in found.items() if not one.accepted
        ]
        return found

    def check_in(self, devices: Iterable[str], now: datetime) -> tuple[str, ...]:
        """Let devices connect, and those that accept the server fetch what waits for them; return the others."""
        self.now = now
        seen = self.visits(devices)
        accepted = [device for device, one in seen.items() if one.accepted]
        poll = self.services.fleet.poll(accepted)
        if poll.failed:
            raise RehearsalError(f"a device could not fetch its commands: {next(iter(poll.failed.values()))}")
        locked_out = tuple(device for device in seen if device not in accepted)
        lost = f"; {len(locked_out)} refused it and are locked out" if locked_out else ""
        self.tell(now, f"{len(accepted)} of {len(seen)} devices connected and fetched what waited{lost}")
        return locked_out

    def fire(self, now: datetime) -> tuple[schedules.Fired, ...]:
        """Let AWS do what its schedules say is due."""
        self.now = now
        fired = schedules.fire(self.services.aws_url, now)
        for one in fired:
            self.tell(now, f"AWS fires the schedule {one.name}" + (f", in vain: {one.problem}" if one.problem else ""))
        return fired

    def consume(self) -> str:
        """Run `consume` once, as its service does every few minutes; wait until nginx serves what it wrote."""
        environment = {**self.stack.environment, "PYTHONPATH": str(ROOT)}
        secret = f"ios-mdm/{SERVER}"
        arguments = ["consume", "--secret", secret, "--dir", str(self.files), "--once"]
        if self.serving:
            arguments += ["--exec", nginx.reload_command(self.executable, self.state)]
        done = subprocess.run(
            [Toolchain.load().python, "-m", "provider", *arguments],
            cwd=self.state,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RehearsalError(f"consume failed: {done.stderr.strip()}")
        self.tell(self.now, f"consume: {done.stdout.strip().splitlines()[-1]}")
        return done.stdout

    def serve(self) -> None:
        """Start nginx with what `consume` wrote."""
        settings = nginx.Settings(host=HOST, files=self.files, upstream=self.services.mdm_url)
        with records.locked(self.state):
            running = process.ensure(
                self.state, nginx.service(self.executable, self.state, settings), wished_port=self.port
            )
        if running.port != self.port:
            raise RehearsalError("the port that was chosen for nginx was taken meanwhile: run this again")
        self.serving = "nginx"

    def wait_until_served(self, sha256: str) -> None:
        """Wait until a new connection meets this certificate: a reload takes a moment."""

        def met() -> str:
            return visit(self.port, HOST, [], self.now).sha256

        try:
            Retrying(
                retry=retry_if_result(lambda found: found != sha256),
                wait=wait_fixed(0.05),
                stop=stop_after_delay(RELOAD_SECONDS),
            )(met)
        except RetryError:
            raise RehearsalError(f"nginx does not serve {sha256} after a reload") from None


def play(stage: Rehearsal, *, cycles: int = 2) -> Iterator[str]:
    """Play the story, and yield the name of each scene when it is over.

    Of five devices three are always there; the fourth is away for three weeks after each reserve came; the fifth is
    taken off the list before the first reserve comes, and so never gets it.
    """
    devices = stage.services.fleet.ids()
    steady, late, forgotten = devices[:3], devices[3], devices[4]
    stage.define(devices)
    stage.up(START)
    stage.services.fleet.poll()  # at enrolment devices get what they trust from the enrolment itself
    stage.tell(START, f"{len(devices)} devices enrolled and have the profile")
    stage.consume()
    stage.serve()
    stage.check_in(devices, START + timedelta(hours=1))
    yield "start"
    for _ in range(cycles):
        main = datetime.fromisoformat(stage.shown["main"]["notAfter"]) + timedelta(seconds=1)
        stage.define([*steady, late])
        stage.up(main - 60 * DAY)
        stage.check_in([*steady, forgotten], main - 60 * DAY)
        yield "reserve"
        stage.check_in([late], main - 39 * DAY)
        yield "late device"
        before = stage.shown["main"]["sha256"]
        stage.fire(main - DAY + timedelta(seconds=60))
        stage.visits([*steady, late])  # the label has moved, and the server still has the former one
        yield "fired"
        stage.consume()
        stage.wait_until_served(stage.shown["reserve"]["sha256"])
        stage.check_in([*steady, late, forgotten], main - DAY + timedelta(minutes=10))
        yield "switched"
        stage.up(main - DAY + timedelta(hours=6))
        if stage.shown["main"]["sha256"] == before:
            raise RehearsalError("the promotion did not happen")
        stage.check_in([*steady, late], main - DAY + timedelta(hours=7))
        yield "tidied"
        stage.up(main + DAY)
        stage.check_in([*steady, late], main + DAY + timedelta(hours=1))
        yield "former main gone"


def stage(state: Path, tell: Callable[[datetime, str], None], services: local.LocalServices) -> Rehearsal:
    """Return a rehearsal in *state*, an empty folder, beside running services."""
    client = schedules.client("secretsmanager", services.aws_url)
    if API_KEY_SECRET not in {found["Name"] for found in client.list_secrets()["SecretList"]}:
        client.create_secret(Name=API_KEY_SECRET, SecretString=services.api_key.read_text(encoding="utf-8"))
    client.close()
    return Rehearsal(
        services=services,
        stack=make_stack(state, services.aws_url, "rehearsal"),
        state=state,
        executable=Toolchain.nginx(),
        tell=tell,
    )


def drawn(bars: Iterable[Bar], *, width: int = 78) -> str:
    """Return the timeline in text: ░ reserve, █ main, · former main."""
    listed = list(bars)
    start, end = min(bar.start for bar in listed), max(bar.end for bar in listed)
    column = (end - start) / width
    lines = []
    for bar in listed:
        row = ""
        for index in range(width):
            moment = start + column * index
            if not bar.start <= moment <= bar.end:
                row += " "
            elif bar.main_from is None or moment < bar.main_from:
                row += "░"
            else:
                row += "█" if bar.main_until is None or moment < bar.main_until else "·"
        lines.append(f"  {bar.name:<14} {row.rstrip()}")
    axis = [" "] * (width + 6)
    for year in range(start.year, end.year + 1):
        for month in (1, 7):
            place = int((datetime(year, month, 1, tzinfo=UTC) - start) / column)
            if 0 <= place < width:
                axis[place : place + 7] = f"{year}-{month:02}"
    lines.append(f"  {'':<14} {''.join(axis).rstrip()}")
    lines.append(f"  {'':<14} ░ reserve   █ main   · former main, still trusted")
    return "\n".join(lines)


def _services(state: Path, recorder: AbstractContextManager[Recorder]) -> local.LocalServices:
    tools = Toolchain.load()
    executables = local.Executables(
        ministack=tools.ministack, nanomdm=tools.nanomdm, scepserver=tools.scepserver, mdmb=tools.mdmb
    )
    with recorder as webhook:
        return local.up(state, executables, webhook_url=webhook.url, devices=5)


def main() -> int:
    """Play the story in ``.demo/rehearsal``, which is made anew; nothing is left running."""
    state = (ROOT / ".demo" / "rehearsal").resolve()
    services = state / "services"
    _stop(state)
    shutil.rmtree(state, ignore_errors=True)
    services.mkdir(parents=True, mode=0o700)
    print("== a rehearsal: two cycles of a pair, with the real engine, MDM server and TLS server")
    try:
        played = stage(state, _line, _services(services, Recorder(services / "mdm-webhook-key")))
        for _ in play(played):
            pass
    except (RehearsalError, AssertionError, process.ServiceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        _stop(state)
    print("== the timeline")
    print(drawn(played.bars.values()))
    print("== the devices")
    lost = {one.device for one in played.refused}
    kept = [device for device in played.listed if device not in lost]
    print(f"  {len(kept)} of {len(played.listed)} devices with the profile were never refused")
    for device in sorted(lost):
        first = min((one for one in played.refused if one.device == device), key=lambda one: one.at)
        print(
            f"  {device}, which was not sent the reserve, is locked out since {first.at:%Y-%m-%d %H:%M}: {first.reason}"
        )
    return 0 if len(kept) == len(played.listed) else 1


def _stop(state: Path) -> None:
    if state.exists():
        with records.locked(state):
            process.stop(state, nginx.NAME)
        local.down(state / "services")


def _line(moment: datetime, text: str) -> None:
    print(f"  {moment:%Y-%m-%d %H:%M}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
