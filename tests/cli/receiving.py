"""Definitions for `ios-mdm receive`, its command line and its process, and a wait for its effects."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import yaml

from tools.services import ministack
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["SECRET", "definition", "eventually", "receive_command", "receiving", "server"]

SECRET = "mdm/api-key"  # noqa: S105 - the name of a secret


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds; fail after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the condition does not hold"
        time.sleep(0.01)


def receive_command(*arguments: str) -> list[str]:
    """Return the command line of the collector."""
    return [sys.executable, "-m", "ios_mdm", "receive", *arguments]


def definition(file: Path, *servers: dict[str, Any]) -> Path:
    """Write a definition with these servers."""
    file.write_text(yaml.safe_dump(list(servers)))
    return file


def server(name: str, url: str | None, **distribution: Any) -> dict[str, Any]:
    """Return the settings of a server; *url* None for one without a distribution."""
    found: dict[str, Any] = {"name": name, "address": f"{name}.example.com"}
    if url is not None:
        nanomdm = {"url": url, "apiKeySecret": SECRET, "push": False}
        found["distribution"] = {
            "profile": {"identifier": f"com.example.mdm.{name}"},
            "channel": {"nanomdm": nanomdm},
            "devices": {"ledger": True},
            "ledger": "sqlite:///ledger.sqlite",
            **distribution,
        }
    return found


@contextlib.contextmanager
def receiving(*arguments: str, aws_url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the command until the block ends; its errors are in the file ``log``."""
    environment = os.environ | ministack.CREDENTIALS | {"AWS_ENDPOINT_URL": aws_url, "AWS_CONFIG_FILE": os.devnull}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            receive_command(*arguments), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as started,
    ):
        try:
            assert started.stdout is not None
            assert started.stdout.readline().startswith("listening on "), (folder / "log").read_text()
            yield started
            started.terminate()
            assert started.wait(30) == 0
        finally:
            started.kill()
