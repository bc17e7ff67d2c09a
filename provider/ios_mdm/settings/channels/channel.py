"""Base classes of the settings of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.settings.fields import Model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ios_mdm.core.references import ApiKey
    from ios_mdm.ports import MdmChannel

__all__ = ["ChannelTools", "DeviceChannelSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTools:
    """The means that a channel uses to connect.

    Args:
        base: folder of the project, to which the paths of a definition are relative.
        api_key: returns an API key if it may be sent to its URL. The key is kept in memory only (R29).
    """

    base: Path
    api_key: Callable[[ApiKey], str]


class DeviceChannelSettings(Model):
    """Settings of an MDM server whose API queues commands for devices."""

    @property
    def destination(self) -> str:
        """The URL of the MDM server, which names it in records and messages."""
        raise NotImplementedError

    @property
    def key(self) -> ApiKey | None:
        """The reference to the API key; None if the API needs none."""
        return None

    def connect(self, tools: ChannelTools) -> MdmChannel:
        """Return the connection to the MDM server. It may be opened later.

        Raises:
            DefinitionError: The settings are invalid, or the API key cannot be used for the URL.
            StoreError: AWS refuses to read the API key.
        """
        raise NotImplementedError
