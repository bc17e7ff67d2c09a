"""The source of the browser that views pages in tests, and the behavior without one."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tools import bootstrap, browser
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from pathlib import Path

APT_GET = """\
#!/bin/sh
echo "$1" >>{folder}/asked
case "$1" in
update) touch {folder}/lists ;;
--simulate) test -e {folder}/lists || exit 100; echo "Inst chromium-headless-shell (1 Debian [amd64])" ;;
download) cp {folder}/made.deb chromium-headless-shell_1_all.deb ;;
esac
"""
"""A package manager without package lists: nothing can be downloaded before an update."""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a machine without a browser, with a stub as package manager; return the stub's folder."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not on this machine, so there is nothing to unpack")
    folder = tmp_path / "apt"
    folder.mkdir()
    apt = folder / "apt-get"
    apt.write_text(APT_GET.format(folder=folder), encoding="ascii")
    apt.chmod(0o755)
    real = shutil.which
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("shutil.which", lambda name, **_named: None if name in browser.COMMANDS else real(name))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return folder


def package(folder: Path, script: str) -> None:
    """Build a package with a library, in which Chromium is this script."""
    tree = folder / "tree"
    for name, content in (
        ("usr/lib/chromium/chromium-headless-shell", f"#!/bin/sh\n{script}\n"),
        ("usr/lib/x-linux-gnu/libfound.so.1", ""),
        (
            "DEBIAN/control",
            "Package: chromium-headless-shell\nVersion: 1\nArchitecture: all\nMaintainer: t\nDescription: t\n",
        ),
    ):
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file.write_text(content, encoding="ascii")
        file.chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", tree, folder / "made.deb"], check=True, capture_output=True)


def test_a_package_is_unpacked_once_with_its_libraries(debian: Path) -> None:
    """The launcher finds the unpacked libraries, and passes its arguments on."""
    package(debian, 'echo "$LD_LIBRARY_PATH|$@"')
    found = browser.ensure_chromium()
    assert browser.ensure_chromium() == found
    assert (debian / "asked").read_text(encoding="ascii").split().count("download") == 1
    shown = subprocess.run([found["chromium"], "a", "b c"], check=True, capture_output=True, text=True).stdout
    libraries = debian.parent / "cache" / "chromium" / "usr" / "lib" / "x-linux-gnu"
    assert shown.startswith(str(libraries))
    assert shown.endswith("|a b c\n")


def test_a_browser_that_does_not_run_is_not_kept(debian: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line says why, and which tests are skipped."""
    package(debian, "exit 127")
    assert browser.ensure_chromium() == {}
    assert "does not run on this machine" in capsys.readouterr().out
    assert not (debian.parent / "cache" / "chromium").exists()


def test_without_apt_a_line_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bootstrap goes on, and the tests are skipped."""
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_named: None)
    assert browser.ensure_chromium() == {}
    shown = capsys.readouterr().out
    assert "apt install chromium-headless-shell" in shown
    assert "skipped" in shown


def test_the_machines_own_browser_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded."""
    own = tmp_path / "chromium"
    own.write_text("#!/bin/sh\n", encoding="ascii")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.ensure_chromium() == {"chromium": own}


def test_only_tests_need_a_browser(tmp_path: Path) -> None:
    """The demo does not download it. Without a bootstrap, there is none."""
    assert "chromium" not in bootstrap.STEPS
    assert "chromium" in bootstrap.OPTIONAL_STEPS
    assert Toolchain.chromium(tmp_path / "none.json") is None
