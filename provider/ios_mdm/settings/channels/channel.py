"""Base classes of the settings of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.settings.fields import Model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ios_mdm.core.references import ApiKey
    from ios_mdm.ports import Folder, MdmChannel, ProfileDirectory

__all__ = ["ChannelModel", "ChannelTools", "DeviceChannelSettings", "FileChannelSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTools:
    """The means that a channel uses to connect.

    Args:
        base: folder of the project, to which the paths of a definition are relative.
        api_key: returns an API key if it may be sent to its URL. The key is kept in memory only (R29).
        folder: returns a folder by its path, or by ``s3://bucket/prefix``.
    """

    base: Path
    api_key: Callable[[ApiKey], str]
    folder: Callable[[str], Folder]


class ChannelModel(Model):
    """Settings of a channel. A channel uses one of the two base classes below."""

    @property
    def destination(self) -> str:
        """The URL of the MDM server, or the path of the folder, which names it in records and messages."""
        raise NotImplementedError

    @property
    def key(self) -> ApiKey | None:
        """The reference to the API key; None if the API needs none."""
        return None


class DeviceChannelSettings(ChannelModel):
    """Settings of an MDM server whose API queues commands for devices."""

    def connect(self, tools: ChannelTools) -> MdmChannel:
        """Return the connection to the MDM server. It may be opened later.

        Raises:
            DefinitionError: The settings are invalid, or the API key cannot be used for the URL.
            StoreError: AWS refuses to read the API key.
        """
        raise NotImplementedError


class FileChannelSettings(ChannelModel):
    """Settings of files that another tool distributes to devices. It has no device list, and gets no answers."""

    @property
    def confirmed_digest(self) -> str | None:
        """SHA-256 of the profile that the devices have, as the administrator confirms; None if nothing is confirmed."""
        raise NotImplementedError

    def connect(self, tools: ChannelTools) -> ProfileDirectory:
        """Return the place of the files. It may be opened later.

        Raises:
            DefinitionError: The settings are invalid.
        """
        raise NotImplementedError
