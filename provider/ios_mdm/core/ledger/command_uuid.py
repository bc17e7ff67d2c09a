"""CommandUUIDs that repeat after an interruption, and differ for each new enrollment, resend and profile."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid5

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

__all__ = ["command_uuid"]


def command_uuid(seed: UUID, kind: str, devices: Mapping[str, tuple[int, int]]) -> str:
    """Return the CommandUUID of one command for one batch of devices.

    A run after an interrupted one repeats it, and the MDM server drops the repeated command. A device that enrolled
    again has another epoch, and a command that is sent again follows another time.

    Args:
        seed: seed of the publication.
        kind: ``profile`` for an InstallProfile, ``list`` for a CertificateList.
        devices: for each enrollment id, the epoch that was known before the command was queued, and the time at which
            the last such command was queued (``NEVER`` for the first one), both in microseconds since 1970.
    """
    content = ",".join(sorted(f"{one}/{epoch}/{queued}" for one, (epoch, queued) in devices.items()))
    return str(uuid5(seed, f"{kind}|{content}")).upper()
