"""Which nginx a rehearsal uses, and what is said where there is none."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tools import nginx_package
from tools.steps import BootstrapError
from tools.toolchain import Toolchain, ToolchainMissingError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nginx_of_the_bootstrap_runs() -> None:
    """It tells its version, and speaks TLS."""
    shown = subprocess.run([Toolchain.nginx(), "-V"], check=True, capture_output=True, text=True).stderr
    assert shown.startswith("nginx version:")
    assert "http_ssl_module" in shown


def test_the_machines_own_nginx_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on PATH is taken as it is."""
    own = tmp_path / "nginx"
    own.write_text("#!/bin/sh\n", encoding="ascii")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nginx_package.ensure_nginx() == own


def test_a_machine_without_debians_tools_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, and nothing is left behind."""
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_named: None)
    with pytest.raises(BootstrapError, match="apt install nginx"):
        nginx_package.ensure_nginx()
    assert not (tmp_path / "cache").exists()


def test_without_a_bootstrap_the_command_to_run_is_named(tmp_path: Path) -> None:
    """A manifest that names no nginx."""
    with pytest.raises(ToolchainMissingError, match="--only nginx"):
        Toolchain.nginx(tmp_path / "none.json")
