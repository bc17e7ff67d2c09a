"""Names the devices that lose their connection, and those that need their management profile reinstalled (R13)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["cut_off_notice", "reenrollment_notice"]

MAX_LISTED = 10
"""Maximum number of devices that a message names. More are written to a file."""


def reenrollment_notice(server: str, devices: Sequence[str], *, base: Path, device_file: str | None = None) -> Notice:
    """Return the notice about devices that must be re-enrolled. Many are written to ``reenrol-<server>.txt``.

    Args:
        server: name of the server.
        devices: enrollment ids of the devices.
        base: folder of the project, which the file is written to, with one id per line.
        device_file: path of the file of devices in the definition; None if the definition names no such file.
    """
    summary = f"{len(devices)} devices must get their management profile reinstalled"
    message = summary + _device_names(devices, base / f"reenrol-{server}.txt", device_file)
    return Notice(reason="reenrol", severity=Severity.CRITICAL, message=message)


def cut_off_notice(
    server: str,
    devices: Sequence[str],
    *,
    base: Path,
    device_file: str | None = None,
    until: str = "they get the next profile",
) -> Notice:
    """Return the notice about devices that lose their connection. Many are written to ``cut-off-<server>.txt``.

    Args:
        server: name of the server.
        devices: enrollment ids of the devices.
        base: folder of the project, which the file is written to, with one id per line.
        device_file: path of the file of devices in the definition; None if the definition names no such file.
        until: event that restores the connection, as the end of a sentence.
    """
    summary = f"{len(devices)} devices lose their connection until {until}"
    message = summary + _device_names(devices, base / f"cut-off-{server}.txt", device_file)
    return Notice(reason="cut-off", severity=Severity.CRITICAL, message=message)


def _device_names(devices: Sequence[str], file: Path, device_file: str | None) -> str:
    if device_file is not None:
        # A definition may name any file, and a line with a key or password can look like an enrollment id (R39).
        return f": {device_file} names them"
    where = f": {', '.join(devices[:MAX_LISTED])}"
    if len(devices) > MAX_LISTED:
        try:
            # A link of this name is not followed, because it can point to any file.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(file, flags, 0o666), "w", encoding="utf-8") as stream:
                stream.writelines(f"{device}\n" for device in devices)
        except OSError as error:
            where += f" and {len(devices) - MAX_LISTED} more ({file.name} cannot be written: {error.strerror})"
        else:
            where = f": {file.name} names them"
    return where
