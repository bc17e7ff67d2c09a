"""``make rehearse``: runs the scenario of ``tools/story.py`` on the terminal, and shows the result."""

from __future__ import annotations

import shutil
import signal
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from tools.services import local, nginx, process, records
from tools.services.fleet import FleetError
from tools.services.process import ServiceError
from tools.services.schedules import ScheduleError
from tools.services.webhook import Recorder
from tools.stack import EngineHungError
from tools.story import DEVICES, Rehearsal, RehearsalError, play, stage
from tools.timeline_bars import bar_chart
from tools.toolchain import ROOT, Toolchain, ToolchainMissingError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

EXPECTED = (
    AssertionError,  # its message is the output of the engine
    EngineHungError,
    FleetError,
    RehearsalError,
    ScheduleError,
    ServiceError,
    ToolchainMissingError,
)


def main() -> int:
    """Run the scenario in a new folder ``.demo/rehearsal``, and stop all services at the end.

    Returns:
        0 if every listed device stayed connected, 1 if a device was locked out or the rehearsal failed.
    """
    home = ROOT / ".demo"
    home.mkdir(mode=0o700, exist_ok=True)
    state = home.resolve() / "rehearsal"
    try:
        _stop(state)
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(mode=0o700)
        (state / "services").mkdir(mode=0o700)
        print("== rehearsal: two cycles of a pair, with the real engine, MDM server and TLS server")
        with Recorder(state / "services" / "mdm-webhook-key") as webhook:
            played = _play(state, webhook.url)
    except EXPECTED as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        _stop(state)
    return _conclude(played)


def _play(state: Path, webhook_url: str) -> Rehearsal:
    tools = Toolchain.load()
    executables = local.Executables(
        ministack=tools.ministack, nanomdm=tools.nanomdm, scepserver=tools.scepserver, mdmb=tools.mdmb
    )
    running = local.up(state / "services", executables, webhook_url=webhook_url, devices=DEVICES, storage="inmem")
    played = stage(state, _line, running)
    for _ in play(played):
        pass
    return played


def _conclude(rehearsal: Rehearsal) -> int:
    """Show the timeline and the devices that were locked out; return the exit code."""
    print("== timeline")
    Console(highlight=False, soft_wrap=True).print(bar_chart(rehearsal.bars.values()))
    print("== devices")
    lost = {one.device: one for one in reversed(rehearsal.refusals)}  # the first refusal of each
    kept = [device for device in rehearsal.listed if device not in lost]
    print(f"  {len(kept)} of {len(rehearsal.listed)} listed devices stayed connected")
    numbers = {device: number for number, device in enumerate(rehearsal.services.fleet.ids(), 1)}
    for device, first in lost.items():
        why = "listed" if device in rehearsal.listed else "not listed when the reserve was issued"
        print(f"  device {numbers[device]} ({why}): locked out since {first.at:%Y-%m-%d %H:%M}: {first.reason}")
    return 0 if len(kept) == len(rehearsal.listed) else 1


def _stop(state: Path) -> None:
    if state.exists():
        with records.state_lock(state):
            process.stop(state, nginx.NAME)
        local.down(state / "services")


def _line(moment: datetime, text: str) -> None:
    print(f"  {moment:%Y-%m-%d %H:%M}  {text}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the services, too
    sys.exit(main())
