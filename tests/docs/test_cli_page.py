"""docs/cli.md describes each command with all options."""

from __future__ import annotations

import re

import click
import pytest

from ios_mdm.__main__ import app
from tools.toolchain import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = app.list_commands(click.Context(app))


def test_each_command_has_a_section_and_a_row() -> None:
    """Sections and rows have the order of the help."""
    assert list(SECTIONS) == COMMANDS
    assert re.findall(r"^\| \[`(\w+)`\]", PAGE, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_of_a_command_has_a_row(name: str) -> None:
    """No option is missing, and no row has another option."""
    command = app.get_command(click.Context(app), name)
    assert command is not None
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    params = [param for one in commands for param in one.params]
    options = {text for one in params if isinstance(one, click.Option) for text in one.opts}
    rows = re.findall(r"^\| (`-.*?) \|", SECTIONS[name], re.MULTILINE)
    assert {word for row in rows for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row)} == options
