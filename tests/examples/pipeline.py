"""Reads the example pipelines, and runs their shell lines in place of the hosting platform.

Actions (checkout, OIDC), containers and the command `gh` are replaced.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.support.stack import Stack

GITHUB = ROOT / "examples" / "github-actions"
GITLAB = ROOT / "examples" / "gitlab-ci" / ".gitlab-ci.yml"
SCRIPTS = ROOT / "examples" / "ci"
LINKED = ("examples", "requirements.txt")
"""Parts of a checkout that `make_stack` does not link."""

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Result of a job.

    Args:
        failed: Whether a step failed.
        output: Output of all steps.
        outputs: Outputs of the steps, by ``steps.<id>.outputs.<name>``.
    """

    failed: bool
    output: str
    outputs: Mapping[str, str] = field(default_factory=dict)


def github(name: str) -> dict[str, Any]:
    """Return a workflow. YAML 1.1 reads its key ``on`` as true, which is corrected."""
    found: dict[Any, Any] = yaml.safe_load((GITHUB / name).read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def gitlab() -> dict[str, Any]:
    """Return the pipeline of GitLab."""
    found: dict[str, Any] = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    return found


def gitlab_jobs() -> dict[str, dict[str, Any]]:
    """Return the jobs of GitLab, each merged with the job that it extends."""
    pipeline = gitlab()
    jobs = {}
    for name, job in pipeline.items():
        if isinstance(job, dict) and "script" in job:
            base = pipeline[job["extends"]] if "extends" in job else {}
            merged = {**pipeline["default"], **base, **job}
            merged["variables"] = {**pipeline["variables"], **base.get("variables", {}), **job.get("variables", {})}
            jobs[name] = merged
    return jobs


def shell_lines() -> Iterator[tuple[str, str]]:
    """Yield the shell code in the examples, each with its place."""
    for file in sorted(GITHUB.glob("*.yml")):
        for name, job in github(file.name)["jobs"].items():
            for number, step in enumerate(job["steps"]):
                if "run" in step:
                    yield f"{file.name}: {name}, step {number}", step["run"]
    for name, job in gitlab_jobs().items():
        for part in ("before_script", "script", "after_script"):
            for number, line in enumerate(job.get(part, ())):
                yield f"{GITLAB.name}: {name}, {part} {number}", line
    for file in sorted(SCRIPTS.glob("*.sh")):
        yield file.name, file.read_text(encoding="utf-8")


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs jobs in the folder of a stack, which replaces the checkout.

    Args:
        stack: The stack.
        tools: Folder of the replaced commands.
        values: Values of the platform's expressions and variables.
        environment: Environment variables of the platform.
    """

    stack: Stack
    tools: Path
    values: Mapping[str, str]
    environment: dict[str, str]

    def github(self, workflow: str, job: str, **variables: str) -> Finished:
        """Run the steps of a GitHub job in order. After a failure, only steps with ``cancelled()`` run."""
        described = github(workflow)["jobs"][job]
        outputs_file = self.tools / f"outputs-{job}"
        outputs: dict[str, str] = {}
        output, failed = "", False
        for step in described["steps"]:
            if "uses" in step or (failed and "cancelled()" not in step.get("if", "")):
                continue
            outputs_file.write_text("", encoding="utf-8")
            environment = {**described.get("env", {}), **step.get("env", {})}
            result = self._bash(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                {
                    **{name: self._expanded_text(str(value)) for name, value in environment.items()},
                    "GITHUB_OUTPUT": str(outputs_file),
                    "GITHUB_REPOSITORY": "example/ios-mdm",
                    "GITHUB_RUN_ID": "7",
                    "GITHUB_SERVER_URL": "https://git.example.com",
                    **variables,
                },
            )
            output += result.stdout
            failed = failed or result.returncode != 0
            for line in outputs_file.read_text(encoding="utf-8").splitlines():
                key, _, value = line.partition("=")
                outputs[f"steps.{step['id']}.outputs.{key}"] = value
        return Finished(failed=failed, output=output, outputs=outputs)

    def gitlab(self, job: str, **variables: str) -> Finished:
        """Run a GitLab job: before_script and script in one shell that stops at an error, then after_script."""
        described = gitlab_jobs()[job]
        known = {
            "CI_JOB_ID": "7",
            "CI_PIPELINE_URL": "https://git.example.com/example/ios-mdm/-/pipelines/7",
            "CI_PROJECT_DIR": str(self.stack.directory),
            **variables,
        }
        names = {**self.values, **known}
        # GitLab expands references to other variables. An unknown variable is empty.
        own = {
            name: re.sub(r"\$(\w+)", lambda found: names.get(found[1], ""), str(value))
            for name, value in described["variables"].items()
        }
        lines = [*described.get("before_script", ()), *described["script"]]
        result = self._bash(["bash", "-eo", "pipefail", "-c", "\n".join(lines)], {**own, **known})
        after = self._bash(["bash", "-eo", "pipefail", "-c", "\n".join(described.get("after_script", ()))], own)
        return Finished(failed=result.returncode != 0, output=result.stdout + after.stdout)

    def _expanded_text(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self.values[found[1]], text)

    def _bash(self, command: Sequence[str], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        environment = {**self.stack.environment, **self.environment, **variables}
        environment["PATH"] = f"{self.tools}:{environment['PATH']}"
        # The backend of the stack, because the tests have no bucket.
        environment["PULUMI_BACKEND_URL"] = self.stack.environment["PULUMI_BACKEND_URL"]
        return subprocess.run(
            command,
            cwd=self.stack.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
