"""Servers in a folder, with one file each, and the real engine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from ios_mdm.__main__ import app
from tests.support.engine import check_safety

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engine import World

COUNT = 3


@pytest.fixture
def names(world: World) -> list[str]:
    """Names of three servers with a file each in the folder of the stack."""
    names = [f"{world.server}-{number}" for number in range(COUNT)]
    folder = world.stack.directory / "servers"
    folder.mkdir()
    for name in names:
        write(world, name, distributed_definition(world, name, name=None))
    stack = stack_file(world)
    text = stack.read_text(encoding="utf-8")
    stack.write_text(f"{text}config:\n  ios-mdm:serversDirectory: servers\n", encoding="utf-8")
    return names


def distributed_definition(world: World, server: str, **changes: Any) -> dict[str, Any]:
    """Return the definition of a server whose devices are sent its profile."""
    one = replace(world, server=server)
    return one.definition(distribution=one.distribution(), **changes)


def check_all(world: World, names: list[str]) -> None:
    """Check that the devices of each server trust its main, and that its switch is armed."""
    for name in names:
        check_safety(replace(world, server=name))


def file(world: World, name: str) -> Path:
    """Return the file of a server."""
    return world.stack.directory / "servers" / f"{name}.yaml"


def write(world: World, name: str, definition: dict[str, Any]) -> None:
    """Write the file of a server."""
    file(world, name).write_text(yaml.safe_dump(definition), encoding="utf-8")


def stack_file(world: World) -> Path:
    """Return the file of the stack."""
    return world.stack.directory / f"Pulumi.{world.stack.name}.yaml"


def labels(world: World, name: str) -> dict[str, list[str]]:
    """Return the labels of each version of a server's secret."""
    found: dict[str, list[str]] = world.client.describe_secret(SecretId=f"ios-mdm/{name}")["VersionIdsToStages"]
    return found


def test_each_file_is_a_server(world: World, names: list[str]) -> None:
    """After a preview and a run, a second run changes nothing. The command line reads the same servers."""  # R40
    stack = world.stack
    previewed = stack.run("preview").ok().output
    assert f"+ {1 + 3 * COUNT} to create" in previewed
    assert world.aws.writes() == []
    stack.up().ok()
    assert list(stack.outputs()["servers"]) == names
    world.forget_calls()
    assert f"{1 + 3 * COUNT} unchanged" in stack.up().ok().output
    stack.run("preview", "--expect-no-changes").ok()
    assert world.aws.writes() == []
    definition = stack_file(world)
    forecast = CliRunner().invoke(app, ["forecast", str(definition), "--json"])
    assert {event["server"] for event in json.loads(forecast.output)["events"]} == set(names)
    # The same servers as a list in another order are the same stack.
    stack.define([distributed_definition(world, name) for name in reversed(names)])
    stack.run("preview", "--expect-no-changes").ok()
    check_all(world, names)


def test_a_removed_file_deletes_no_protected_server(world: World, names: list[str]) -> None:
    """The run is refused and the pair is kept. With the file restored, nothing is due."""  # R40
    world.stack.up().ok()
    before = labels(world, names[1])
    text = file(world, names[1]).read_text(encoding="utf-8")
    file(world, names[1]).unlink()
    refused = world.stack.up()
    assert refused.code != 0
    assert "protect" in refused.output
    assert labels(world, names[1]) == before
    check_all(world, names)
    file(world, names[1]).write_text(text, encoding="utf-8")
    world.stack.run("preview", "--expect-no-changes").ok()
    check_all(world, names)


def test_broken_files_are_reported_together_before_anything_is_contacted(world: World, names: list[str]) -> None:
    """Each line starts with the name of its file. Neither AWS nor the MDM server is contacted."""  # R30 R40
    file(world, names[0]).write_text("address: [", encoding="utf-8")
    write(world, names[2], world.definition(name=None, warnDays=0, reserv={}))
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        result = world.stack.run(*command)
        assert result.code != 0
        lines = [line.strip().removeprefix("error: ") for line in result.output.splitlines()]
        assert f"{names[0]}.yaml is not YAML: see line 1, column 11" in lines
        assert f"{names[2]}.yaml: warnDays should be greater than or equal to 1" in lines
        assert f"{names[2]}.yaml: reserv is not a known key (see docs/definition.md)" in lines
        assert "Traceback" not in result.output
    assert world.aws.calls == []
    assert world.mdm.calls == []


def test_a_folder_that_is_not_there_is_one_error(world: World, names: list[str]) -> None:
    """The error names the key and the folder. Two keys in one stack are an error, too."""  # R30
    assert names
    folder = world.stack.directory / "servers"
    folder.rename(world.stack.directory / "server")
    result = world.stack.run("preview")
    assert result.code != 0
    assert "ios-mdm:serversDirectory: the folder 'servers' cannot be read: No such file or directory" in result.output
    stack = stack_file(world)
    text = stack.read_text(encoding="utf-8")
    stack.write_text(f"{text}  ios-mdm:servers: [{{name: a, address: a.example}}]\n", encoding="utf-8")
    result = world.stack.run("preview")
    assert result.code != 0
    assert "ios-mdm:servers and ios-mdm:serversDirectory are both set" in result.output
    assert world.aws.calls == []


def test_a_configuration_that_is_too_large_is_one_error(world: World) -> None:
    """Row 19: the program does not start, the language host's stand-in names the next step, and nothing changes."""
    # R40
    mine = distributed_definition(world, world.server)
    world.stack.define([mine])
    world.stack.up().ok()
    before = labels(world, world.server)
    world.stack.define([mine, *(world.definition(name=f"s{number}") for number in range(900))])
    world.forget_calls()
    for command in (("preview",), ("up", "--yes"), ("up", "--yes", "--skip-preview")):
        result = world.stack.run(*command)
        assert result.code != 0
        assert "`ios-mdm:serversDirectory`" in result.output
        assert "Exception calling application" not in result.output
    assert world.aws.calls == []
    assert labels(world, world.server) == before
    world.stack.define([mine])
    world.stack.run("preview", "--expect-no-changes").ok()
    check_safety(world)
