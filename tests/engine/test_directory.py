"""A profile in a folder with the real engine: the switch is scheduled when the definition confirms the profile."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ios_mdm.core.profile import profile_digest
from tests.support.days import DAY_0, DAY_10, at

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engine import World
    from tests.support.engine_aws import Aws

UNCHANGED = re.compile(r"Resources:\n +4 unchanged\n")


def test_the_switch_is_scheduled_when_the_profile_is_confirmed(world: World, aws: Aws, tmp_path: Path) -> None:
    """The run that writes the profile says which digest to set."""  # R15 R30 R36

    def define(**confirmation: str) -> None:
        directory: dict[str, Any] = {"path": str(tmp_path / "out"), **confirmation}
        identifier = {"identifier": f"com.example.{world.server}.trust"}
        world.stack.define(
            [world.definition(distribution={"profile": identifier, "channel": {"directory": directory}})]
        )

    define()
    preview = world.stack.run("preview", **at(DAY_0)).ok().output
    assert "to its SHA-256, which `up` writes to manifest.json." in preview
    assert not (tmp_path / "out").exists()
    shown = world.stack.up(**at(DAY_0)).ok().output
    file = tmp_path / "out" / f"{world.profile()}.mobileconfig"
    digest = profile_digest(file.read_bytes())
    assert json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["profile"]["sha256"] == digest
    assert f"then set distribution.channel.directory.distributed to {digest}." in shown
    assert aws.schedule() is None
    assert "ios-mdm:sent" not in world.tags()
    define(distributed=digest)
    confirmed = world.stack.up(**at(DAY_10)).ok().output
    assert "not confirmed" not in confirmed
    found = aws.schedule()
    assert found is not None
    assert found["ScheduleExpression"] == "at(2040-01-31T00:00:00)"
    world.forget_calls()
    assert UNCHANGED.search(world.stack.run("up", "--yes", **at(DAY_10)).ok().output)
    assert world.aws.writes() == []
    assert world.mdm.writes() == []
