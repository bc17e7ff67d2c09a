"""Starts and stops all local services of one state directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.services import ministack, nanomdm, process, records, scep
from tools.services.enrollment import enrollment_profile
from tools.services.fleet import Fleet
from tools.services.secret_file import secret

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (nanomdm.NAME, scep.NAME, ministack.NAME)
"""Names of the services, in the order of their stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executables:
    """Paths of the programs. `ministack` is the script in the emulator's virtualenv."""

    ministack: Path
    nanomdm: Path
    scepserver: Path
    mdmb: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Preferred TCP ports on loopback, 0 for any port. If a port is taken, the service gets another one."""

    aws: int = 0
    mdm: int = 0
    scep: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServices:
    """The running services: root URLs without a trailing slash, files with secrets, and the simulated devices."""

    state: Path
    aws_url: str
    mdm_url: str
    scep_url: str
    api_key: Path
    webhook_key: Path
    devices_ca: Path
    fleet: Fleet
    enrollment: bytes
    """Enrollment profile of this server. It contains the SCEP challenge."""

    def down(self) -> tuple[str, ...]:
        """Stop the services; return the names of those that ran."""
        return down(self.state)


def up(
    state: Path,
    executables: Executables,
    *,
    webhook_url: str,
    devices: int = 5,
    storage: nanomdm.Storage = "filekv",
    ports: Ports | None = None,
) -> LocalServices:
    """Start the services that do not run yet, and enroll `devices` simulated devices. The directory gets mode 0700.

    Ports (if they are free), secrets, data and devices are those of the last start. With the storage `inmem` NanoMDM
    loses its devices when it stops, and they are enrolled again.

    Raises:
        ServiceError: A service did not start, or listens on another address.
        FleetError: Devices could not enroll.

    """
    state = state.resolve()
    wished = ports or Ports()
    with records.state_lock(state):
        ca = scep.authority(state)
        settings = nanomdm.Settings(
            devices_ca=ca.certificate,
            api_key=state / "mdm-api-key",
            webhook_key=state / "mdm-webhook-key",
            webhook_url=webhook_url,
            storage=storage,
            data=state / "nanomdm",
        )
        aws = process.ensure(state, ministack.service(executables.ministack, state / "aws"), wished_port=wished.aws)
        identities = process.ensure(state, scep.service(executables.scepserver, ca), wished_port=wished.scep)
        mdm = process.ensure(state, nanomdm.service(executables.nanomdm, settings), wished_port=wished.mdm)
        scep_url = f"{identities.url}/scep"
        profile = enrollment_profile(mdm_url=mdm.url, scep_url=scep_url, challenge=secret(ca.challenge))
        fleet = Fleet(executable=executables.mdmb, state=state)
        fleet.grow(devices)
        # A server that keeps its devices in memory has none after a restart.
        fleet.enroll(profile, again=storage == "inmem" and not mdm.reused)
    return LocalServices(
        state=state,
        aws_url=aws.url,
        mdm_url=mdm.url,
        scep_url=scep_url,
        api_key=settings.api_key,
        webhook_key=settings.webhook_key,
        devices_ca=ca.certificate,
        fleet=fleet,
        enrollment=profile,
    )


def down(state: Path) -> tuple[str, ...]:
    """Stop the processes that `up` started in this state directory; return the names of those that ran.

    The emulator writes its data while it stops. The state directory may be missing.
    """
    if not state.exists():
        return ()
    state = state.resolve()
    with records.state_lock(state):
        return tuple(name for name in NAMES if process.stop(state, name))
