"""``consume`` as a process, with the emulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.core.pair.layout import version_id
from tests.support.aws import AWS
from tests.support.command_line import Pair, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_once_fetches_main_and_runs_the_command_after_a_change(pair: Pair, tmp_path: Path) -> None:
    """Only the first run and a run after a promotion write files and run the command."""  # R11
    made = pair.make()
    folder = tmp_path / "tls"
    command = ("consume", "--secret", pair.secret, "--dir", str(folder), "--once", "--exec", "sh -c 'echo reloading'")
    first = run(*command, cwd=tmp_path, environment=pair.environment())
    assert first.code == 0, first.err
    assert f"now serving CN=mdm.example.com, {made.certificates[1].details.sha256}" in first.out
    assert first.err.count("reloading") == 1
    again = run(*command, cwd=tmp_path, environment=pair.environment())
    assert "unchanged, serving" in again.out
    assert "reloading" not in again.out + again.err
    versions = [version_id(pair.secret, ordinal) for ordinal in (1, 2)]
    SecretsManager(aws=AWS).move_label(pair.secret, "AWSCURRENT", to=versions[1], current=versions[0])
    promoted = run(*command, "--json", cwd=tmp_path, environment=pair.environment())
    told = json.loads(promoted.out)  # stdout has no output of the command
    assert (told["sha256"], told["changed"], told["reloaded"]) == (made.certificates[2].details.sha256, True, True)
    files = [(folder / name).read_text(encoding="ascii") for name in ("tls.crt", "ca.crt")]
    assert "".join(files) == made.certificates[2].pem, "the server presents the leaf; the root is apart"  # R31
    value = json.loads(SecretsManager(aws=AWS).read(pair.secret, versions[1]) or "{}")
    assert value["tls.key"] not in promoted.out + promoted.err


def test_once_exits_with_2_if_it_fails(pair: Pair, tmp_path: Path) -> None:
    """Missing secret, no answer from AWS, invalid command line: each is one error, and no file is written."""
    folder = tmp_path / "tls"
    command = ("consume", "--secret", pair.secret, "--dir", str(folder), "--once")
    missing = run(*command, cwd=tmp_path, environment=pair.environment())
    assert (missing.code, "has no main certificate" in missing.err) == (2, True)
    away = run(*command, cwd=tmp_path, environment=pair.environment() | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert (away.code, "no answer from" in away.err) == (2, True)
    for line, problem in (("sh -c 'x", "is not a command line"), (" ", "is empty")):
        broken = run(*command, "--exec", line, cwd=tmp_path, environment=pair.environment())
        assert (broken.code, problem in broken.err) == (2, True)
    assert not folder.exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_consumer_runs_until_a_signal(pair: Pair, tmp_path: Path, ending: signal.Signals) -> None:
    """It prints the certificate at the start and after a change, checks on SIGUSR1, and exits with 0."""  # R11
    made = pair.make()
    versions = [version_id(pair.secret, ordinal) for ordinal in (1, 2)]
    with running(pair, tmp_path) as (process, lines):
        assert f"now serving CN=mdm.example.com, {made.certificates[1].details.sha256}" in next(lines)
        SecretsManager(aws=AWS).move_label(pair.secret, "AWSCURRENT", to=versions[1], current=versions[0])
        process.send_signal(signal.SIGUSR1)
        assert f"now serving CN=mdm.example.com, {made.certificates[2].details.sha256}" in next(lines)
        process.send_signal(ending)
        assert process.wait(timeout=60) == 0


def test_the_consumer_tries_again_after_a_failure(pair: Pair, tmp_path: Path) -> None:
    """Without a pair, each check prints an error. After the creation of the pair, the files are written."""  # R32
    with running(pair, tmp_path, stderr=subprocess.STDOUT) as (process, lines):
        for _ in range(2):
            assert "has no main certificate" in next(lines)
            process.send_signal(signal.SIGUSR1)
        pair.make()
        process.send_signal(signal.SIGUSR1)
        assert any(line.startswith("now serving CN=mdm.example.com") for line in lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@contextmanager
def running(
    pair: Pair, folder: Path, *, stderr: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """Run ``consume`` inside the block; yield the process and its lines of output."""
    arguments = ("--secret", pair.secret, "--dir", str(folder / "tls"), "--interval", "3600")
    process = subprocess.Popen(
        [sys.executable, "-m", "ios_mdm", "consume", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **pair.environment()},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, iter(process.stdout)
    finally:
        process.kill()
        process.communicate()
