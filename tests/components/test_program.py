"""The program stays short: settings, components, exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pytest
import yaml

from components import load_settings
from ios_mdm.configuration import KEYS
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_stack
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.settings import StackSettings


class _Config:
    """A stack's configuration without an engine."""

    def __init__(self, values: dict[str, object], name: str = "ios-mdm") -> None:
        self._values = values
        self.name = name

    def get_object(self, key: str) -> object:
        """Return a value, as ``pulumi.Config`` does."""
        return self._values.get(key)

    def get(self, key: str) -> object:
        """Return the text of a value, as ``pulumi.Config`` does."""
        return self._values.get(key)


def settings(config: dict[str, object], base: Path, name: str = "ios-mdm") -> StackSettings:
    """Return the settings in a configuration of the project in the folder *base*."""
    return load_settings(_Config(config, name), base)  # type: ignore[arg-type] # only what _Config has is used


def test_the_program_has_at_most_thirty_lines() -> None:
    """The program fits on a screen."""
    assert len((ROOT / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 30


@pytest.mark.parametrize("given", [{}, {"servers": [], "serversDirectory": ""}], ids=["not set", "defaults"])
def test_the_error_of_a_stack_without_servers_says_what_to_write(given: dict[str, object], tmp_path: Path) -> None:
    """The error for a stack without servers helps a new user; Pulumi.yaml has empty defaults."""
    with pytest.raises(DefinitionError, match="ios-mdm:servers is missing"):
        settings(given, tmp_path)


def test_an_error_names_the_keys_of_a_renamed_project(tmp_path: Path) -> None:
    """The namespace of the keys is the name of the project."""
    with pytest.raises(DefinitionError, match=r"^other:servers is missing"):
        settings({}, tmp_path, "other")
    with pytest.raises(DefinitionError, match=r"^other:servers\[0\]\.name is missing"):
        settings({"servers": [{"address": "a.example"}]}, tmp_path, "other")


def test_servers_are_read_from_a_folder_of_the_project(tmp_path: Path) -> None:
    """The folder is relative to the project, and gives the same settings as a list."""  # R40
    (tmp_path / "servers").mkdir()
    for name in ("paris", "berlin"):
        (tmp_path / "servers" / f"{name}.yaml").write_text(f"address: {name}.example.com\n", encoding="utf-8")
    aws = {"region": "eu-west-1"}
    names = [{"name": name, "address": f"{name}.example.com"} for name in ("berlin", "paris")]
    found = settings({"servers": [], "serversDirectory": "servers", "aws": aws}, tmp_path)
    assert found == parse_stack({"servers": names, "aws": aws})


def test_a_large_configuration_is_a_warning_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program warns from 96 KiB on. Linux does not start a program with more than 128 KiB."""  # R40
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    servers = [{"name": f"s{number}", "address": f"s{number}.example.com"} for number in range(1_900)]
    settings({"servers": servers[:1_000]}, tmp_path)
    assert warnings == []
    assert len(settings({"servers": servers}, tmp_path).servers) == 1_900
    (warning,) = warnings
    assert "`ios-mdm:serversDirectory`" in warning
    assert "Argument list too long" in warning


def test_the_demos_definition_is_valid() -> None:
    """The settings accept the stack of the demo."""
    config = yaml.safe_load((ROOT / "Pulumi.demo.yaml").read_text(encoding="utf-8"))["config"]
    (server,) = parse_stack({"servers": config["ios-mdm:servers"]}).servers
    assert server.name == "berlin"
    assert server.protect


def test_every_configuration_key_is_declared_for_the_engine() -> None:
    """Pulumi.yaml has the types of all keys of the settings."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    assert set(declared) == set(KEYS)
