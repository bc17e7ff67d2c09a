"""Returns the devices of a definition: from a list, from a file with one enrollment id per line, or from the ledger."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ios_mdm.core.enrollment import FORM, checked_enrollment_ids, is_enrollment_id
from ios_mdm.core.references import document_kind
from ios_mdm.errors import DefinitionError, IosMdmError
from ios_mdm.files import MIB, file_content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ios_mdm.ports import Ledger
    from ios_mdm.settings import DistributionSettings

__all__ = ["devices_digest", "devices_file", "known_devices", "listed_devices", "no_devices_advice", "read_devices"]

MAX_BYTES = 16 * MIB
"""Maximum size of a file of devices: enough for 400,000 UDIDs."""
_MAX_SHOWN = 5
"""Maximum number of lines that a message names."""


def listed_devices(path: Path) -> tuple[str, ...]:
    """Read a file with one enrollment id per line. Empty lines and lines that start with # are ignored.

    Args:
        path: path of a UTF-8 file, with or without a byte order mark.

    Raises:
        DefinitionError: The file cannot be read, is too large, is not such a list, or names a device twice. The message
            has line numbers but no content, because the definition may name any file, such as a private key (R39).
    """
    where = f"distribution.devices.file: {path.name}"
    content = file_content(path, limit=MAX_BYTES, named=where)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:  # UTF-16 without a byte order mark is valid UTF-8 with zeros
        raise DefinitionError(f"{where} cannot be read, because it is not UTF-8 text: save it as UTF-8")
    lines = {number: line.strip() for number, line in enumerate(text.splitlines(), 1)}
    devices = {number: line for number, line in lines.items() if line and not line.startswith("#")}
    bad = [number for number, device in devices.items() if not is_enrollment_id(device)]
    if bad:
        kind = document_kind(text)
        raise DefinitionError(
            f"{where} is not a list of devices: {_line_numbers(bad)} no enrollment id"
            f"{'' if kind is None else f', and the file is {kind}'}. Write one id per line; {FORM}"
        )
    seen: dict[str, int] = {}
    for number, device in devices.items():
        first = seen.setdefault(device, number)
        if first != number:
            raise DefinitionError(f"{where}: lines {first} and {number} name the same device: remove one of the two")
    return tuple(seen)


def _line_numbers(lines: Sequence[int]) -> str:
    """Return "line 3 is" or "lines 3, 4 are", the start of a sentence about these lines."""
    if len(lines) == 1:
        return f"line {lines[0]} is"
    shown, more = lines[:_MAX_SHOWN], len(lines) - _MAX_SHOWN
    return f"lines {', '.join(map(str, shown))}{f' and {more} more' if more > 0 else ''} are"


def read_devices(settings: DistributionSettings, ledger: Ledger | None, *, base: Path) -> tuple[str, ...]:
    """Return the enrollment ids of the devices of a definition, sorted; empty if there is no device yet.

    Args:
        settings: settings of the server's distribution.
        ledger: the ledger that *settings* names; None if they name none.
        base: folder of the project, which relative paths start from.

    Raises:
        DefinitionError: The list has duplicates, or its file cannot be read.
        DeliveryError: The ledger cannot be read.
    """
    if isinstance(settings.devices, list):
        devices: Sequence[str] = settings.devices
    elif settings.devices.file is not None:
        devices = listed_devices(base / settings.devices.file)
    else:
        devices = () if ledger is None else ledger.enrolled_ids()
    return tuple(sorted(checked_enrollment_ids(devices)))


def devices_file(settings: DistributionSettings) -> str | None:
    """Return the path of the file of devices in the definition; None if the definition names no such file."""
    return None if isinstance(settings.devices, list) else settings.devices.file


def no_devices_advice(settings: DistributionSettings) -> str:
    """Return the message for a definition without a device: the fact, and what to do."""
    if not isinstance(settings.devices, list) and settings.devices.file is not None:
        return f"distribution.devices.file: {settings.devices.file} names no device: write one enrollment id per line"
    return (
        "distribution.devices: the ledger has no enrolled device yet: start `ios-mdm receive` as the MDM server's "
        "webhook before devices enroll, or list the devices in a file"
    )


def known_devices(settings: DistributionSettings, open_ledger: Callable[[str], Ledger], *, base: Path) -> int | None:
    """Return the number of devices, for a message; None if it is unknown.

    Args:
        settings: settings of the server's distribution.
        open_ledger: returns the ledger for a URL.
        base: folder of the project, which relative paths start from.
    """
    try:
        if isinstance(settings.devices, list):
            return len(settings.devices) or None
        if settings.devices.file is not None:
            return len(listed_devices(base / settings.devices.file)) or None
        # If the ledger is empty, the webhook may not have been set up when devices enrolled.
        return len(open_ledger(settings.ledger or "").enrolled_ids()) or None
    except IosMdmError:
        return None  # the distribution reports this error


def devices_digest(enrollment_ids: Sequence[str]) -> str:
    """Return the SHA-256 over the sorted ids, 64 hex digits. The state has this digest instead of the list."""
    return hashlib.sha256("\n".join(sorted(enrollment_ids)).encode()).hexdigest()
