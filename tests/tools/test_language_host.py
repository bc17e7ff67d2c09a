"""The stand-in language host with the real engine and a file backend."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from pulumi.runtime.proto import language_pb2 as proto

from tools.language_host import host
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 120
"""Seconds after which a test stops waiting for a process, and fails."""

DYNAMIC = """
import os, sys
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

class NoteProvider(ResourceProvider):
    def create(self, props):
        return CreateResult("note", {**props, "python": sys.prefix, "cwd": os.getcwd()})

    def diff(self, _id, _olds, _news):
        return DiffResult(changes=_olds["text"] != _news["text"])

    def read(self, id_, props):
        return ReadResult(id_, props)

class Note(Resource, module="tiny", name="Note"):
    def __init__(self, name, text):
        super().__init__(NoteProvider(), name, {"text": text, "python": None, "cwd": None})
"""

PROGRAM = """
import pulumi
from notes import Note

print("a line on stdout")
config = pulumi.Config()
note = Note("one", config.require("text"))
pulumi.export("python", note.python)
pulumi.export("cwd", note.cwd)
pulumi.export("secret", config.require_secret("secret"))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A Pulumi project in a separate directory, with a selected stack."""

    directory: Path
    tools: Toolchain

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the engine, with all of its state in this project's directory."""
        return {
            **os.environ,
            **self.tools.environment(),
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_BACKEND_URL": (self.directory / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        }

    def write(self, program: str, *, virtualenv: str | None = None) -> None:
        """Write *program* as the program of the project."""
        options = {"virtualenv": virtualenv or str(self.tools.python.parent.parent)}
        project = {"name": "tiny", "runtime": {"name": "python", "options": options}}
        (self.directory / "Pulumi.yaml").write_text(json.dumps(project))
        (self.directory / "__main__.py").write_text(program)

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the engine until it exits."""
        return subprocess.run(
            [self.tools.pulumi, *arguments, "--non-interactive", "--color=never"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def engine_output(self, *arguments: str) -> str:
        """Run the engine, which must succeed, and return its output."""
        result = self.pulumi(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project with the stack ``dev``."""
    tools = Toolchain.load()
    if not (tools.pulumi.parent / "libexec" / "host.py").is_file():
        pytest.skip("the engine of this machine has the real language host")
    (tmp_path / "state").mkdir()
    (tmp_path / "notes.py").write_text(DYNAMIC)
    made = Project(directory=tmp_path, tools=tools)
    made.write("")
    made.engine_output("stack", "init", "dev")
    return made


def test_a_dynamic_resource_lives_through_all_commands(project: Project) -> None:
    """The commands `up`, `preview`, `refresh` and `destroy` behave as with the real language host."""
    project.write(PROGRAM)
    project.engine_output("config", "set", "text", "hello")
    project.engine_output("config", "set", "--secret", "secret", "hush")

    created = project.engine_output("up", "--yes", "--skip-preview")
    assert "+ 2 created" in created
    assert "a line on stdout" in created
    outputs = json.loads(project.engine_output("stack", "output", "--json", "--show-secrets"))
    assert outputs == {
        "python": str(project.tools.python.parent.parent),
        "cwd": str(project.directory),
        "secret": "hush",
    }

    assert "2 unchanged" in project.engine_output("up", "--yes")
    assert "2 unchanged" in project.engine_output("preview", "--expect-no-changes")
    assert "2 unchanged" in project.engine_output("refresh", "--yes", "--expect-no-changes")
    assert "- 2 deleted" in project.engine_output("destroy", "--yes")


def test_the_program_knows_whether_it_is_a_preview(project: Project) -> None:
    """`preview` runs the program as a dry run, `up` does not."""
    project.write("import pulumi; print('dry run:', pulumi.runtime.is_dry_run())")
    assert "dry run: True" in project.engine_output("preview")
    assert "dry run: False" in project.engine_output("up", "--yes", "--skip-preview")


def test_an_exception_is_shown_once_with_the_lines_of_the_program(project: Project) -> None:
    """The traceback has no frames of the SDK, and there is no second error about an exit code."""
    project.write("def broken():\n    raise ValueError('boom')\n\nbroken()\n")
    failed = project.pulumi("preview")
    assert failed.returncode != 0
    assert "ValueError: boom" in failed.stdout
    assert "in broken" in failed.stdout
    assert "exited with code" not in failed.stdout
    assert "site-packages" not in failed.stdout


def test_a_run_error_is_shown_without_a_traceback(project: Project) -> None:
    """A `RunError` is an error for the user."""
    project.write("import pulumi\nraise pulumi.RunError('the address is missing')\n")
    failed = project.pulumi("preview")
    assert failed.returncode != 0
    assert "error: the address is missing" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("import sys; sys.exit(3)", "the program exited with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "the program was stopped by SIGKILL"),
    ],
)
def test_an_end_without_words_is_reported(project: Project, program: str, shown: str) -> None:
    """A program that fails without output is reported as failed."""
    project.write(program)
    failed = project.pulumi("preview")
    assert failed.returncode != 0
    assert shown in failed.stdout


def test_a_missing_virtualenv_is_named(project: Project) -> None:
    """The message names the directory without the virtualenv, and the command to run."""
    project.write("", virtualenv="nowhere")
    failed = project.pulumi("preview")
    assert failed.returncode != 0
    assert f"the virtualenv 'nowhere' of Pulumi.yaml is not in {project.directory}" in failed.stdout
    assert "make bootstrap" in failed.stdout


def test_a_configuration_that_is_too_large_is_explained(project: Project) -> None:
    """Linux passes at most 128 KiB in one variable. The error gives the size and what to do."""  # R40
    project.write("")
    (stack,) = project.directory.glob("Pulumi.dev.yaml")
    text = stack.read_text(encoding="utf-8")
    stack.write_text(f"{text}config: {{tiny:text: {'x' * 131_100}}}\n", encoding="utf-8")
    failed = project.pulumi("preview")
    assert failed.returncode != 0
    assert "the stack's configuration takes 131117 bytes" in failed.stdout
    assert "`tiny:serversDirectory`" in failed.stdout
    assert "Exception calling application" not in failed.stdout


def test_about_names_the_interpreter(project: Project) -> None:
    """`pulumi about` shows the program's interpreter and packages."""
    about = json.loads(project.engine_output("about", "--json"))
    assert about["runtime"]["executable"] == str(project.tools.python)
    assert "pulumi" in {package["name"] for package in about["dependencies"]}


@pytest.mark.skipif(sys.platform != "linux", reason="watches processes through pidfds")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_engine(project: Project, ending: signal.Signals) -> None:
    """Ctrl-C, termination and a kill of the engine end the program and the language host."""
    project.write("import os, signal; print('running', os.getpid(), os.getppid()); signal.pause()")
    with subprocess.Popen(
        [project.tools.pulumi, "preview", "--non-interactive", "--color=never"],
        cwd=project.directory,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as engine:
        assert engine.stdout is not None
        line = next(line for line in engine.stdout if "running" in line and line.split()[-1].isdigit())
        watched = {os.pidfd_open(int(pid)) for pid in line.split()[-2:]}
        engine.send_signal(ending)
        while watched:
            ended, _, _ = select.select(watched, [], [], LIMIT)
            assert ended, "a process still runs"
            for process in ended:
                os.close(process)
            watched.difference_update(ended)
        assert engine.wait(LIMIT) != 0
        assert "Traceback" not in engine.stdout.read()


def _request(tmp_path: Path, *, virtualenv: str) -> proto.RunRequest:
    info = proto.ProgramInfo(root_directory=str(tmp_path), program_directory=str(tmp_path), entry_point=".")
    if virtualenv:
        info.options.update({"virtualenv": virtualenv})
    return proto.RunRequest(
        project="tiny",
        stack="dev",
        pwd=str(tmp_path),
        args=["extra"],
        config={"tiny:a": "1"},
        configSecretKeys=["tiny:b"],
        parallel=4,
        monitor_address="127.0.0.1:1",
        organization="organization",
        info=info,
    )


def test_the_command_line_is_the_executors(tmp_path: Path) -> None:
    """Pulumi's executor script gets all of its arguments, then the program and its arguments."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert host.command(_request(tmp_path, virtualenv="env"), engine="127.0.0.1:2") == [
        *(str(python), "-u", str(host.EXECUTOR)),
        *("--monitor", "127.0.0.1:1", "--engine", "127.0.0.1:2"),
        *("--project", "tiny", "--root_directory", str(tmp_path), "--stack", "dev", "--pwd", str(tmp_path)),
        *("--dry_run", "false", "--parallel", "4", "--organization", "organization"),
        *(".", "extra"),
    ]


def test_the_virtualenv_of_the_program_is_active_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the configuration, and the virtualenv is first on PATH."""
    monkeypatch.setenv("PATH", "/somewhere")
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    found = host.environment(_request(tmp_path, virtualenv="env"), python="/project/env/bin/python")
    assert found["VIRTUAL_ENV"] == "/project/env"
    assert found["PATH"] == "/project/env/bin:/somewhere"
    assert "PYTHONHOME" not in found
    assert json.loads(found["PULUMI_CONFIG"]) == {"tiny:a": "1"}
    assert json.loads(found["PULUMI_CONFIG_SECRET_KEYS"]) == ["tiny:b"]


def test_without_a_virtualenv_python_comes_from_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project without a virtualenv runs with `python3`, and PATH is unchanged."""
    monkeypatch.setenv("PATH", "/somewhere")
    request = _request(tmp_path, virtualenv="")
    python = host.interpreter(request.info)
    assert python == "python3"
    assert host.environment(request, python=python)["PATH"] == "/somewhere"


def test_after_a_shown_error_the_engine_adds_nothing() -> None:
    """The executor's exit code 32 becomes a response with `bail`."""
    assert host.verdict(32) == proto.RunResponse(bail=True)
    assert host.verdict(0) == proto.RunResponse()
