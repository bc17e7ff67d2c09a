"""A stack of the real engine in a folder of its own, beside the real services."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tools.services import ministack
from tools.toolchain import ROOT, Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PROGRAM = ("Pulumi.yaml", "__main__.py", "provider", "components", ".venv")
TIMEOUT = 180.0
"""Seconds after which a hanging engine is killed; nothing is decided from how long it took."""
READS = ("Describe", "Get", "List", "GET ")
"""How the calls begin that change nothing: operations of AWS, and requests to REST APIs."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of the engine gave: its exit code, and stdout and stderr in one."""

    code: int
    output: str

    def ok(self) -> Result:
        """Return this, if the run succeeded."""
        assert self.code == 0, self.output
        return self


@dataclass(slots=True, kw_only=True)
class Recorded:
    """A service on loopback, reached through a proxy that notes every call.

    Args:
        target: URL of the service.
        url: of the proxy.
        calls: for AWS the operation, else method and path, in order.
        lives: how many writes still get through; then every call is refused, as if the run had died. None: all.
        answers_last: False loses the answer to the last write that got through.
    """

    target: str
    url: str = ""
    calls: list[str] = field(default_factory=list)
    lives: int | None = None
    answers_last: bool = True

    def passes(self, call: str) -> bool:
        """Tell whether a call gets through, and count it."""
        if self.lives is None or (call.startswith(READS) and self.lives > 0):
            return True
        self.lives -= 1
        return self.lives >= 0

    @property
    def died(self) -> bool:
        """Whether the answer to a write is to be lost now."""
        return self.lives == 0 and not self.answers_last

    def writes(self) -> list[str]:
        """Return the calls that change something."""
        return [call for call in self.calls if not call.startswith(READS)]


@contextmanager
def recorded(target: str) -> Iterator[Recorded]:
    """Run a recording proxy in front of *target*."""
    record = Recorded(target=target)
    parts = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # JSON services name the operation in a header, IAM in the form.
            form = parse_qs(body.decode("latin-1")) if body.startswith(b"Action=") else {}
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or form.get("Action", [""])[0]
            call = operation or f"{self.command} {self.path.partition('/enqueue/')[0]}"
            record.calls.append(call)
            if not record.passes(call):
                self.refuse()
                return
            upstream = http.client.HTTPConnection(str(parts.hostname), parts.port or 80)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            if record.died:
                self.refuse()
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def refuse(self) -> None:
            content = b'{"__type": "ValidationException", "message": "refused by the test"}'
            self.send_response(400)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = forward  # noqa: N815 - http.server's names

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    record.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield record
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(slots=True, kw_only=True)
class Stack:
    """One stack of the project.

    Args:
        directory: with links to the program, and the stack's file.
        environment: of the engine.
        name: of the stack.
    """

    directory: Path
    environment: dict[str, str]
    name: str

    def define(self, servers: Sequence[Mapping[str, Any]], aws: Mapping[str, Any] | None = None) -> None:
        """Write the stack's definition."""
        file = self.directory / f"Pulumi.{self.name}.yaml"
        before = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
        config: dict[str, Any] = {"ios-mdm:servers": list(servers)}
        if aws is not None:
            config["ios-mdm:aws"] = dict(aws)
        file.write_text(yaml.safe_dump({**before, "config": config}), encoding="utf-8")

    def run(self, *arguments: str, **environment: str) -> Result:
        """Run `pulumi` with these arguments and variables (empty: unset); a hang is killed with its process group."""
        process = subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.directory,
            env={name: value for name, value in {**self.environment, **environment}.items() if value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"pulumi {' '.join(arguments)} hung:\n{output}") from None
        return Result(process.returncode, output)

    def up(self, *arguments: str, **environment: str) -> Result:
        """Run `pulumi up` without its preview."""
        return self.run("up", "--yes", "--skip-preview", *arguments, **environment)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the stack."""
        found: dict[str, Any] = json.loads(self.run("stack", "output", "--json", "--show-secrets").ok().output)
        return found

    def export(self) -> str:
        """Return the state, secrets decrypted."""
        return self.run("stack", "export", "--show-secrets").ok().output


def make_stack(directory: Path, aws_url: str, name: str = "test") -> Stack:
    """Make an empty stack in *directory*, with a file backend of its own."""
    toolchain = Toolchain.load()
    project, backend = directory / "project", directory / "backend"
    project.mkdir()
    backend.mkdir()
    for part in PROGRAM:
        (project / part).symlink_to(ROOT / part)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_", "IOS_MDM"))}
    stack = Stack(
        directory=project,
        environment={
            **inherited,
            **toolchain.environment(),
            **ministack.CREDENTIALS,
            "AWS_REGION": ministack.REGION,
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "PULUMI_BACKEND_URL": backend.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "a test's passphrase",
            "PULUMI_HOME": str(directory / "home"),
        },
        name=name,
    )
    stack.run("stack", "init", name).ok()
    return stack
