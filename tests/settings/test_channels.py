"""The channels of a definition: exactly one is given, and another one needs one module and one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.core.references import ApiKey
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import NanoMdmSettings, parse_server, parse_stack
from ios_mdm.settings.channels.channel import ChannelTools, DeviceChannelSettings
from ios_mdm.settings.distribution import ChannelSettings, DistributionSettings, ProfileSettings
from ios_mdm.settings.fields import ChannelUrl, SecretName
from ios_mdm.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.ports import Folder, MdmChannel


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

    def close(self) -> None:
        """Do nothing."""


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


def _no_folder(path: str) -> Folder:
    raise AssertionError(path)


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


def test_the_example_for_contributors_is_a_whole_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module in CONTRIBUTING.md works with one line in `ChannelSettings`. Its key is checked by no other code."""
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(class AcmeSettings.*?)^```$", page, re.MULTILINE | re.DOTALL)
    client = ModuleType("ios_mdm.adapters.acme")
    vars(client)["Acme"] = lambda *, url, api_key: (url, api_key)
    monkeypatch.setitem(sys.modules, client.__name__, client)
    names: dict[str, Any] = {
        "__name__": "acme",
        "ApiKey": ApiKey,
        "ChannelTools": ChannelTools,
        "ChannelUrl": ChannelUrl,
        "DeviceChannelSettings": DeviceChannelSettings,
        "MdmChannel": object,
        "SecretName": SecretName,
    }
    exec(compile(example, "CONTRIBUTING.md", "exec", dont_inherit=True), names)  # noqa: S102 - a page of this project
    model = names["AcmeSettings"].model_validate({"url": "https://acme.example.com", "apiKeySecret": "acme/key"})
    assert (model.destination, model.key.where, model.key.secret) == (model.url, "acme.apiKeySecret", "acme/key")
    tools = ChannelTools(base=tmp_path, api_key=lambda key: f"the key for {key.url}", folder=_no_folder)
    assert model.connect(tools) == (model.url, "the key for https://acme.example.com")


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


PROFILE = {"identifier": "com.example.trust"}


def server(name: str = "berlin", /, **distribution: object) -> dict[str, object]:
    """Return a server with this distribution."""
    return {"name": name, "address": "mdm.example.com", "distribution": {"profile": PROFILE, **distribution}}


FOLDER = {"directory": {"path": "out"}}
NANOMDM = {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/key"}}


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        ({"channel": FOLDER, "devices": ["AAAA-1"]}, "distribution has a channel that only writes files"),
        ({"channel": FOLDER, "ledger": "sqlite:///x"}, "distribution has a channel that only writes files"),
        ({"channel": FOLDER, "resendDays": 3}, "gets no answers: remove resendDays"),
        ({"channel": NANOMDM}, "distribution names no devices: add `devices`"),
        ({"channel": {}}, "channel takes exactly one channel: nanomdm or directory"),
        ({"channel": FOLDER | NANOMDM, "devices": ["AAAA-1"]}, "channel takes exactly one channel"),
        *(
            ({"channel": {"directory": {"path": path}}}, "channel.directory.path is not a path")
            for path in ("", " ", "a\nb", "a\0b")
        ),
        *(
            (
                {"channel": {"directory": {"path": path}}},
                "channel.directory.path must be the path of a folder, or s3://",
            )
            for path in ("s3://", "s3://B/x", "s3://bucket/a b", "gs://bucket/x", "https://bucket.s3.amazonaws.com/x")
        ),
        *(
            ({"channel": {"directory": {"path": "out", "distributed": digest}}}, "channel.directory.distributed")
            for digest in ("", "0F" * 32, "0f" * 31, "yes", True)
        ),
    ],
)
def test_a_definition_of_files_that_cannot_work_is_refused(distribution: dict[str, Any], message: str) -> None:
    """The message names the key, and says what to do."""
    with pytest.raises(DefinitionError, match=re.escape(message)):
        parse_server(server(**distribution), "berlin")


@pytest.mark.parametrize("path", ["out", "/srv/profiles", "../other checkout", "s3://bucket", "s3://my-bucket/a/b/"])
def test_paths_of_folders_and_buckets_are_accepted(path: str) -> None:
    """A slash at the end does not count."""
    found = parse_server(server(channel={"directory": {"path": path}}), "berlin").distribution
    assert found is not None
    assert found.channel.files is not None
    assert found.channel.devices is None
    assert (found.channel.chosen.destination, found.channel.chosen.key) == (path.rstrip("/"), None)
    assert found.devices == []


def test_two_servers_cannot_share_a_folder() -> None:
    """Each would replace the manifest of the other."""
    other = server("tokyo", channel={"directory": {"path": "out/"}})
    with pytest.raises(DefinitionError, match="the folder 'out' is used twice"):
        parse_stack({"servers": [server(channel=FOLDER), other]})
