"""``python -m tools.devices``: enroll simulated devices with an MDM server on loopback, and let them connect."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.devices.authority import DeviceAuthority
from tools.devices.device import Behavior, DeviceError
from tools.devices.fleet import Fleet, Round

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_RETRY_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    behavior: Behavior
    help: str


_OPTIONS: Final = (
    _Option("not-now", Behavior(not_now=1), "devices that answer NotNow first"),
    _Option("failing", Behavior(errors=(DeviceError(),)), "devices that cannot install a profile"),
    _Option("silent", Behavior(is_silent=True), "devices that enroll and never connect"),
    _Option("enrolling", Behavior(enrolls_after_install=True), "devices that enroll again after each profile"),
)


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit code."""
    options = _parser().parse_args(arguments)
    authority = DeviceAuthority()
    try:
        fleet = Fleet(options.url, authority, cert_header=options.cert_header)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.ca.write_bytes(authority.pem)
    print(f"the CA of the devices is in {options.ca}: start NanoMDM with -ca {options.ca}", flush=True)
    fleet.add(options.count)
    for one in _OPTIONS:
        fleet.add(getattr(options, one.name.replace("-", "_")), one.behavior)
    deadline = time.monotonic() + options.patience
    while failures := fleet.enroll().failures:
        if time.monotonic() > deadline:
            print(f"error: {len(failures)} devices did not enroll: {next(iter(failures.values()))}", file=sys.stderr)
            return 1
        time.sleep(_RETRY_SECONDS)
    print(f"{len(fleet.devices)} devices are enrolled", flush=True)
    number = 0
    while options.rounds == 0 or number < options.rounds:
        number += 1
        _show(number, fleet.connect())
        if number != options.rounds:
            time.sleep(options.every)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.devices", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:9000/mdm", help="URL for devices (%(default)s)")
    parser.add_argument("--cert-header", default="X-Client-Cert", help="NanoMDM's -cert-header (%(default)s)")
    parser.add_argument("--ca", type=Path, required=True, help="PEM file to write, for NanoMDM's -ca")
    parser.add_argument("--count", type=int, default=10, help="devices that acknowledge each command (%(default)s)")
    for one in _OPTIONS:
        parser.add_argument(f"--{one.name}", type=int, default=0, help=f"{one.help} (0)")
    parser.add_argument("--every", type=float, default=5, help="seconds between two connections (%(default)s)")
    parser.add_argument("--rounds", type=int, default=0, help="number of connections; 0 for no end (%(default)s)")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for the MDM server (%(default)s)")
    return parser


def _show(number: int, made: Round) -> None:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(made.statuses.items())) or "no command"
    failed = f", {len(made.failures)} failed" if made.failures else ""
    print(f"round {number}: {len(made.connected)} devices connected{failed}: {counts}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
