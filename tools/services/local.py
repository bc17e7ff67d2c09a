"""Brings all local services up in one state directory, and down again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.services import ministack, nanomdm, process, records, scep
from tools.services.enrolment import enrolment_profile
from tools.services.fleet import Fleet
from tools.services.secret_file import secret

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (nanomdm.NAME, scep.NAME, ministack.NAME)
"""In the order in which they are stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executables:
    """Paths of the programs; `ministack` is the console script in the emulator's own virtualenv."""

    ministack: Path
    nanomdm: Path
    scepserver: Path
    mdmb: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Wished TCP ports on loopback, 0 for none in particular; a taken one is answered by another one."""

    aws: int = 0
    mdm: int = 0
    scep: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServices:
    """What runs: root URLs without a trailing slash, files of the secrets, and the simulated devices."""

    state: Path
    aws_url: str
    mdm_url: str
    scep_url: str
    api_key: Path
    webhook_key: Path
    devices_ca: Path
    fleet: Fleet
    enrolment: bytes
    """The enrolment profile of this server (it holds the SCEP challenge)."""

    def down(self) -> tuple[str, ...]:
        """Stop what runs; return the names of the services that did."""
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
    """Start what does not run yet, in a state directory of mode 0700, and enrol `devices` simulated devices.

    Everything goes on where it was: the same ports where they are free, the same secrets, data and devices. With
    storage `inmem` NanoMDM forgets its devices when it stops, and they are enrolled again.

    Raises:
        ServiceError: a service did not start, or listens where it should not.
        FleetError: devices could not enrol.

    """
    state = state.resolve()
    wished = ports or Ports()
    with records.locked(state):
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
        profile = enrolment_profile(mdm_url=mdm.url, scep_url=scep_url, challenge=secret(ca.challenge))
        fleet = Fleet(executable=executables.mdmb, state=state)
        fleet.grow(devices)
        # A server that keeps its devices in memory has lost them when it started anew.
        fleet.enrol(profile, anew=storage == "inmem" and not mdm.reused)
    return LocalServices(
        state=state,
        aws_url=aws.url,
        mdm_url=mdm.url,
        scep_url=scep_url,
        api_key=settings.api_key,
        webhook_key=settings.webhook_key,
        devices_ca=ca.certificate,
        fleet=fleet,
        enrolment=profile,
    )


def down(state: Path) -> tuple[str, ...]:
    """Stop exactly what `up` started in this state directory, by process id; return the names that ran.

    The emulator writes its data while it stops. A state directory that does not exist is fine.
    """
    if not state.exists():
        return ()
    state = state.resolve()
    with records.locked(state):
        return tuple(name for name in NAMES if process.stop(state, name))
