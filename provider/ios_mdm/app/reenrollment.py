"""Names the devices that lose their connection, or whose management profile must be reinstalled after that (R13)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["cut_off", "to_reenrol"]

LISTED = 10
"""So many are named in a message; more go into a file."""


def to_reenrol(server: str, devices: Sequence[str], *, base: Path, listed: str | None = None) -> Notice:
    """Return who must be re-enrolled; many are written to ``reenrol-<server>.txt``, one a line.

    Args:
        server: its name.
        devices: their enrolment ids.
        base: the project's folder, where the file goes.
        listed: the file that the definition takes the devices from; None if it takes them from elsewhere.
    """
    what = f"{len(devices)} devices must get their management profile reinstalled"
    message = what + _named(devices, base / f"reenrol-{server}.txt", listed)
    return Notice(reason="reenrol", severity=Severity.CRITICAL, message=message)


def cut_off(
    server: str,
    devices: Sequence[str],
    *,
    base: Path,
    listed: str | None = None,
    until: str = "they get the next profile",
) -> Notice:
    """Name the devices that lose their connection for some time; many in ``cut-off-<server>.txt``.

    Args:
        server: its name.
        devices: their enrollment ids.
        base: the project's folder, where the file goes.
        listed: the file that the definition takes the devices from; None if it takes them from elsewhere.
        until: what ends it.
    """
    what = f"{len(devices)} devices lose their connection until {until}"
    message = what + _named(devices, base / f"cut-off-{server}.txt", listed)
    return Notice(reason="cut-off", severity=Severity.CRITICAL, message=message)


def _named(devices: Sequence[str], file: Path, listed: str | None) -> str:
    if listed is not None:
        # A key or password of one line has the form of an enrollment id, and a definition may name any file (R39).
        return f": {listed} names them"
    where = f": {', '.join(devices[:LISTED])}"
    if len(devices) > LISTED:
        try:
            # A link in its place is refused: a project may hold one that leads to any file.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(file, flags, 0o666), "w", encoding="utf-8") as stream:
                stream.writelines(f"{device}\n" for device in devices)
        except OSError as error:
            where += f" and {len(devices) - LISTED} more ({file.name} cannot be written: {error.strerror})"
        else:
            where = f": {file.name} names them"
    return where
