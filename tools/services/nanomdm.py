"""NanoMDM: the MDM server that the demo and the tests push their profiles through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tools.services.ports import LOOPBACK
from tools.services.process import Command, Service
from tools.services.secret_file import secret

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "nanomdm"
API_USER: Final = "nanomdm"
"""User name of the API's Basic authentication; the password is the API key."""

Storage = Literal["filekv", "inmem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How NanoMDM runs: `devices_ca` signs device identities, events go to `webhook_url`, filekv data to `data`."""

    devices_ca: Path
    api_key: Path
    webhook_key: Path
    webhook_url: str
    storage: Storage
    data: Path


def service(executable: Path, settings: Settings) -> Service:
    """Return the MDM server: devices use /mdm and /checkin, the API is under /v1."""

    def command(port: int) -> Command:
        return Command(
            argv=(
                str(executable),
                "-listen",
                f"{LOOPBACK}:{port}",
                "-ca",
                str(settings.devices_ca),
                "-checkin",  # the simulated devices check in at a URL of its own
                "-storage",
                settings.storage,
                "-storage-dsn",
                str(settings.data),
                "-webhook-url",
                settings.webhook_url,
            ),
            secrets={
                "NANOMDM_API": secret(settings.api_key),
                "NANOMDM_WEBHOOK_HMAC_KEY": secret(settings.webhook_key),
            },
        )

    return Service(name=NAME, command=command, health="/version")
