"""Sources of the commands of OpenSSL, GnuTLS and NSS, and the behavior without them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import bootstrap, verifiers
from tools.toolchain import Toolchain

APT_GET = """\
#!/bin/sh
echo "$@" >>{folder}/asked
case "$1" in
update) touch {folder}/lists ;;
--simulate)
    test -e {folder}/lists || exit 100
    echo "Inst libgnutls30 [3.7.9] (3.8.0 Debian:13 [amd64])"
    echo "Inst gnutls-bin (3.8.0 Debian:13 [amd64])"
    echo "Conf gnutls-bin (3.8.0 Debian:13 [amd64])" ;;
download) cp {folder}/made.deb gnutls-bin_3_all.deb ;;
esac
"""
"""A package manager without package lists, on a machine whose GnuTLS is older than the package."""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a machine without the commands, with a stub as package manager; return the stub's folder."""
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
    monkeypatch.setattr("shutil.which", lambda name, **_named: None if name in verifiers.COMMANDS else real(name))
    return folder


def _package(folder: Path, script: str) -> None:
    """Build a package with a library, in which each command is this script."""
    tree = folder / "tree"
    files = {f"usr/bin/{command}": f"#!/bin/sh\n{script}\n" for command in verifiers.COMMANDS}
    files["usr/lib/x/libfound.so.1"] = ""
    files["DEBIAN/control"] = (
        "Package: gnutls-bin\nVersion: 3\nArchitecture: all\nMaintainer: t <t@example.com>\nDescription: t\n"
    )
    for name, content in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file.write_text(content, encoding="ascii")
        file.chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", tree, folder / "made.deb"], check=True, capture_output=True)


def test_the_machines_own_commands_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all are on PATH, nothing is downloaded."""
    for command in verifiers.COMMANDS:
        (tmp_path / command).write_text("#!/bin/sh\n", encoding="ascii")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert verifiers.ensure_verifiers() == {command: tmp_path / command for command in verifiers.COMMANDS}


def test_packages_are_unpacked_with_what_the_machine_lacks(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run with the libraries of the packages; a second call downloads nothing."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    _package(debian, 'echo "$LD_LIBRARY_PATH"; echo "$@"')
    found = verifiers.ensure_verifiers()
    assert found.keys() == set(verifiers.COMMANDS)
    ran = subprocess.run([found["certtool"], "one", "two"], check=True, capture_output=True, text=True)
    libraries, arguments = ran.stdout.splitlines()
    assert libraries.split(os.pathsep)[0] == str(debian.parent / "cache" / "verifiers" / "usr" / "lib" / "x")
    assert arguments == "one two"
    asked = (debian / "asked").read_text(encoding="ascii").splitlines()
    assert asked[-1] == "download libgnutls30 gnutls-bin"
    assert verifiers.ensure_verifiers() == found
    assert (debian / "asked").read_text(encoding="ascii").splitlines() == asked


def test_only_the_commands_that_the_machine_lacks_are_unpacked(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is installed is used: apt does not download its package."""
    (debian / "lists").touch()
    _package(debian, "exit 0")
    (debian / "tree" / "usr" / "bin" / "openssl").unlink()
    subprocess.run(["dpkg-deb", "--build", debian / "tree", debian / "made.deb"], check=True, capture_output=True)
    stub = shutil.which
    monkeypatch.setattr("shutil.which", lambda name, **_named: "/own/openssl" if name == "openssl" else stub(name))
    found = verifiers.ensure_verifiers()
    assert found.pop("openssl") == Path("/own/openssl")
    assert {path.parent for path in found.values()} == {debian.parent / "cache" / "verifiers" / "launchers"}


def test_without_lists_of_packages_only_root_can_continue(
    debian: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For another user, the output names the packages to install, and the bootstrap continues."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert verifiers.ensure_verifiers() == {}
    assert "install gnutls-bin, libnss3-tools and openssl; their tests are skipped" in capsys.readouterr().out
    assert "update" not in (debian / "asked").read_text(encoding="ascii")


def test_commands_that_do_not_run_are_not_kept(debian: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If a library is missing, the next bootstrap unpacks the packages again."""
    (debian / "lists").touch()
    _package(debian, "exit 127")
    assert verifiers.ensure_verifiers() == {}
    assert "does not run on this machine" in capsys.readouterr().out
    assert not (debian.parent / "cache" / "verifiers").exists()


def test_a_machine_without_debians_tools_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the packages, and no file is written."""
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_named: None)
    assert verifiers.ensure_verifiers() == {}
    assert "install gnutls-bin, libnss3-tools and openssl" in capsys.readouterr().out
    assert not (tmp_path / "cache").exists()


def test_only_tests_that_use_the_verifiers_get_them(tmp_path: Path) -> None:
    """The demo does not need the commands. Without them in the manifest, the result is None."""
    assert "verifiers" in bootstrap.OPTIONAL_STEPS
    assert Toolchain.verifier("certtool", tmp_path / "none.json") is None
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"certtool": "/nowhere"}), encoding="utf-8")
    assert Toolchain.verifier("certtool", manifest) is None
