"""The channels of a definition: exactly one is given, and another one needs one module and one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.references import ApiKey
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import NanoMdmSettings
from ios_mdm.settings.channels.channel import DeviceChannelSettings
from ios_mdm.settings.distribution import ChannelSettings, DistributionSettings, ProfileSettings
from ios_mdm.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ios_mdm.ports import MdmChannel
    from ios_mdm.settings.channels.channel import ChannelTools


# The module of the next channel. It has nothing else than this.


class Toy:
    """A connection that queues nothing."""

    def __init__(self, url: str) -> None:
        """Use the API at this URL."""
        self.url = url

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return one batch."""
        return [enrollment_ids]

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Return a notice with the number of devices."""
        return (f"{self.url}: {len(enrollment_ids)} devices, {len(command)} bytes",)


class ToySettings(DeviceChannelSettings):
    """The API of a toy."""

    port: int

    @property
    def destination(self) -> str:
        """The URL of the API."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self, tools: ChannelTools) -> MdmChannel:
        """Return the connection."""
        del tools
        return Toy(self.destination)


class Channels(ChannelSettings):
    """The channels after the line of the next channel is added."""

    toy: ToySettings | None = None


def test_a_channel_is_one_module_and_one_line(tmp_path: Path) -> None:
    """The wiring connects a channel that no other module names. It needs no API key."""
    settings = DistributionSettings(
        profile=ProfileSettings(identifier="com.example.trust"),
        channel=Channels.model_validate({"toy": {"port": 9000}}),
        devices=["AAAA-1"],
    )
    wiring = Wiring(environ={}, base=tmp_path)
    wiring.check_channel(settings, None)
    assert wiring.channel(settings, None).enqueue(["AAAA-1"], b"<plist/>") == (
        "http://127.0.0.1:9000: 1 devices, 8 bytes",
    )


def test_a_definition_has_exactly_one_channel() -> None:
    """The error names the channels."""
    nanomdm = NanoMdmSettings(url="https://mdm.example.com", api_key_secret="mdm/key")  # noqa: S106 - a name
    toy = ToySettings(port=9000)
    with pytest.raises(DefinitionError, match=r"takes exactly one channel: .*nanomdm.* or toy"):
        Channels()
    with pytest.raises(DefinitionError, match="takes exactly one channel"):
        Channels(nanomdm=nanomdm, toy=toy)
    chosen = Channels(nanomdm=nanomdm).chosen
    assert chosen.key == ApiKey(where="nanomdm.apiKeySecret", secret="mdm/key", url="https://mdm.example.com")  # noqa: S106 - a name
    assert chosen.destination == "https://mdm.example.com"
