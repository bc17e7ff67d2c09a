"""The shell lines of the example pipelines on real services, from the first preview to each alarm."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.examples.pipeline import LINKED, Runner
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import World

HIDDEN = "/hooks/not-to-be-seen"
NO_RESERVE = {"none": True}
GH = """#!/bin/sh
printf '%s\\n' "$*" >>"$(dirname "$0")/gh-calls"
cp preview.md "$(dirname "$0")/comment.md"
"""


@contextmanager
def _webhook() -> Iterator[tuple[str, list[str]]]:
    """Receive alarms; yield the URL, which contains a secret, and the received texts."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == HIDDEN:
                heard.append(body["text"])
            self.send_response(200 if self.path == HIDDEN else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{HIDDEN}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def heard() -> Iterator[tuple[str, list[str]]]:
    """A webhook for alarms: its URL, and the received texts."""
    with _webhook() as found:
        yield found


@pytest.fixture
def runner(world: World, tmp_path: Path, heard: tuple[str, list[str]]) -> Runner:
    """A runner whose checkout is the folder of the stack."""
    for name in LINKED:
        (world.stack.directory / name).symlink_to(ROOT / name)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH, encoding="utf-8")
    (tools / "gh").chmod(0o755)
    return Runner(
        stack=world.stack,
        tools=tools,
        values={
            "vars.PULUMI_BACKEND_URL": world.stack.environment["PULUMI_BACKEND_URL"],
            "vars.PULUMI_STACK": world.stack.name,
            "github.event.pull_request.number": "12",
            "github.token": "a token of the platform's",
            "secrets.ALARM_URL": heard[0],
            "needs.up.outputs.reason": "",
            "needs.watch.outputs.reason": "",
        },
        environment={
            # All packages of requirements.txt are installed. A missing package must be an error, not a download.
            "PIP_NO_INDEX": "1",
            "PIP_DRY_RUN": "1",
            "PULUMI_STACK": world.stack.name,
            "ALARM_URL": heard[0],
        },
    )


def _runner_after(runner: Runner, reason: str) -> Runner:
    """Return a runner for the job after a job with this reason as its output."""
    return Runner(
        stack=runner.stack,
        tools=runner.tools,
        values={**runner.values, "needs.up.outputs.reason": reason, "needs.watch.outputs.reason": reason},
        environment=runner.environment,
    )


def test_a_pull_request_gets_a_comment_with_its_preview_and_nothing_is_written(world: World, runner: Runner) -> None:
    """The comment lists the resources to create. Neither AWS nor the state is changed."""  # R30
    world.stack.define([world.definition()])
    before = _files(world)
    done = runner.github("preview.yml", "preview")
    assert not done.failed, done.output
    assert (runner.tools / "gh-calls").read_text(encoding="utf-8") == (
        "pr comment 12 --edit-last --create-if-none --body-file preview.md\n"
    )
    comment = (runner.tools / "comment.md").read_text(encoding="utf-8")
    assert "3 to create" in comment
    assert 'phase  : "overlap"' in comment
    assert world.aws.writes() == []
    assert _files(world) == before, "the role for previews must not write to the state"


def _files(world: World) -> list[str]:
    backend = world.stack.directory.parent / "backend"
    return sorted(str(path.relative_to(backend)) for path in backend.rglob("*"))


def test_a_preview_that_fails_is_commented_too(world: World, runner: Runner) -> None:
    """The comment has the error, and the check fails."""
    world.stack.define([world.definition(reserv={})])
    assert runner.github("preview.yml", "preview").failed
    comment = (runner.tools / "comment.md").read_text(encoding="utf-8")
    assert "The preview failed" in comment
    assert "reserv is not a known key" in comment


def test_a_merge_brings_the_pair_and_all_is_well(world: World, runner: Runner, heard: tuple[str, list[str]]) -> None:
    """`up` creates the pair, the check passes, and the daily run changes nothing and sends no alarm."""  # R30
    world.stack.define([world.definition(distribution=world.distribution(ledger=None))])
    first = runner.github("up.yml", "up")
    assert not first.failed, first.output
    assert "profile queued for 5 of 5 devices" in first.output
    world.forget_calls()
    daily = runner.github("up.yml", "up")
    assert not daily.failed, daily.output
    assert world.aws.writes() == []
    assert "PRIVATE KEY" not in first.output + daily.output
    assert heard[1] == []


def test_an_up_that_fails_raises_an_alarm(world: World, runner: Runner, heard: tuple[str, list[str]]) -> None:
    """The alarm has a link to the log. The webhook's URL is not shown."""  # R29
    world.stack.define([world.definition(warnDays=0)])
    done = runner.github("up.yml", "up")
    assert done.failed
    assert done.outputs == {}
    alarm = runner.github("up.yml", "alarm")
    assert not alarm.failed, alarm.output
    assert heard[1] == [
        "ios-mdm test: a job failed, see its log (https://git.example.com/example/ios-mdm/actions/runs/7)"
    ]
    assert HIDDEN not in done.output + alarm.output


def test_a_due_change_raises_an_alarm_until_up_applies_it(
    world: World, runner: Runner, heard: tuple[str, list[str]]
) -> None:
    """A month later the reserve must be main: watch sends an alarm with the reason until `up` has run."""  # R11
    world.stack.define([world.definition()])
    assert not runner.github("up.yml", "up").failed
    later = {"IOS_MDM_CLOCK": f"{datetime.now(UTC) + timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}"}
    watched = runner.github("watch.yml", "watch", **later)
    assert watched.failed
    reason = watched.outputs["steps.check.outputs.reason"]
    assert reason.startswith("changes are pending, or a resource was changed outside of pulumi")
    assert not _runner_after(runner, reason).github("watch.yml", "alarm").failed
    assert heard[1] == [f"ios-mdm test: {reason} (https://git.example.com/example/ios-mdm/actions/runs/7)"]
    assert not runner.github("up.yml", "up", **later).failed
    assert not runner.github("watch.yml", "watch", **later).failed


def test_a_warning_and_a_critical_status_raise_alarms(world: World, runner: Runner) -> None:
    """A pair without a reserve is a warning, and critical near the expiry of main, without pending changes."""  # R5
    world.stack.define([world.definition(reserve=NO_RESERVE)])
    first = runner.github("up.yml", "up")
    assert first.failed
    assert first.outputs["steps.check.outputs.reason"] == "status: warning"
    late = {"IOS_MDM_CLOCK": f"{datetime.now(UTC) + timedelta(days=380):%Y-%m-%dT%H:%M:%SZ}"}
    runner.github("up.yml", "up", **late)  # `up` does not change the status
    watched = runner.github("watch.yml", "watch", **late)
    assert watched.failed
    assert watched.outputs["steps.check.outputs.reason"].startswith("status: CRITICAL")


def test_the_same_life_on_gitlab(world: World, runner: Runner, heard: tuple[str, list[str]]) -> None:
    """Preview, up, watch and alarm run. The token of the job is in a private file, which is deleted."""  # R29 R30
    world.stack.define([world.definition()])
    token = {"AWS_ID_TOKEN": "a token of the platform's"}
    preview = runner.gitlab("preview", **token)
    assert not preview.failed, preview.output
    assert "3 to create" in (world.stack.directory / "preview.md").read_text(encoding="utf-8")
    assert not (world.stack.directory / ".aws-id-token").exists()
    up = runner.gitlab("up", **token)
    assert not up.failed, up.output
    later = f"{datetime.now(UTC) + timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}"
    watch = runner.gitlab("watch", IOS_MDM_CLOCK=later, **token)
    assert watch.failed
    alarm = runner.gitlab("alarm")
    assert not alarm.failed, alarm.output
    assert len(heard[1]) == 1
    assert "changes are pending, or a resource was changed outside of pulumi" in heard[1][0]
    assert heard[1][0].endswith("(https://git.example.com/example/ios-mdm/-/pipelines/7)")
    assert token["AWS_ID_TOKEN"] not in preview.output + up.output + watch.output + alarm.output


def test_an_alarm_without_a_recipient_is_an_error(runner: Runner) -> None:
    """Without a URL, or if the webhook refuses, the alarm job fails with the reason."""
    runner.environment["ALARM_URL"] = ""
    alone = runner.gitlab("alarm")
    assert alone.failed
    assert "ALARM_URL" in alone.output
    runner.environment["ALARM_URL"] = runner.values["secrets.ALARM_URL"].replace(HIDDEN, "/hooks/gone")
    refused = runner.gitlab("alarm")
    assert refused.failed
    assert "404" in refused.output


def test_a_saved_plan_that_has_gone_stale_is_refused(world: World, runner: Runner) -> None:
    """A plan from before the apply time does not promote after it. A new `up` does."""  # R30 R32
    world.stack.define([world.definition()])
    assert not runner.github("up.yml", "up").failed
    world.stack.define([world.definition(warnDays=29)])
    world.stack.run("preview", "--save-plan", "plan.json").ok()
    later = f"{datetime.now(UTC) + timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}"
    before = world.labels()
    stale = world.stack.up("--plan", "plan.json", IOS_MDM_CLOCK=later)
    assert stale.code != 0
    assert "violates plan" in stale.output, stale.output
    assert world.labels() == before
    world.stack.up(IOS_MDM_CLOCK=later).ok()
    assert world.labels()["AWSCURRENT"] == before["RESERVE"]
