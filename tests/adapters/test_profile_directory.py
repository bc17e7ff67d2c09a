"""The folder of a profile: on this machine, and in S3 on the emulators."""

from __future__ import annotations

import json
import os
import plistlib
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import boto3
import pytest
import yaml

from ios_mdm.adapters.folders import S3Folder, open_folder
from ios_mdm.adapters.profile_directory import FolderDirectory
from ios_mdm.core.profile import certificate_digests, profile_digest, trust_profile
from ios_mdm.errors import DeliveryError
from tests.support.aws import AWS
from tests.support.backends import point_to_emulator
from tests.support.certificates import HOST
from tests.support.distribution import pems
from tools.services import ministack

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from ios_mdm.ports import Folder

IDENTIFIER = "com.example.mdm.5a5a5a5a5a5a"


def profile(*numbers: int, identifier: str = IDENTIFIER, server: str = "berlin") -> bytes:
    """Return the profile with these certificates."""
    return trust_profile([pems()[number] for number in numbers], identifier=identifier, server=server, host=HOST)


@dataclass(slots=True)
class Watched:
    """A folder that counts its writes, and in which some of them fail."""

    folder: Folder
    written: list[str] = field(default_factory=list)
    fails_at: int | None = None

    def read(self, name: str) -> bytes | None:
        """Read the file."""
        return self.folder.read(name)

    def write(self, name: str, content: bytes) -> None:
        """Write the file, or fail."""
        if self.fails_at == len(self.written):
            raise DeliveryError("the disk is full")
        self.folder.write(name, content)
        self.written.append(name)


@pytest.fixture(params=["folder", "moto", "ministack"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Watched:
    """Return an empty folder of each kind."""
    if request.param == "folder":
        return Watched(open_folder("out/berlin", base=tmp_path, aws=AWS))
    point_to_emulator(request.param, request)
    bucket = f"profiles-{uuid4()}"
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=ministack.REGION)
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": ministack.REGION})
    return Watched(open_folder(f"s3://{bucket}/mdm/berlin", base=tmp_path, aws=AWS))


def directory(folder: Folder) -> FolderDirectory:
    """Return the channel in a folder."""
    return FolderDirectory(folder=folder, named="out")


FILES = [f"{IDENTIFIER}.mobileconfig", f"{IDENTIFIER}.fleet.yml", f"{IDENTIFIER}.md", "manifest.json"]


def test_the_profile_is_written_first_and_the_manifest_last(watched: Watched) -> None:
    """A repetition writes nothing, and a changed profile replaces every file."""
    channel = directory(watched)
    assert not channel.is_published(profile(1), server="berlin", host=HOST)
    assert channel.publish(profile(1), server="berlin", host=HOST) == (f"{', '.join(FILES)} written to out",)
    assert watched.written == FILES
    assert watched.read(FILES[0]) == profile(1)
    assert channel.is_published(profile(1), server="berlin", host=HOST)
    assert channel.publish(profile(1), server="berlin", host=HOST) == ()
    assert watched.written == FILES
    assert not channel.is_published(profile(1, 2), server="berlin", host=HOST)
    channel.publish(profile(1, 2), server="berlin", host=HOST)
    assert watched.read(FILES[0]) == profile(1, 2)
    assert watched.written[4:] == [name for name in FILES if not name.endswith("fleet.yml")], "that has only the name"


def test_the_manifest_describes_the_profile(watched: Watched) -> None:
    """Another tool reads names, digests and the next step there."""
    directory(watched).publish(profile(1, 2), server="berlin", host=HOST)
    manifest = json.loads(watched.read("manifest.json") or b"")
    digest = profile_digest(profile(1, 2))
    assert manifest["profile"] == {
        "file": FILES[0],
        "sha256": digest,
        "identifier": IDENTIFIER,
        "displayName": plistlib.loads(profile(1, 2))["PayloadDisplayName"],
        "certificatesSha256": sorted(one.hex() for one in certificate_digests(profile(1, 2))),
    }
    assert manifest["files"] == {name: profile_digest(watched.read(name) or b"") for name in FILES[:3]}
    assert f"distributed to {digest}, and run `pulumi up`" in manifest["nextStep"]
    assert f"distributed: {digest}\n" in (watched.read(FILES[2]) or b"").decode()


def test_fleet_keeps_the_profile_of_a_former_identifier(watched: Watched) -> None:
    """Fleet removes a profile whose entry is removed, but devices must keep it. A deleted file has no entry."""  # R35
    channel = directory(watched)
    newer = "com.example.mdm.0123456789ab"
    channel.publish(profile(1), server="berlin", host=HOST)
    channel.publish(profile(2, identifier=newer), server="berlin", host=HOST)
    content = watched.read(f"{newer}.fleet.yml") or b""
    assert b"Fleet refuses profiles with equal names: change PayloadDisplayName" in content
    snippet = yaml.safe_load(content)
    assert snippet == {
        "controls": {
            "apple_settings": {
                "configuration_profiles": [{"path": f"{newer}.mobileconfig"}, {"path": f"{IDENTIFIER}.mobileconfig"}]
            }
        }
    }
    assert watched.read(f"{IDENTIFIER}.mobileconfig") == profile(1)
    assert channel.is_published(profile(2, identifier=newer), server="berlin", host=HOST)


@pytest.mark.parametrize("fails_at", range(4))
def test_an_interrupted_run_is_continued(watched: Watched, fails_at: int) -> None:
    """The error has the number of files that are up to date. The next run writes the others."""
    watched.fails_at = fails_at
    with pytest.raises(
        DeliveryError, match=rf"the disk is full\. {fails_at} of 4 files in out are up to date"
    ) as caught:
        directory(watched).publish(profile(1), server="berlin", host=HOST)
    assert "run `pulumi up` again" in str(caught.value)
    assert watched.written == FILES[:fails_at]
    watched.fails_at = None
    directory(watched).publish(profile(1, 2), server="berlin", host=HOST)
    assert watched.read(FILES[0]) == profile(1, 2)
    assert directory(watched).is_published(profile(1, 2), server="berlin", host=HOST)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"{}", b"# a note of another tool\n", profile(1, identifier="com.other.one")])
def test_a_file_of_another_tool_is_not_replaced(tmp_path: Path, name: str, content: bytes) -> None:
    """Nothing is written then, and the message names the file."""
    folder = open_folder("out", base=tmp_path, aws=AWS)
    folder.write(name, content)
    with pytest.raises(DeliveryError, match=f"out has another {name}, which was not written for the server berlin"):
        directory(folder).publish(profile(1), server="berlin", host=HOST)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert folder.read(name) == content


def test_a_folder_belongs_to_one_server(tmp_path: Path) -> None:
    """The manifest of another server is not replaced."""
    folder = open_folder("out", base=tmp_path, aws=AWS)
    directory(folder).publish(profile(1), server="berlin", host=HOST)
    before = folder.read("manifest.json")
    with pytest.raises(DeliveryError, match=r"manifest\.json, which was not written for the server tokyo"):
        directory(folder).publish(
            profile(2, identifier="com.example.tokyo.1", server="tokyo"), server="tokyo", host=HOST
        )
    assert folder.read("manifest.json") == before


def test_files_are_readable_by_all_and_replaced_at_once(tmp_path: Path) -> None:
    """The umask does not count. No temporary file stays, and a link is replaced instead of its target."""
    before = os.umask(0o077)
    try:
        (tmp_path / "out").mkdir()
        (tmp_path / "elsewhere").write_bytes(profile(1))
        (tmp_path / "out" / FILES[0]).symlink_to(tmp_path / "elsewhere")
        directory(open_folder("out", base=tmp_path, aws=AWS)).publish(profile(2), server="berlin", host=HOST)
    finally:
        os.umask(before)
    found = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert found == dict.fromkeys(FILES, 0o644)
    assert (tmp_path / "elsewhere").read_bytes() == profile(1)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message names the file and the reason."""
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(DeliveryError, match=r"out/.*mobileconfig cannot be written: .*Check the folder"):
        directory(open_folder("out", base=tmp_path, aws=AWS)).publish(profile(1), server="berlin", host=HOST)


def test_a_bucket_that_does_not_exist_is_named(request: pytest.FixtureRequest) -> None:
    """The message has the URL of the object, and says what to do."""
    point_to_emulator("moto", request)
    folder = S3Folder(aws=AWS, bucket="no-such-bucket", prefix="")
    with pytest.raises(DeliveryError) as caught:
        directory(folder).publish(profile(1), server="berlin", host=HOST)
    assert str(caught.value) == (
        'GetObject on object "s3://no-such-bucket/manifest.json" failed: there is no such bucket. Correct '
        "distribution.channel.directory.path, or create the bucket, and run again."
    )


def test_the_documented_policy_allows_the_calls_and_no_more(watched: Watched) -> None:
    """The policy of the page has these actions, plus the one that makes a missing object visible."""  # R40
    if not isinstance(watched.folder, S3Folder):
        return
    called = set()
    client = cast("BaseClient", AWS.s3())
    client.meta.events.register("before-call", lambda model, **_rest: called.add(f"s3:{model.name}"))
    directory(watched).publish(profile(1), server="berlin", host=HOST)
    page = (Path(__file__).parents[2] / "docs" / "permissions.md").read_text(encoding="utf-8")
    (policy,) = re.findall(r"^```json bucket$(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    allowed = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    assert allowed == called | {"s3:ListBucket"}
