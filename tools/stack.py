"""Stacks of the real engine in separate folders, for rehearsals and tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tools.services import ministack
from tools.toolchain import ROOT, Toolchain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["EngineHungError", "Result", "Stack", "make_stack"]

PROGRAM = ("Pulumi.yaml", "__main__.py", "provider", "components", ".venv")
TIMEOUT = 180.0
"""Seconds after which a hanging engine is killed. No result depends on the duration."""


class EngineHungError(Exception):
    """The engine did not exit and was killed with its process group."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a run of the engine: exit code, and stdout and stderr as one text."""

    code: int
    output: str

    def ok(self) -> Result:
        """Return this result. Fail with the output if the run failed."""
        assert self.code == 0, self.output  # noqa: S101 - callers expect success
        return self


@dataclass(slots=True, kw_only=True)
class Stack:
    """One stack of the project.

    Args:
        directory: Folder with links to the program, and with the stack's file.
        environment: Environment variables of the engine.
        name: Name of the stack.
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
        """Run `pulumi` with these arguments and variables. An empty variable is unset.

        Raises:
            EngineHungError: The engine did not exit in time.
        """
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
            raise EngineHungError(f"pulumi {' '.join(arguments)} hung:\n{output}") from None
        except KeyboardInterrupt:  # the terminal does not interrupt the engine, which has another process group
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return Result(process.returncode, output)

    def up(self, *arguments: str, **environment: str) -> Result:
        """Run `pulumi up` without a preview."""
        return self.run("up", "--yes", "--skip-preview", *arguments, **environment)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the stack."""
        found: dict[str, Any] = json.loads(self.run("stack", "output", "--json", "--show-secrets").ok().output)
        return found

    def export(self) -> str:
        """Return the state as JSON, with decrypted secrets."""
        return self.run("stack", "export", "--show-secrets").ok().output


def make_stack(directory: Path, aws_url: str, name: str = "test") -> Stack:
    """Create an empty stack with a file backend in *directory*."""
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
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase that protects nothing",
            "PULUMI_HOME": str(directory / "home"),
        },
        name=name,
    )
    stack.run("stack", "init", name).ok()
    return stack
