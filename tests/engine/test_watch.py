"""Watched certificates in the configuration of a stack, and the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.support.answering import answering_server

if TYPE_CHECKING:
    from tests.support.engine import World


def define(world: World, *watch: dict[str, Any]) -> None:
    """Write the configuration with one server and these entries."""
    file = world.stack.directory / f"Pulumi.{world.stack.name}.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["config"] = {"ios-mdm:servers": [world.definition()], "ios-mdm:watch": list(watch)}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_a_run_checks_the_entries_and_reads_no_source(world: World) -> None:
    """A wrong entry is an error before AWS is contacted. Only `status` reads a correct one."""  # R30
    with answering_server() as server:
        source = {"scep": {"url": f"{server.url}/scep"}}
        define(world, {"name": "scep-ca", **source, "topic": "com.apple.mgmt.x"})
        failed = world.stack.run("preview")
        assert failed.code != 0
        assert "ios-mdm:watch[0] takes no topic together with scep" in failed.output
        assert world.aws.calls == []
        define(world, {"name": "scep-ca", **source})
        assert " to create" in world.stack.run("preview").ok().output
        assert server.requests == []
