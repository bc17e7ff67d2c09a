"""The text of the example pipelines: jobs, triggers, permissions, and the syntax of shell code."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from tests.examples.pipeline import GITHUB, GITLAB, SCRIPTS, github, gitlab, gitlab_jobs, shell_lines
from tools.toolchain import ROOT

WORKFLOWS = ("preview.yml", "up.yml", "watch.yml")
KEYS_OF_A_JOB = {
    *("concurrency", "defaults", "env", "environment", "if", "needs", "outputs", "permissions", "runs-on", "steps"),
    "timeout-minutes",
}
KEYS_OF_A_STEP = {"env", "id", "if", "run", "uses", "with"}
GRANTED: dict[tuple[str, str], dict[str, str]] = {
    ("preview.yml", "preview"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("up.yml", "up"): {"contents": "read", "id-token": "write"},
    ("up.yml", "alarm"): {"contents": "read"},
    ("watch.yml", "watch"): {"contents": "read", "id-token": "write"},
    ("watch.yml", "alarm"): {"contents": "read"},
}
"""Permissions of each job on GitHub."""


def _jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [(file, name, job) for file in WORKFLOWS for name, job in github(file)["jobs"].items()]


def test_every_example_is_checked() -> None:
    """These tests read each workflow."""
    assert sorted(file.name for file in GITHUB.iterdir()) == sorted(WORKFLOWS)


def test_each_job_may_do_what_it_needs_and_no_more() -> None:
    """Permissions are granted to jobs, not to workflows. Each job has a timeout."""
    assert all(github(file)["permissions"] == {} for file in WORKFLOWS)
    assert {(file, name): job["permissions"] for file, name, job in _jobs()} == GRANTED
    assert all(job["timeout-minutes"] <= 60 for _, _, job in _jobs())


def test_workflows_use_keys_that_github_knows() -> None:
    """An unknown key is an error in a run."""
    for file, name, job in _jobs():
        assert job.keys() <= KEYS_OF_A_JOB, f"{file}: {name}"
        assert job["defaults"] == {"run": {"shell": "bash"}}, "with bash, a failure in a pipe fails the step"
        for step in job["steps"]:
            assert step.keys() <= KEYS_OF_A_STEP, f"{file}: {name}"
            assert ("run" in step) != ("uses" in step), f"{file}: {name}"


def test_credentials_come_by_oidc_alone() -> None:
    """Each job that calls AWS assumes a role. No file has an AWS key."""  # R29
    for file, name, job in _jobs():
        assumed = [step["with"] for step in job["steps"] if "configure-aws-credentials" in step.get("uses", "")]
        assert len(assumed) == (0 if name == "alarm" else 1), f"{file}: {name}"
        assert all(one.keys() == {"aws-region", "role-to-assume"} for one in assumed)
    for name, job in gitlab_jobs().items():
        assert ("id_tokens" in job) == ("AWS_ROLE_ARN" in job["variables"]) == (name != "alarm")
    for text in [file.read_text(encoding="utf-8") for file in (*GITHUB.iterdir(), *SCRIPTS.iterdir(), GITLAB)]:
        assert not re.search(r"(?i)secret_access_key|access_key_id|passphrase:", text)


def test_actions_are_pinned_to_the_commit_of_a_release() -> None:
    """Tags move. The comment names the release, and Dependabot updates both."""
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+(;.*)?")
    files = [*GITHUB.glob("*.yml"), *(ROOT / ".github" / "workflows").glob("*.yml")]
    used = [line for file in files for line in re.findall(r"uses: (.+)", file.read_text(encoding="utf-8"))]
    assert used
    assert [line for line in used if not pinned.fullmatch(line)] == []
    commits = {tuple(line.partition(";")[0].split("@")) for line in used}
    assert len(commits) == len({action for action, _ in commits}), "one release of each action"


def test_a_change_is_previewed_and_no_fork_gets_a_role() -> None:
    """Previews run for pull and merge requests, but code of a fork never gets a role."""  # R30
    assert github("preview.yml")["on"] == {"pull_request": {"branches": ["main"]}}
    assert github("preview.yml")["jobs"]["preview"]["if"].endswith("head.repo.full_name == github.repository")
    assert gitlab_jobs()["preview"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]


def test_up_runs_after_a_merge_and_daily_and_never_twice_at_once() -> None:
    """Both platforms queue a second run, and stop no running job."""  # R3 R11
    up = github("up.yml")
    assert up["on"]["push"] == {"branches": ["main"]}
    assert [re.fullmatch(r"\d+ \d+ \* \* \*", one["cron"]) is not None for one in up["on"]["schedule"]] == [True]
    assert up["concurrency"] == {"group": "ios-mdm-up", "cancel-in-progress": False}
    assert all(github(file)["concurrency"]["group"] != "ios-mdm-up" for file in WORKFLOWS if file != "up.yml")
    job = gitlab_jobs()["up"]
    assert (job["resource_group"], job["interruptible"]) == ("ios-mdm-up", False)
    assert [rule["if"] for rule in job["rules"]] == [
        '$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH',
        '$CI_PIPELINE_SOURCE == "schedule" && $SCHEDULE == "up"',
    ]


def test_a_job_that_fails_raises_an_alarm() -> None:
    """If a job fails, is canceled or exceeds its timeout, a separate job sends the alarm."""
    for file, needed in (("up.yml", "up"), ("watch.yml", "watch")):
        alarm = github(file)["jobs"]["alarm"]
        expression = "failure() || cancelled()"  # prose: allow spelling: a function of GitHub
        assert (alarm["needs"], alarm["if"]) == (needed, expression)
    assert gitlab()["stages"] == ["preview", "up", "alarm"]
    assert [rule["when"] for rule in gitlab_jobs()["alarm"]["rules"]] == ["on_failure"]


def test_nothing_that_others_write_becomes_shell() -> None:
    """Values are passed as variables: an expression in shell code can run the name of a branch as code."""
    assert [where for where, line in shell_lines() if "${{" in line] == []


@pytest.mark.parametrize("where", [where for where, _ in shell_lines()])
def test_shell_parses(where: str) -> None:
    """`bash -n` accepts the code."""
    line = dict(shell_lines())[where]
    checked = subprocess.run(["bash", "-n"], input=line, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_scripts_can_be_executed() -> None:
    """The pipelines run the scripts directly."""
    assert all(file.stat().st_mode & 0o111 for file in SCRIPTS.glob("*.sh"))
