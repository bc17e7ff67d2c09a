"""No command quotes the content of a file or a secret that a definition or an option names (R39)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from ios_mdm.__main__ import app
from tests.support.aws import AWS
from tests.support.certificates import pem
from tests.support.definition_files import MADE, write_bundle
from tests.support.marked import MARKED, Marked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.command_line import Pair

FILE = "marked"


def _definition(pair: Pair, **changes: Any) -> str:
    """Write a definition, and return its path."""
    pair.define(**changes)
    return str(pair.file)


def _distributed_definition(pair: Pair, **changes: Any) -> str:
    server = pair.define()
    server["distribution"] |= changes
    config = {"ios-mdm:servers": [server]}
    pair.file.write_text(yaml.safe_dump({"encryptionsalt": "v1:x", "config": config}), encoding="utf-8")
    return str(pair.file)


def _commands(pair: Pair, definition: str) -> dict[str, list[str]]:
    """Return command lines that read the marked file or secret, each through another argument."""
    marked, good, public = (str(pair.folder / name) for name in (FILE, "good.pem", "public.pem"))
    address = ["--address", "mdm.example.com"]
    profile = ["--server", pair.name, "-o", str(pair.folder / "out.mobileconfig")]
    return {
        "status of the file": ["status", marked],
        "forecast of the file": ["forecast", marked],
        "profile of the file": ["profile", marked, "--main", public, *profile],
        "validate": ["validate", marked, *address],
        "validate --password-file": ["validate", good, *address, "--password-file", marked],
        "validate --current": ["validate", good, *address, "--current", marked],
        "validate --root": ["validate", good, *address, "--root", marked],
        "validate --trust": ["validate", good, *address, "--trust", marked],
        "profile --main": ["profile", definition, "--main", marked, *profile],
        "profile --reserve": ["profile", definition, "--main", public, "--reserve", marked, *profile],
        "consume": ["consume", "--secret", f"marked/{pair.name}", "--dir", str(pair.folder / "tls"), "--once"],
    }


def _run(pair: Pair, arguments: list[str], log: pytest.LogCaptureFixture) -> str:
    """Run a command with all log messages; return its output and the messages."""
    log.clear()
    with log.at_level(logging.DEBUG):
        result = CliRunner().invoke(app, arguments, env=pair.environment())
    assert "Traceback" not in result.output
    assert "this is a bug" not in result.output
    return result.output + log.text


@pytest.mark.parametrize("marked", MARKED.values(), ids=list(MARKED))
def test_no_command_quotes_a_file_or_a_secret(pair: Pair, marked: Marked, caplog: pytest.LogCaptureFixture) -> None:
    """Each command reads each kind of content through each argument that names a file or a secret."""
    # R39
    (pair.folder / FILE).write_bytes(marked.content)
    write_bundle(MADE, pair.folder / "good.pem")
    (pair.folder / "public.pem").write_bytes(pem(*MADE.chain))
    value: dict[str, Any] = (
        {"SecretString": marked.content.decode()} if marked.content.isascii() else {"SecretBinary": marked.content}
    )
    AWS.secrets_manager().create_secret(Name=f"marked/{pair.name}", **value)
    pair.make(distributed=False)
    definitions: dict[str, Callable[[], str]] = {
        "devices": lambda: _distributed_definition(pair, devices={"file": FILE}),
        "ledger": lambda: _distributed_definition(pair, ledger=f"sqlite:///{FILE}"),
        "bundle": lambda: _definition(pair, reserve={"install": {"bundle": FILE}}),
        "passwordFile": lambda: _definition(pair, reserve={"install": {"bundle": "good.pem", "passwordFile": FILE}}),
        "trust": lambda: _definition(pair, reserve={"install": {"bundle": "good.pem", "trust": [FILE]}}),
        "main bundle": lambda: _definition(pair, main={"install": {"bundle": FILE}}, reserve=None),
    }
    shown = {}
    for key, define in definitions.items():
        for command in ("status", "forecast"):
            shown[f"{command} with {key}"] = _run(pair, [command, define()], caplog)
        shown[f"readiness with {key}"] = _run(pair, ["readiness", "--definition", define()], caplog)
    for name, arguments in _commands(pair, _distributed_definition(pair)).items():
        shown[name] = _run(pair, arguments, caplog)
    folder = pair.folder / "servers"
    folder.mkdir()
    (folder / "berlin.yaml").write_bytes(marked.content)
    pair.file.write_text(yaml.safe_dump({"config": {"ios-mdm:serversDirectory": "servers"}}), encoding="utf-8")
    for command in ("status", "forecast"):
        shown[f"{command} with serversDirectory"] = _run(pair, [command, str(pair.file)], caplog)
    assert {name: marked.quoted_parts(output) for name, output in shown.items() if marked.quoted_parts(output)} == {}
    assert all(shown.values())
