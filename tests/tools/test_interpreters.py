"""`make test-all`: the interpreters that it finds, and their copies of the checkout."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tools import interpreters

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def command(folder: Path, version: str, script: str) -> Path:
    """Write a command with the name of an interpreter."""
    folder.mkdir(exist_ok=True)
    made = folder / f"python{version}"
    made.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    made.chmod(0o755)
    return made


def test_the_first_interpreter_that_runs_is_found(tmp_path: Path) -> None:
    """A failing command, such as pyenv's for a version that is not selected, does not hide the next one."""
    command(tmp_path / "shims", VERSION, "exit 127")
    real = command(tmp_path / "bin", VERSION, f'exec "{sys.executable}" "$@"')
    command(tmp_path / "bin", "3.10", "echo 3.10")
    path = os.pathsep.join(str(tmp_path / folder) for folder in ("missing", "shims", "bin"))
    assert interpreters.interpreters(path) == {VERSION: real}


def test_a_command_of_another_version_is_not_taken(tmp_path: Path) -> None:
    """The version is read from the interpreter, not from its name."""
    command(tmp_path, "3.18", f'exec "{sys.executable}" "$@"')
    assert interpreters.interpreters(str(tmp_path)) == {}


def test_a_single_interpreter_is_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The output says that only one version is tested. The exit code is 1 if `make test` fails."""
    command(tmp_path / "bin", VERSION, f'exec "{sys.executable}" "$@"')
    make = tmp_path / "bin" / "make"
    monkeypatch.setattr(interpreters, "COPIES", tmp_path / "copies")
    monkeypatch.setattr(interpreters, "interpreters", lambda _path: {VERSION: tmp_path / "bin" / f"python{VERSION}"})
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for script, code, said in (("echo ran $*", 0, f"passed: {VERSION}; failed: none"), ("exit 2", 1, "passed: none")):
        make.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        make.chmod(0o755)
        assert interpreters.main() == code
        out = capfd.readouterr().out
        assert "only one: install others" in out
        assert said in out
    copy = tmp_path / "copies" / VERSION
    assert (copy / "Makefile").is_file()
    assert not (copy / ".venv").exists()


def test_no_interpreter_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The exit code is 1, because nothing was tested."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreters.main() == 1


def test_a_copy_is_replaced_but_for_its_virtualenv(tmp_path: Path) -> None:
    """Files that the checkout does not have are deleted from the copy."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_removed.py").touch()
    (tmp_path / "removed.py").touch()
    interpreters.copy_checkout(tmp_path)
    assert (tmp_path / ".venv").is_dir()
    assert (tmp_path / "tests" / "conftest.py").is_file()
    assert not (tmp_path / "tests" / "test_removed.py").exists()
    assert not (tmp_path / "removed.py").exists()
