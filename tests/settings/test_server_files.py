"""Files of servers: each has the name and the keys of one server."""

from __future__ import annotations

import pytest

from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_server
from ios_mdm.settings.server_files import ServerFile, is_server_file, parse_server_files

GOOD = "address: mdm.example.com\n"
DISTRIBUTION = (
    "distribution:\n  profile: {identifier: com.example.trust}\n  devices: [a]\n"
    "  channel: {nanomdm: {url: 'https://mdm.example.com', apiKeySecret: mdm/key}}\n"
)


def file(name: str, text: str = GOOD) -> ServerFile:
    """Return a file of a server."""
    return ServerFile(name=name, content=text.encode())


def complaints(*files: ServerFile) -> list[str]:
    """Return the lines of the error of these files."""
    with pytest.raises(DefinitionError) as raised:
        parse_server_files(files)
    return str(raised.value).splitlines()


@pytest.mark.parametrize("text", [GOOD, f"name: berlin\n{GOOD}"], ids=["without a name", "with its name"])
@pytest.mark.parametrize("suffix", ["yaml", "yml", "YAML"])
def test_a_file_is_the_server_that_it_is_named_for(suffix: str, text: str) -> None:
    """The settings are those of a server in the list, in the order of the files."""  # R40
    same = parse_server({"name": "berlin", "address": "mdm.example.com"}, "berlin")
    first, second = parse_server_files([file(f"berlin.{suffix}", text), file("aachen.yaml")])
    assert first == same
    assert first.model_fields_set == same.model_fields_set
    assert second.name == "aachen"


def test_only_yaml_files_are_servers() -> None:
    """YAML files are read; hidden files, backups and other files are ignored."""
    names = ["a.yaml", "b.yml", "C.YML", ".a.yaml", ".#a.yaml", "a.yaml~", "a.yaml.bak", "README.md", "yaml"]
    assert [name for name in names if is_server_file(name)] == ["a.yaml", "b.yml", "C.YML"]


def test_words_are_read_as_the_engine_reads_them() -> None:
    """`no` is text and not a boolean, as in a stack file."""
    assert complaints(file("a.yaml", f"{GOOD}protect: no\n")) == ["a.yaml: protect should be a valid boolean"]
    assert parse_server_files([file("no.yaml", f"name: no\n{GOOD}")])[0].name == "no"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.yaml is empty: it must hold the keys of one server"),
        ("- address: x\n", "a.yaml is a list: it must hold the keys of one server"),
        ("secretXYZ", "a.yaml is not a mapping: it must hold the keys of one server"),
        ("a: [secretXYZ", "a.yaml is not YAML: see line 1"),
        (f"{GOOD}{GOOD}", "a.yaml has the same key twice: see line 2, column 1"),
        (f"{GOOD}---\n{GOOD}", "a.yaml has more than one YAML document"),
        ("address: {secure: secretXYZ}", "a.yaml: address is encrypted (`secure:`)"),
        (f"{GOOD}name: secretxyz", "a.yaml: name differs from the name of the file: write `name: a`"),
        (f"{GOOD}name: 7", "a.yaml: name should be a valid string"),
        (f"{GOOD}reserv: secretXYZ", "a.yaml: reserv is not a known key"),
        ("address: -----BEGIN PRIVATE KEY-----secretXYZ", "a.yaml: the configuration holds a private key"),
    ],
)
def test_a_bad_file_is_one_line_that_starts_with_its_name(text: str, words: str) -> None:
    """The line names the problem and quotes no value, which may be a secret."""  # R29 R40
    (line,) = complaints(file("b.yaml"), file("a.yaml", text))
    assert line.startswith(words)
    assert "secretxyz" not in line.lower()


@pytest.mark.parametrize("name", ["Berlin.yaml", "a b.yml", "-.yaml", "a\t.yaml", f"{'a' * 64}.yaml"])
def test_a_file_with_a_name_that_no_server_can_have_is_refused(name: str) -> None:
    """The message has the rule for names once."""
    (line,) = complaints(file(name))
    assert line.startswith(f"{name}: the name of the file is not a server name: use up to 63")


def test_a_file_that_cannot_be_read_is_named() -> None:
    """The reason follows the name."""
    assert complaints(ServerFile(name="a.yaml", content=None, problem="a.yaml cannot be read: Permission denied")) == [
        "a.yaml cannot be read: Permission denied"
    ]


def test_a_server_has_one_file() -> None:
    """`a.yaml` and `a.yml` are the same server."""
    assert complaints(file("a.yaml"), file("a.yml")) == [
        "a.yml: a.yaml defines the server 'a', too: remove one of the two files"
    ]


def test_a_profile_identifier_belongs_to_one_server() -> None:
    """The line names both files."""
    (line,) = complaints(file("a.yaml", GOOD + DISTRIBUTION), file("b.yaml", GOOD + DISTRIBUTION))
    assert line.startswith("b.yaml: a.yaml has the same distribution.profile.identifier")


def test_all_problems_of_all_files_are_reported_together() -> None:
    """An invalid name or file does not hide other problems of the same file or of other files."""  # R40
    bad = "name: other\nwarnDays: 0\n"
    lines = complaints(file("A.yaml", bad), file("b.yaml", "["), file("b.yml", bad))
    assert [line.partition(" ")[0] for line in lines] == [*["A.yaml:"] * 3, "b.yaml", *["b.yml:"] * 4]
