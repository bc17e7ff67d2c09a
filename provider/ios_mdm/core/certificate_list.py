"""The MDM command that asks a device for its certificates (R44)."""

from __future__ import annotations

import plistlib

__all__ = ["certificate_list_command"]


def certificate_list_command(command_uuid: str) -> bytes:
    """Return the MDM command (an XML plist) that asks a device for the certificates that MDM installed.

    Other certificates on the device are private (``ManagedOnly``, iOS 13 or later).

    Args:
        command_uuid: CommandUUID; a command with the same CommandUUID is a repetition.
    """
    command = {"Command": {"ManagedOnly": True, "RequestType": "CertificateList"}, "CommandUUID": command_uuid}
    return plistlib.dumps(command, sort_keys=True)
