"""The output of each command on terminals with few characters."""

from __future__ import annotations

import sys

import click
import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.cli.output import echo


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("name", app.list_commands(click.Context(app)))
def test_no_command_fails_because_of_the_encoding_of_a_terminal(
    name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command escapes the characters that the encoding does not have, on stdout and on stderr."""

    def work() -> None:
        echo("a 日 é")
        echo("b 日 é", err=True)
        sys.stdout.write("c 日\n")

    monkeypatch.setattr(type(app), "get_command", lambda *_: click.Command(name, callback=work))
    result = CliRunner(charset=encoding).invoke(app, [name], catch_exceptions=False)
    assert result.exit_code == 0
    shown = "日 é".encode(encoding, "backslashreplace")
    assert result.stdout_bytes.splitlines() == [b"a " + shown, b"c \\u65e5"]
    assert result.stderr_bytes == b"b " + shown + b"\n"
