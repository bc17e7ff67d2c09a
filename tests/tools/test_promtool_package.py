"""The promtool that checks the alert rules, and machines without it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tools import bootstrap, promtool_package

if TYPE_CHECKING:
    from pathlib import Path

APT_GET = """\
#!/bin/sh
cp {folder}/made.deb prometheus_1_all.deb
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a machine without promtool, with a stub as package manager; return the stub's folder."""
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
    monkeypatch.setattr("shutil.which", lambda name, **_named: None if name == "promtool" else real(name))
    return folder


def package(folder: Path, script: str) -> None:
    """Build a package in which promtool is this script, and with the server that is not needed."""
    tree = folder / "tree"
    for name, content in (
        ("usr/bin/promtool", f"#!/bin/sh\n{script}\n"),
        ("usr/bin/prometheus", "#!/bin/sh\n"),
        (
            "DEBIAN/control",
            "Package: prometheus\nVersion: 1\nArchitecture: all\nMaintainer: t <t@example.com>\nDescription: t\n",
        ),
    ):
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file.write_text(content, encoding="ascii")
        file.chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", tree, folder / "made.deb"], check=True, capture_output=True)


def test_the_machines_own_promtool_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promtool on PATH is used."""
    own = tmp_path / "promtool"
    own.write_text("#!/bin/sh\n", encoding="ascii")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert promtool_package.find_promtool() == own


def test_promtool_alone_is_kept_of_the_package(debian: Path) -> None:
    """The second call unpacks nothing."""
    package(debian, "exit 0")
    found = promtool_package.find_promtool()
    assert found is not None
    assert [one.name for one in found.parent.iterdir()] == ["promtool"]
    (debian / "made.deb").unlink()
    assert promtool_package.find_promtool() == found


def test_a_promtool_that_does_not_run_is_not_kept(debian: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bootstrap continues without it, and says so."""
    package(debian, "exit 127")
    assert promtool_package.find_promtool() is None
    assert "its tests are skipped" in capsys.readouterr().out
    assert not (debian.parent / "cache" / "promtool").exists()


def test_without_debians_tools_the_bootstrap_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the package to install."""
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_named: None)
    assert promtool_package.find_promtool() is None
    assert "apt install prometheus" in capsys.readouterr().out


def test_only_tests_need_promtool() -> None:
    """The demo does not download it."""
    assert "promtool" not in bootstrap.STEPS
    assert "promtool" in bootstrap.OPTIONAL_STEPS
