"""``make demo`` in a new copy of the tree: up, up again, down, up, clean."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tools.services import process
from tools.toolchain import ROOT, Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("receiver", "ministack", "nanomdm", "scepserver")
MAY_HOLD_KEYS = ("aws/", "scep-ca.key", "mdmb.db")
"""The store of the emulator, and the keys of the simulated devices."""


FOREIGN = {
    "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:9",
    "AWS_PROFILE": "other",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "PULUMI_STACK": "other",
}
"""Variables of other work in a user's shell. None of them must reach the demo."""


PLAIN = ("pulumi preview --expect-no-changes", "pulumi up --yes --skip-preview --expect-no-changes", "ios-mdm status")
"""Commands for a shell with the settings of the demo."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the tracked files with a link to the virtualenv. Running services are stopped at the end."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    copy = tmp_path / "checkout"
    for name in filter(None, listed.split("\0")):
        if not (ROOT / name).exists():
            continue  # the deletion is not committed yet
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    _git(copy, "init", "--quiet")
    _git(copy, "add", "--all")
    (copy / ".venv").symlink_to(ROOT / ".venv")
    (copy / ".git" / "info" / "exclude").write_text("/.venv\n", encoding="utf-8")  # .gitignore matches only a folder
    yield copy
    for state in tmp_path.glob("*/.demo"):
        for name in NAMES:
            process.stop(state.resolve(), name)


def _git(checkout: Path, *arguments: str) -> str:
    """Run git, and return its output."""
    return subprocess.run(["git", *arguments], cwd=checkout, check=True, capture_output=True, text=True).stdout


def _changes(checkout: Path) -> str:
    """Return the changed tracked files, and the files that git neither tracks nor ignores."""
    return _git(checkout, "diff", "--name-only") + _git(checkout, "ls-files", "--others", "--exclude-standard")


def _demo(checkout: Path, command: str) -> str:
    """Run a command of the demo, and return its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_", "IOS_MDM"))}
    result = subprocess.run(
        [Toolchain.load().python, "-m", "tools.demo", command],
        cwd=checkout,
        env={**kept, **FOREIGN},
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def _fingerprints(output: str) -> list[str]:
    return re.findall(r"SHA-256 │ ([0-9a-f]{64})", output)


def test_the_demo_shows_devices_that_acknowledged_the_profile_and_stops_without_a_trace(checkout: Path) -> None:
    """All devices get both certificates. A second up changes nothing, down stops all, clean deletes all."""  # R15 R30
    first = _demo(checkout, "up")
    assert "+ 4 created" in first
    assert "5 of 5 devices acknowledged the profile" in first
    _is_shown_in_the_readme(first)
    state = checkout / ".demo"
    assert state.stat().st_mode & 0o777 == 0o700
    again = _demo(checkout, "up")
    assert "4 unchanged" in again
    assert "5 of 5 devices acknowledged the profile" in again
    assert len(_fingerprints(first)) == 3
    assert _fingerprints(again) == _fingerprints(first)
    _no_key_is_outside_of_its_store(state, first + again)
    running = [process.find(state.resolve(), name) for name in NAMES]
    assert None not in running
    assert "stopped: nanomdm, scepserver, ministack, receiver" in _demo(checkout, "down")
    for one in running:
        assert one is not None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", one.port)).close()
    assert "nothing was running" in _demo(checkout, "down")
    assert _fingerprints(_demo(checkout, "up")) == _fingerprints(first)
    _demo(checkout, "clean")
    assert not state.exists()
    assert _changes(checkout) == ""


def _is_shown_in_the_readme(output: str) -> None:
    """The output has each line of the demo in README.md, in the same order, except for the values of one run."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text demo\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = iter(_without_values(output))
    for line in _without_values(shown):
        assert line == "…" or line in lines, f"README.md shows {line!r}, and the demo does not"


def _without_values(output: str) -> list[str]:
    """Return the lines without times, hex digits and trailing spaces."""
    text = re.sub(r"\d{4}-\d\d-\d\d|\d\d:\d\d(:\d\d)?|[0-9a-f]{12,}|\d+ days", "<value>", output)
    return [line.rstrip() for line in text.splitlines()]


def _no_key_is_outside_of_its_store(state: Path, output: str) -> None:
    """Output and files contain no private key, except the store of the emulator and the devices' files."""  # R29
    files = {
        str(path.relative_to(state)): path.read_bytes().decode("latin-1")
        for path in state.rglob("*")
        if path.is_file() and not str(path.relative_to(state)).startswith(MAY_HOLD_KEYS)
    }
    assert any("BEGIN CERTIFICATE" in text for text in files.values()), "the search must be able to find something"
    assert [name for name, text in files.items() if "PRIVATE KEY" in text] == []
    assert "PRIVATE KEY" not in output


def test_the_demos_shell_settings_make_plain_commands_work(checkout: Path) -> None:
    """After `. .demo/env`, plain commands use the stack demo, also if a port was taken. No tracked file changes."""
    # R30
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # another process has the port, which has the same effect
            holder.bind(("127.0.0.1", 9000))
            holder.listen()
        assert "is Pulumi.demo.yaml with http://127.0.0.1:" in _demo(checkout, "up")
    plain = "".join(f"{command} >&2 && " for command in PLAIN)
    shown = subprocess.run(
        ["sh", "-c", f". .demo/env && {plain}pulumi stack output servers --json"],
        cwd=checkout,
        env={**os.environ, **FOREIGN},
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(shown.stdout)["berlin"]["main"]["certificate"] == "certificate 1"
    assert "http://127.0.0.1:9000" in (checkout / "Pulumi.demo.yaml").read_text(encoding="utf-8")
    assert _changes(checkout) == ""
    _demo(checkout, "clean")
    assert _changes(checkout) == ""


def test_a_copied_checkout_has_separate_services(checkout: Path) -> None:
    """In a copy of a checkout whose demo runs, down, up and clean do not change the services of the original."""
    first = _demo(checkout, "up")
    state = (checkout / ".demo").resolve()
    running = [process.find(state, name) for name in NAMES]
    assert None not in running
    copy = checkout.with_name("copy")
    shutil.copytree(checkout, copy, symlinks=True)
    assert "stopped: nothing was running" in _demo(copy, "down")
    second = _demo(copy, "up")
    assert "5 of 5 devices acknowledged the profile" in second
    assert not set(_fingerprints(first)) & set(_fingerprints(second))
    assert "stopped: nanomdm, scepserver, ministack, receiver" in _demo(copy, "clean")
    assert [process.find(state, name) for name in NAMES] == running
    assert "4 unchanged" in _demo(checkout, "up")
