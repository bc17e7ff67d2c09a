"""The program stays a line of sight: settings, components, exports."""

from __future__ import annotations

import pytest
import yaml

from components import load_settings
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_stack
from tools.toolchain import ROOT


class _Config:
    """A stack's configuration without an engine."""

    def __init__(self, values: dict[str, object], name: str = "ios-mdm") -> None:
        self._values = values
        self.name = name

    def get_object(self, key: str) -> object:
        """Return a value, as ``pulumi.Config`` does."""
        return self._values.get(key)


def test_the_program_has_at_most_thirty_lines() -> None:
    """What a user reads first fits on a screen."""
    assert len((ROOT / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 30


def test_a_stack_without_servers_is_told_what_to_write() -> None:
    """The first mistake of a new user gets an answer that helps."""
    with pytest.raises(DefinitionError, match="ios-mdm:servers is missing"):
        load_settings(_Config({}))  # type: ignore[arg-type] # only get_object and name are used


def test_an_error_names_the_keys_of_a_renamed_project() -> None:
    """The engine's namespace of a project's keys is the project's name."""
    with pytest.raises(DefinitionError, match=r"^other:servers is missing"):
        load_settings(_Config({}, "other"))  # type: ignore[arg-type] # only get_object and name are used
    with pytest.raises(DefinitionError, match=r"^other:servers\[0\]\.name is missing"):
        load_settings(_Config({"servers": [{"address": "a.example"}]}, "other"))  # type: ignore[arg-type] # the same


def test_the_demos_definition_is_valid() -> None:
    """The stack that the first command runs is one that the settings accept."""
    config = yaml.safe_load((ROOT / "Pulumi.demo.yaml").read_text(encoding="utf-8"))["config"]
    (server,) = parse_stack({"servers": config["ios-mdm:servers"]}).servers
    assert server.name == "berlin"
    assert server.protect


def test_every_configuration_key_is_declared_for_the_engine() -> None:
    """Pulumi.yaml types the keys that the settings know."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    assert set(declared) == {"aws", "servers"}
