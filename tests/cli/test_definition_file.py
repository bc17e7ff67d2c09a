"""Definition files: their forms, the file of the selected stack, and errors."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.cli.definition_file import read_definition, selected_stack_file
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

SERVER = "{name: berlin, address: mdm.example.com}"
BACKEND = "file:///state"


@pytest.mark.parametrize(
    "text",
    [
        f"config:\n  ios-mdm:servers: [{SERVER}]\n  ios-mdm:aws: {{}}\n  other:thing: 1\nencryptionsalt: v1:x\n",
        f"[{SERVER}]",
        f"aws: {{}}\nservers: [{SERVER}]",
    ],
)
def test_three_forms_are_read(text: str, tmp_path: Path) -> None:
    """A stack file, a list of servers and a mapping give the same servers. Paths start at the project."""
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "stacks").mkdir()
    file = tmp_path / "stacks" / "definition.yaml"
    file.write_text(text, encoding="utf-8")
    definition = read_definition(file)
    assert [server.name for server in definition.servers("berlin")] == ["berlin"]
    assert definition.base == tmp_path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config: {ios-mdm:servers: {secure: AAABsecretXYZ}}", "ios-mdm:servers is encrypted"),
        ("[{name: berlin, address: {secure: AAABsecretXYZ}}]", "ios-mdm:servers[0].address is encrypted"),
        ("a: [secretXYZ", "is not YAML: see line 1"),
        ("secretXYZ", "is not a definition"),
        ("", "is not a definition"),
        ("config: {}", "servers is missing"),
        ("[{name: berlin, adress: secretXYZ}]", "adress is not a known key"),
        ("\udcff", "is not YAML"),
        ("[{name: berlin, name: secretXYZ}]", "has the same key twice: see line 1, column 17"),
        ("[{name: .inf, address: secretXYZ}]", "has a number that JSON cannot represent: see line 1, column 9"),
        ("&secretXYZ [*secretXYZ]", "is not YAML: see line 1"),
        ("[" * 10_000, "is not YAML: it is binary, or nested too deeply"),
    ],
)
def test_a_bad_definition_is_explained_and_not_quoted(text: str, words: str, tmp_path: Path) -> None:
    """The exit code is 3. The error names the file and the place, and quotes no value: it might be a secret."""  # R29
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    result = CliRunner().invoke(app, ["status", str(file)])
    assert result.exit_code == 3
    assert "bad.yaml" in result.stderr
    assert words in result.stderr
    assert "secretXYZ" not in result.output


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("config: {other:servers: {secure: AAAB}}", "other:servers is encrypted"),
        ("config: {servers: [{name: berlin}]}", "other:servers[0].address is missing"),
        ("config: {ios-mdm:servers: []}", "other:servers is missing"),
    ],
)
def test_an_error_names_the_keys_of_a_renamed_project(definition: str, words: str, tmp_path: Path) -> None:
    """The namespace of the keys is the name in Pulumi.yaml."""
    (tmp_path / "Pulumi.yaml").write_text("name: other\nruntime: python\n", encoding="utf-8")
    (tmp_path / "Pulumi.test.yaml").write_text(definition, encoding="utf-8")
    with pytest.raises(DefinitionError, match=re.escape(words)):
        read_definition(tmp_path / "Pulumi.test.yaml")


def test_a_stack_with_a_folder_of_servers_is_read(tmp_path: Path) -> None:
    """The folder is relative to Pulumi.yaml, not to the stack's file. A renamed project has another namespace."""
    (tmp_path / "Pulumi.yaml").write_text("name: other\nconfig: {serversDirectory: {default: ''}}\n", encoding="utf-8")
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "berlin.yaml").write_text("address: mdm.example.com\n", encoding="utf-8")
    (tmp_path / "stacks").mkdir()
    file = tmp_path / "stacks" / "Pulumi.test.yaml"
    file.write_text("config: {other:serversDirectory: servers}", encoding="utf-8")
    assert [server.name for server in read_definition(file).servers("berlin")] == ["berlin"]
    result = CliRunner().invoke(app, ["forecast", str(file), "--from", "2040-01-01T00:00:00Z"])
    assert (result.exit_code, "berlin" in result.output) == (0, True)


def test_each_problem_starts_with_the_file_that_has_it(tmp_path: Path) -> None:
    """One error has the problems of the stack's file and of the servers' files, each with its file name."""
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "berlin.yaml").write_text("adress: secretXYZ\n", encoding="utf-8")
    file = tmp_path / "Pulumi.test.yaml"
    file.write_text("config: {ios-mdm:serversDirectory: servers, ios-mdm:aws: {regoin: x}}", encoding="utf-8")
    result = CliRunner().invoke(app, ["status", str(file)])
    assert (result.exit_code, result.stderr.splitlines()) == (
        3,
        [
            "error: Pulumi.test.yaml: ios-mdm:aws.regoin is not a known key (see docs/definition.md)",
            "berlin.yaml: address is missing",
            "berlin.yaml: adress is not a known key (see docs/definition.md)",
        ],
    )


def stack_of(count: int, file: Path) -> None:
    """Write the file of a stack with this many servers."""
    servers = [{"name": f"s{number}", "address": f"s{number}.example.com"} for number in range(count)]
    file.write_text(json.dumps({"config": {"ios-mdm:servers": servers}}), encoding="utf-8")


def test_a_configuration_that_no_program_can_be_given_is_one_error(tmp_path: Path) -> None:
    """More than 128 KiB, the limit of Linux, is an error, and 96 KiB is a warning. Both say what to do."""  # R40
    file = tmp_path / "Pulumi.test.yaml"
    stack_of(1_900, file)
    near = CliRunner().invoke(app, ["forecast", str(file), "--days", "1"])
    assert near.exit_code == 0
    assert near.stderr.startswith("warning: Pulumi.test.yaml: the configuration takes ")
    stack_of(2_500, file)
    over = CliRunner().invoke(app, ["forecast", str(file), "--days", "1"])
    assert over.exit_code == 2
    assert over.stderr.startswith("error: Pulumi.test.yaml: the configuration takes ")
    assert "`ios-mdm:serversDirectory`" in over.stderr
    assert over.stdout == ""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_with_a_byte_order_mark_is_read(encoding: str, tmp_path: Path) -> None:
    """The engine also accepts a byte order mark."""
    file = tmp_path / "definition.yaml"
    file.write_bytes(f"[{SERVER}]\r\n".encode(encoding))
    assert [server.name for server in read_definition(file).settings.servers] == ["berlin"]


def test_a_file_that_is_not_there_is_explained(tmp_path: Path) -> None:
    """The error is one line, with exit code 3."""
    result = CliRunner().invoke(app, ["status", str(tmp_path / "none.yaml")])
    assert (result.exit_code, result.stderr) == (3, "error: none.yaml cannot be read: No such file or directory\n")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one stack file. The working directory is a folder in it."""
    folder = tmp_path / "project"
    (folder / "inside").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: ios-mdm\nruntime: python\n", encoding="utf-8")
    (folder / "Pulumi.demo.yaml").touch()
    monkeypatch.chdir(folder / "inside")
    return folder


def store_selected_stack(project: Path, content: object) -> dict[str, str]:
    """Store a selected stack as the engine does, and return the environment of the engine."""
    home = project.parent / "home"
    (home / "workspaces").mkdir(parents=True)
    # The engine's name for the file, observed with 3.259.
    sha1 = hashlib.sha1(str(project / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    (home / "workspaces" / f"ios-mdm-{sha1}-workspace.json").write_text(json.dumps(content), encoding="utf-8")
    return {"PULUMI_HOME": str(home)}


@pytest.mark.parametrize(
    ("content", "backend"),
    [
        ({"stacks": {BACKEND: "organization/ios-mdm/demo", "https://other": "prod"}}, BACKEND),
        ({"stacks": {BACKEND: "organization/ios-mdm/demo"}}, ""),
        ({"stacks": {"https://other": "prod"}, "stack": "demo"}, BACKEND),
        ({"stack": "demo"}, ""),
    ],
)
def test_the_selected_stack_is_the_engines(content: object, backend: str, project: Path) -> None:
    """The selected stack is that of the current backend, in the file in which the engine stores it."""
    environment = {**store_selected_stack(project, content), "PULUMI_BACKEND_URL": backend}
    assert selected_stack_file(environment) == project / "Pulumi.demo.yaml"
    (project / "Pulumi.test.yaml").touch()
    assert selected_stack_file({**environment, "PULUMI_STACK": "test"}) == project / "Pulumi.test.yaml"


@pytest.mark.parametrize(
    ("content", "backend", "words"),
    [
        ({}, BACKEND, "no stack is selected"),
        ({"stacks": {"a": "demo", "b": "demo"}}, "", "no stack is selected"),
        ({"stacks": {"a": "demo"}}, BACKEND, "no stack is selected"),
        ({"stacks": {BACKEND: "prod"}}, BACKEND, "no file Pulumi.prod.yaml"),
        ([], "", "no stack is selected"),
    ],
)
def test_an_unknown_stack_is_not_guessed(content: object, backend: str, words: str, project: Path) -> None:
    """The error shows how to name the file."""
    with pytest.raises(DefinitionError, match=words) as raised:
        selected_stack_file({**store_selected_stack(project, content), "PULUMI_BACKEND_URL": backend})
    assert "`status Pulumi.<stack>.yaml`" in str(raised.value)


def test_the_engines_option_for_another_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of the engine's option --config-file names the stack's file, relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    environment = {"PULUMI_OPTION_CONFIG_FILE": ".demo/Pulumi.demo.yaml", "PULUMI_STACK": "other"}
    assert selected_stack_file(environment) == tmp_path / ".demo" / "Pulumi.demo.yaml"


def test_a_folder_for_stack_files_is_the_engines(project: Path) -> None:
    """The key is `stackConfigDir`, or `config` in older projects."""
    (project / "stacks").mkdir()
    (project / "stacks" / "Pulumi.test.yaml").touch()
    for key in ("stackConfigDir", "config"):
        (project / "Pulumi.yaml").write_text(f"name: ios-mdm\nruntime: python\n{key}: stacks\n", encoding="utf-8")
        assert selected_stack_file({"PULUMI_STACK": "test"}) == project / "stacks" / "Pulumi.test.yaml"


def test_outside_of_a_project_a_file_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Pulumi.yaml, no stack can be selected."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError, match=r"no Pulumi\.yaml .*`status Pulumi\.<stack>\.yaml`"):
        selected_stack_file({})
