"""A certificate that passes every rule, but that OpenSSL refuses, is not called valid anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.app.pair.found_certificates import found_certificate_problem
from ios_mdm.core.x509.credential import credential_of
from ios_mdm.core.x509.handshakes import HandshakeFailure, Handshakes
from tests.support.certificates import HOST, NOW
from tests.support.custom_files import PASSWORD
from tests.support.definition_files import MADE, write_bundle
from tests.support.desk import Desk, desk, leaf

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.custom_files import Leaf

__all__ = ["desk", "leaf"]

REASON = "certificate rejected"


@pytest.fixture(autouse=True)
def refusing_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenSSL refuse every certificate for a reason that belongs to no rule."""

    def failure(handshakes: Handshakes) -> HandshakeFailure:
        return HandshakeFailure(reason=REASON, number=28, certificate=handshakes.certificates[0])

    monkeypatch.setattr(Handshakes, "failure", failure)


def test_preview_and_up_refuse_it(desk: Desk, leaf: Leaf) -> None:
    """The reader of both reports a violation, with OpenSSL's reason."""  # R28
    (desk.folder / "b.pfx").write_bytes(leaf.pfx())
    desk.environ = {"P": PASSWORD}
    (found,) = desk.read(bundle="b.pfx", passwordEnv="P", trust=[]).report.violations
    assert (found.code, REASON in found.message) == ("chain-incomplete", True)


def test_validate_refuses_it(tmp_path: Path) -> None:
    """The exit code is 1, and the last line of the checklist has failed."""  # R28
    bundle = write_bundle(MADE, tmp_path / "good.pem")
    command = ["validate", str(bundle), "--address", HOST, "--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "  FAIL  R28  TLS clients accept a handshake with it\n" in result.stdout
    (found,) = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["violations"]
    assert found["found"] == f"a handshake that OpenSSL refuses: {REASON}"


def test_a_found_version_is_refused() -> None:
    """A custom certificate that is found in the secret is not adopted."""  # R28 R38
    credential = credential_of(MADE.chain, MADE.keys[0], MADE.root)
    problem = found_certificate_problem(credential, HOST, NOW, main=None)
    assert problem is not None
    assert REASON in problem
