"""Names the devices whose management profile must be reinstalled after the connection was lost (R13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["to_reenrol"]

LISTED = 10
"""So many are named in a message; more go into a file."""


def to_reenrol(server: str, devices: Sequence[str], *, base: Path) -> Notice:
    """Return who must be re-enrolled; many are written to ``reenrol-<server>.txt``, one a line.

    Args:
        server: its name.
        devices: their enrolment ids.
        base: the project's folder, where the file goes.
    """
    what = f"{len(devices)} devices must get their management profile reinstalled"
    where = f": {', '.join(devices[:LISTED])}"
    if len(devices) > LISTED:
        file = base / f"reenrol-{server}.txt"
        try:
            file.write_text("".join(f"{device}\n" for device in devices), encoding="utf-8")
        except OSError as error:
            where += f" and {len(devices) - LISTED} more ({file.name} cannot be written: {error.strerror})"
        else:
            where = f": {file.name} names them"
    return Notice(reason="reenrol", severity=Severity.CRITICAL, message=what + where)
