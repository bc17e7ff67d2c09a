"""``profile``: its file and its errors."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.issuing import issue
from tests.support.command_line import run
from tests.support.profile_server import SERVER

START = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a definition and two certificates with their keys."""
    (tmp_path / "definition.yaml").write_text(SERVER, encoding="utf-8")
    for slot in ("main", "reserve"):
        made = issue("mdm.example.com", key=KeyType.EC_P256, validity_days=397, now=START)
        (tmp_path / f"{slot}.pem").write_text(made.chain, encoding="ascii")
        (tmp_path / f"{slot}.key").write_text(made.private_key, encoding="ascii")
        (tmp_path / f"{slot}-both.pem").write_text(made.chain + made.private_key, encoding="ascii")
    return tmp_path


@pytest.mark.parametrize(("pair_id", "suffix"), [("0123456789ab" + "f" * 20, "0123456789ab"), (None, "manual")])
def test_the_file_is_what_up_pushes(folder: Path, pair_id: str | None, suffix: str) -> None:
    """A real process writes the same bytes as `up`, in any order of the certificates."""  # R15 R35
    result = run(
        *("profile", "definition.yaml", "--server", "berlin", "--main", "main.pem", "--reserve", "reserve.pem"),
        *("-o", "trust.mobileconfig"),
        *(() if pair_id is None else ("--pair-id", pair_id)),
        cwd=folder,
        environment={},
    )
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("wrote trust.mobileconfig, ")
    expected = trust_profile(
        [(folder / f"{slot}.pem").read_text(encoding="ascii") for slot in ("reserve", "main")],
        identifier=f"com.example.mdm.trust.{suffix}",
        server="berlin",
        host="mdm.example.com",
        organization="Example",
    )
    assert (folder / "trust.mobileconfig").read_bytes() == expected
    assert hashlib.sha256(expected).hexdigest() in result.out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--main": "main.key"}, "private key"),
        ({"--main": "main-both.pem"}, "private key"),
        ({"--reserve": "reserve.key"}, "--reserve"),
        ({"--main": "none.pem"}, "cannot be read: No such file"),
        ({"--main": "definition.yaml"}, "expected PEM certificates"),
        ({"--server": "plain"}, "no distribution"),
        ({"--server": "paris"}, "its servers: berlin, plain"),
        ({"-o": "none/trust.mobileconfig"}, "cannot be written"),
        ({"--bogus": "1"}, "No such option"),
    ],
)
def test_an_unusable_certificate_is_refused(changes: dict[str, str], words: str, folder: Path) -> None:
    """The exit code is 2, with the reason, without a file, and without a line of a key."""  # R29
    arguments = {"--server": "berlin", "--main": "main.pem", "-o": "trust.mobileconfig", **changes}
    paths = {"--main", "--reserve", "-o"}
    line = [
        part for name, value in arguments.items() for part in (name, str(folder / value) if name in paths else value)
    ]
    result = CliRunner().invoke(app, ["profile", str(folder / "definition.yaml"), *line])
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert not (folder / "trust.mobileconfig").exists()
    for slot in ("main", "reserve"):
        secret = Path(folder / f"{slot}.key").read_text(encoding="ascii").splitlines()[1:-1]
        assert not any(part in result.output for part in secret)


def test_help_is_quick(folder: Path) -> None:
    """Help names the commands, and imports neither botocore nor cryptography."""
    result = run("--help", cwd=folder, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.code == 0
    assert all(command in result.out for command in ("status", "profile", "receive"))
    assert "click" in result.err
    assert not any(heavy in result.err for heavy in ("boto", "cryptography", "pydantic", "pulumi", "rich"))
