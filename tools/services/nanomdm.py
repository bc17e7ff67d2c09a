"""NanoMDM: the MDM server of the demo and the tests."""

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
"""User name for the API's Basic authentication. The password is the API key."""

Storage = Literal["filekv", "inmem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of NanoMDM. `devices_ca` signs device identities; `data` is the folder of the storage `filekv`."""

    devices_ca: Path
    api_key: Path
    webhook_key: Path
    webhook_url: str
    storage: Storage
    data: Path


def service(executable: Path, settings: Settings) -> Service:
    """Return the MDM server. Devices use /mdm and /checkin; the API is below /v1."""

    def command(port: int) -> Command:
        return Command(
            argv=(
                str(executable),
                "-listen",
                f"{LOOPBACK}:{port}",
                "-ca",
                str(settings.devices_ca),
                "-checkin",  # the simulated devices check in at a separate URL
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
