"""NanoMDM as a channel: its settings, and the connection to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import StrictBool, StrictStr

from ios_mdm.core.references import ApiKey
from ios_mdm.settings.channels.channel import DeviceChannelSettings
from ios_mdm.settings.fields import ChannelUrl, Model, SecretName

if TYPE_CHECKING:
    from ios_mdm.ports import MdmChannel
    from ios_mdm.settings.channels.channel import ChannelTools

__all__ = ["NanoMdmApiSettings", "NanoMdmSettings"]


class NanoMdmApiSettings(Model):
    """The API of a NanoMDM server."""

    url: ChannelUrl
    api_key_secret: SecretName
    ca_file: StrictStr | None = None

    @property
    def key(self) -> ApiKey:
        """The reference to the API key."""
        return ApiKey(where="nanomdm.apiKeySecret", secret=self.api_key_secret, url=self.url)


class NanoMdmSettings(NanoMdmApiSettings, DeviceChannelSettings):
    """The API of the NanoMDM server that sends the profile."""

    push: StrictBool = True

    @property
    def destination(self) -> str:
        """The URL of the API."""
        return self.url

    def connect(self, tools: ChannelTools) -> MdmChannel:
        """Return the connection. Raises the errors of the base class."""
        from ios_mdm.adapters.nanomdm import NanoMdm

        ca_file = None if self.ca_file is None else str(tools.base / self.ca_file)
        return NanoMdm(url=self.url, api_key=tools.api_key(self.key), ca_file=ca_file, push=self.push)
