"""Attacks on ``consume`` by other users of the machine and by the command that it runs."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import Pair, Result, run

if TYPE_CHECKING:
    from pathlib import Path


def _consume(pair: Pair, folder: Path, command: str = "true") -> Result:
    arguments = ("--secret", pair.secret, "--dir", str(folder), "--once", "--exec", command)
    return run("consume", *arguments, cwd=pair.folder, environment=pair.environment())


def _folder(parent: Path, name: str, mode: int = 0o700) -> Path:
    folder = parent / name
    folder.mkdir()
    folder.chmod(mode)  # the umask does not apply
    return folder


@pytest.fixture
def made(pair: Pair) -> Pair:
    """A server with a pair."""
    pair.make()
    return pair


def test_no_other_user_decides_which_files_consume_writes(made: Pair, tmp_path: Path) -> None:
    """Row 12: at commit cda6e65, each of these attacks succeeds.

    - Each user can replace the key in a folder that all users can write to: `consume` writes it there.
    - A user that can only read the folder locks it, and renewals stop.
    - A link that exists before `.reloaded` is written decides which file `consume`, as root, overwrites.
    - The command gets the credentials of AWS.
    """
    # R11
    shared = _folder(tmp_path, "shared", 0o777)
    refused = _consume(made, shared)
    assert (refused.code, "writable for its group or for all users (mode 0777)" in refused.err) == (2, True)
    assert list(shared.iterdir()) == []

    private = _folder(tmp_path, "private", 0o755)
    descriptor = os.open(private, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert _consume(made, private).code == 0
    finally:
        os.close(descriptor)
    assert (private / "tls.key").exists()

    victim = tmp_path / "victim"
    victim.write_text("content of another program", encoding="utf-8")
    link = f"sh -c 'env; ln -sf {victim} {private}/.new-.reloaded'"
    attacked = _consume(made, private, link)
    assert victim.read_text(encoding="utf-8") == "content of another program"
    assert "PATH=" in attacked.err
    assert "AWS_" not in attacked.err
