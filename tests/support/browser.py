"""A headless Chromium that is driven through pipes, by the Chrome DevTools Protocol. It reaches no other machine."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Browser", "browser"]

_SECONDS = 60
"""Longest time to wait for an answer. The tests do not depend on it."""
_FIRST_FREE = 10
_START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Chromium reads commands from file descriptor 3, and writes answers to 4."""
_OPTIONS = (
    "--remote-debugging-pipe",
    "--no-sandbox",  # root cannot use the sandbox. The pages are those of this program
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@dataclass(slots=True)
class Browser:
    """A running browser with one tab.

    Args:
        commands: file descriptor for commands.
        answers: file descriptor of answers and events.
        requests: URL of each request that the page made since the last :meth:`open`, by the id of the request.
        refused: URL of each request that the policy of the page refused; they are in *requests*, too.
    """

    commands: int
    answers: int
    requests: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    _session: str | None = None
    _number: int = 0
    _rest: bytes = b""

    def open(self, file: Path, *, width: int = 1200, scheme: str = "light", medium: str = "") -> None:
        """Show a file in a viewport of this width, with a color scheme of the user, for the screen or for print."""
        if self._session is None:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime"):
                self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)
        self.requests.clear()
        self.refused.clear()
        self.call("Page.navigate", url=file.as_uri())
        self._wait_for_event("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])

    def screenshot(self) -> bytes:
        """Return a PNG of the whole page."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None and not method.startswith(("Target.", "Browser.")):
            command["sessionId"] = self._session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def _wait_for_event(self, method: str) -> None:
        while self._message().get("method") != method:
            pass

    def _message(self) -> dict[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"Chromium did not answer within {_SECONDS} s"
            part = os.read(self.answers, 1 << 20)
            assert part, "Chromium ended"
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests[parameters["requestId"]] = parameters["request"]["url"]
        elif parameters.get("blockedReason") == "csp":
            self.refused.append(self.requests[parameters["requestId"]])
        return message


@contextmanager
def browser(chromium: Path, folder: Path) -> Iterator[Browser]:
    """Run Chromium, and stop it at the end.

    Args:
        chromium: the program.
        folder: folder for its files. ``net-log.json`` there has its network events after the end.
    """
    command_reader, command_writer = _pipe()
    answer_reader, answer_writer = _pipe()
    files = (f"--user-data-dir={folder / 'user'}", f"--log-net-log={folder / 'net-log.json'}")
    arguments = [sys.executable, "-c", _START, str(command_reader), str(answer_writer), str(chromium)]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*arguments, *_OPTIONS, *files], pass_fds=(command_reader, answer_writer), stdout=log, stderr=log
        )
    try:
        os.close(command_reader)
        os.close(answer_writer)
        running = Browser(command_writer, answer_reader)
        yield running
        running.call("Browser.close")
        process.wait(_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(command_writer)
        os.close(answer_reader)


def _pipe() -> tuple[int, int]:
    """Return reader and writer of a pipe. The numbers 3 and 4 stay free for Chromium."""
    found = []
    for end in os.pipe():
        found.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE))
        os.close(end)
    return found[0], found[1]
