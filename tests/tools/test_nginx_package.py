"""The nginx of a rehearsal, and the errors without nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tools import bootstrap, nginx_package
from tools.steps import BootstrapError
from tools.toolchain import Toolchain, ToolchainMissingError

if TYPE_CHECKING:
    from pathlib import Path

APT_GET = """\
#!/bin/sh
echo "$1" >>{folder}/asked
test "$1" = update && touch {folder}/lists
test "$1" = update || test -e {folder}/lists || exit 100
test "$1" = update || cp {folder}/made.deb nginx_1_all.deb
"""
"""A package manager without package lists: a download fails before an update."""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a machine without nginx, with a stub as package manager; return the stub's folder."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("this machine has no dpkg-deb, so nothing can be unpacked")
    folder = tmp_path / "apt"
    folder.mkdir()
    apt = folder / "apt-get"
    apt.write_text(APT_GET.format(folder=folder), encoding="ascii")
    apt.chmod(0o755)
    real = shutil.which
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("shutil.which", lambda name, **_named: None if name == "nginx" else real(name))
    return folder


def package(folder: Path, script: str) -> None:
    """Build a package in which nginx is this script."""
    tree = folder / "tree"
    for name, content in (
        ("usr/sbin/nginx", f"#!/bin/sh\n{script}\n"),
        (
            "DEBIAN/control",
            "Package: nginx\nVersion: 1\nArchitecture: all\nMaintainer: t <t@example.com>\nDescription: t\n",
        ),
    ):
        file = tree / name
        file.parent.mkdir(parents=True, mode=0o755)
        file.write_text(content, encoding="ascii")
        file.chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", tree, folder / "made.deb"], check=True, capture_output=True)


def test_the_nginx_of_the_bootstrap_runs() -> None:
    """It reports its version, and supports TLS."""
    shown = subprocess.run([Toolchain.nginx(), "-V"], check=True, capture_output=True, text=True).stderr
    assert shown.startswith("nginx version:")
    assert "http_ssl_module" in shown


def test_the_machines_own_nginx_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An nginx on PATH is used."""
    own = tmp_path / "nginx"
    own.write_text("#!/bin/sh\n", encoding="ascii")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nginx_package.ensure_nginx() == own


def test_a_package_is_unpacked_into_the_cache_after_an_update_and_fetched_once(
    debian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package manager only downloads. The next call uses the same unpacked package."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    package(debian, "exit 0")
    found = nginx_package.ensure_nginx()
    assert found.is_relative_to(debian.parent / "cache")
    assert nginx_package.ensure_nginx() == found
    assert (debian / "asked").read_text(encoding="ascii").split() == ["download", "update", "download"]


def test_without_lists_of_packages_only_root_can_go_on(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For another user, the error names the package to install, and no update is tried."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BootstrapError, match="apt install nginx"):
        nginx_package.ensure_nginx()
    assert (debian / "asked").read_text(encoding="ascii").split() == ["download"]


def test_an_nginx_whose_libraries_are_missing_is_not_kept(debian: Path) -> None:
    """If nginx does not run, the error is one line, and the next bootstrap unpacks it again."""
    (debian / "lists").touch()
    package(debian, "exit 127")
    with pytest.raises(BootstrapError, match="does not run on this machine"):
        nginx_package.ensure_nginx()
    assert not (debian.parent / "cache" / "nginx").exists()


def test_only_what_asks_for_nginx_gets_it() -> None:
    """The demo does not download nginx."""
    assert "nginx" not in bootstrap.STEPS
    assert "nginx" in bootstrap.OPTIONAL_STEPS


def test_an_error_without_debians_tools_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one line, and no file is written."""
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_named: None)
    with pytest.raises(BootstrapError, match="apt install nginx"):
        nginx_package.ensure_nginx()
    assert not (tmp_path / "cache").exists()


def test_without_a_bootstrap_the_command_to_run_is_named(tmp_path: Path) -> None:
    """The manifest has no nginx."""
    with pytest.raises(ToolchainMissingError, match="--only nginx"):
        Toolchain.nginx(tmp_path / "none.json")
