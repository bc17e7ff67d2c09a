"""A stack's configuration, and the folder of its servers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.configuration import read_configuration
from ios_mdm.errors import DefinitionError
from tests.support.odd_files import odd_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GOOD = "address: mdm.example.com\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of servers with one file, in a project."""
    made = tmp_path / "project" / "servers"
    made.mkdir(parents=True)
    (made / "berlin.yaml").write_text(GOOD, encoding="utf-8")
    return made


def names(folder: Path, name: str = "servers") -> Sequence[str]:
    """Return the names of the servers in a folder of the project."""
    found = read_configuration({"serversDirectory": name}, project="ios-mdm", base=folder.parent)
    return [server.name for server in found.servers]


def complaint(folder: Path, **raw: Any) -> str:
    """Return the error of a configuration."""
    with pytest.raises(DefinitionError) as raised:
        read_configuration({"serversDirectory": "servers", **raw}, project="ios-mdm", base=folder.parent)
    return str(raised.value)


def test_the_files_of_the_folder_are_the_servers(folder: Path) -> None:
    """The servers are in the order of the file names; hidden files, other files and subfolders are ignored."""  # R40
    for name in ("aachen.yml", "zittau.yaml", ".hidden.yaml", "README.md", "berlin.yaml~"):
        (folder / name).write_text(GOOD, encoding="utf-8")
    (folder / "old").mkdir()
    (folder / "old" / "bonn.yaml").write_text(GOOD, encoding="utf-8")
    assert names(folder) == ["aachen", "berlin", "zittau"]
    assert names(folder, "./servers/") == names(folder)


@pytest.mark.parametrize("form", [{"serversDirectory": "servers"}, {"servers": [{"name": "a", "address": "a.test"}]}])
def test_watched_certificates_belong_to_both_forms_of_a_stack(folder: Path, form: dict[str, Any]) -> None:
    """A stack with a folder of servers has the same key, and the same check of references."""  # R39

    def read(*watch: dict[str, Any]) -> list[str]:
        found = read_configuration({**form, "watch": list(watch)}, project="ios-mdm", base=folder.parent)
        return [one.name for one in found.watch]

    assert read() == []
    assert read({"name": "pem", "file": "a.pem"}) == ["pem"]
    api = {"url": "https://mdm.example.com", "apiKeySecret": "ios-mdm/a"}
    with pytest.raises(DefinitionError, match="apiKeySecret names a secret under ios-mdm/"):
        read({"name": "push", "nanomdm": api, "topic": "com.apple.mgmt.x"})


def test_a_link_within_the_project_is_followed(folder: Path) -> None:
    """Kubernetes mounts the files of a ConfigMap as such links."""
    data = folder / "..2040"
    data.mkdir()
    (folder / "berlin.yaml").rename(data / "berlin.yaml")
    (folder / "..data").symlink_to(data.name)
    (folder / "berlin.yaml").symlink_to("..data/berlin.yaml")
    assert names(folder) == ["berlin"]


def test_a_link_that_leads_out_of_the_project_is_refused(folder: Path) -> None:
    """A review of the project must cover all servers; nothing of the other file is read."""
    outside = folder.parent.parent / "outside.yaml"
    outside.write_text("secretXYZ", encoding="utf-8")
    (folder / "paris.yaml").symlink_to(outside)
    assert complaint(folder) == "paris.yaml is a link that leads out of the project: replace it with the file"
    for name in ("..", str(folder.parent.parent), "link"):
        (folder.parent / "link").unlink(missing_ok=True)
        (folder.parent / "link").symlink_to(folder.parent.parent)
        assert complaint(folder, serversDirectory=name).startswith(
            f"ios-mdm:serversDirectory: the folder {name!r} is outside of the project"
        )


def test_files_that_cannot_be_read_are_named_together(folder: Path) -> None:
    """A folder, a dangling link and a link to itself each give one line."""
    (folder / "a.yaml").mkdir()
    (folder / "b.yaml").symlink_to("nowhere")
    (folder / "c.yaml").symlink_to("c.yaml")
    os.mkfifo(folder / "d.yaml")
    assert complaint(folder).splitlines() == [
        "a.yaml is not a file: rename it, or move it elsewhere",
        "b.yaml cannot be read: No such file or directory",
        "c.yaml cannot be read: Too many levels of symbolic links",
        "d.yaml is not a file: rename it, or move it elsewhere",
    ]


def test_a_file_that_is_too_large_is_named(folder: Path) -> None:
    """The error quotes nothing of the file, and the other files are still checked."""  # R39, R40
    odd_file("large", folder / "paris.yaml")
    (folder / "rome.yaml").write_text("address: 1", encoding="utf-8")
    large, other = complaint(folder).splitlines()
    assert large == "paris.yaml is larger than 1,024 KiB: check that this is the right file"
    assert other.startswith("rome.yaml: address ")


def test_a_file_without_permission_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error ends with the reason of the system."""

    def refuse(_path: Path, _flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert complaint(folder) == "berlin.yaml cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "the folder 'nowhere' cannot be read: No such file or directory"),
        ("servers/berlin.yaml", "the folder 'servers/berlin.yaml' cannot be read: Not a directory"),
        (".", "the folder '.' has no file *.yaml: add one for each server"),
        ("\0", r"the folder '\x00' cannot be read: its name has a zero byte"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_error(folder: Path, name: str, words: str) -> None:
    """The error names the key and the folder."""
    said = complaint(folder, serversDirectory=name)
    assert said.startswith(f"ios-mdm:serversDirectory: {words}")
    assert len(said.splitlines()) == 1


def test_servers_and_a_folder_are_one_too_many(folder: Path) -> None:
    """Neither is read; the empty default of Pulumi.yaml is not an error."""
    said = complaint(folder, servers=[{"name": "paris"}])
    assert said.startswith("ios-mdm:servers and ios-mdm:serversDirectory are both set: keep one of them")
    read_configuration({"servers": [], "serversDirectory": "servers"}, project="ios-mdm", base=folder.parent)


@pytest.mark.parametrize("name", [7, ["servers"], {"a": 1}, True])
def test_a_folder_is_text(folder: Path, name: object) -> None:
    """A value of another type is an error of its key."""
    assert complaint(folder, serversDirectory=name) == "ios-mdm:serversDirectory should be a valid string"


def test_problems_of_the_configuration_and_of_the_files_are_reported_together(folder: Path) -> None:
    """One error has the lines of both."""  # R40
    (folder / "berlin.yaml").write_text("address: a b\n", encoding="utf-8")
    lines = complaint(folder, aws={"regoin": "x"}, colour="red").splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["ios-mdm:aws.regoin", "ios-mdm:colour", "berlin.yaml:"]
