"""Options that name a device, a folder or a large file give one error. A pipe is read up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from tests.support.certificates import HOST, pem
from tests.support.definition_files import MADE, write_bundle
from tests.support.odd_files import MARK, ODD_FILES, odd_file
from tests.support.profile_server import SERVER

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "status odd": "odd",
    "forecast odd": "odd",
    f"validate good.pem --address {HOST} --password-file odd": "--password-file odd",
    f"validate good.pem --address {HOST} --current odd": "--current odd",
    f"validate good.pem --address {HOST} --root odd": "--root odd",
    f"validate good.pem --address {HOST} --trust odd": "--trust odd",
    "profile definition.yaml --server berlin -o out --main odd": "--main odd",
    "profile definition.yaml --server berlin -o out --main public.pem --reserve odd": "--reserve odd",
    "receive --ledger sqlite:///ledger.db --hmac-key-file odd": "--hmac-key-file odd",
}
"""Each command with its name for the file in errors."""


@pytest.mark.parametrize("kind", ["folder", "device", "large"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_odd_file_is_one_error(command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file and quotes no content."""  # R39, R40
    monkeypatch.chdir(tmp_path)
    odd_file(kind, tmp_path / "odd")
    write_bundle(MADE, tmp_path / "good.pem")
    (tmp_path / "public.pem").write_bytes(pem(*MADE.chain))
    (tmp_path / "definition.yaml").write_text(SERVER, encoding="utf-8")
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code in {2, 3}
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {COMMANDS[command]} {ODD_FILES[kind]}")
    assert len(result.stderr.splitlines()) == 1
    assert MARK not in result.stderr
