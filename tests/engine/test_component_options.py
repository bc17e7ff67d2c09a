"""A program changes the parent or the name of a server's component: the pair is kept, or the run is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.days import DAY_0, DAY_10, at
from tests.support.engine import check_safety

if TYPE_CHECKING:
    from tests.support.engine import World

PROGRAM = """
import pulumi

from components import IosMdmServer, load_settings, server_arguments

settings = load_settings(pulumi.Config())
(server,) = settings.servers
options = {options}
made = IosMdmServer(server.name, aws=settings.aws, opts=options, **server_arguments(server))
pulumi.export("servers", {{server.name: made.summary}})
"""
CAMPUS = 'pulumi.ComponentResource("example:index:Campus", "campus")'


def _program(world: World, options: str) -> None:
    """Give the stack a program that passes these options to the component."""
    file = world.stack.directory / "__main__.py"
    file.unlink()
    file.write_text(PROGRAM.format(options=f"pulumi.ResourceOptions({options})"), encoding="utf-8")


def test_a_component_under_another_parent_keeps_its_pair_by_an_alias(world: World) -> None:
    """All URNs of the server change, but the pair, the profile and the switch do not."""  # R34 R36
    _program(world, "")
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    labels, tags, shown = world.labels(), world.tags(), world.stack.outputs()
    world.forget_calls()
    _program(world, f"parent={CAMPUS}, aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]")
    moved = world.stack.up(**at(DAY_10)).ok()
    assert "4 unchanged" in moved.output, moved.output
    assert world.aws.writes() == []
    assert (world.labels(), world.tags(), world.stack.outputs()) == (labels, tags, shown)
    assert "Campus$ios-mdm:index:IosMdmServer$" in world.stack.export()
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)


def test_a_component_under_another_parent_without_an_alias_is_refused(world: World) -> None:
    """The engine sees another server, which must neither take nor delete the pair, whether it is protected or not."""
    # R34 R37
    _program(world, "")
    world.stack.define([world.definition(protect=False, distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    labels, tags = world.labels(), world.tags()
    world.forget_calls()
    _program(world, f"parent={CAMPUS}")
    refused = world.stack.up(**at(DAY_10))
    assert refused.code != 0
    assert "does not have the resource that owns the pair" in " ".join(refused.output.split())
    assert world.aws.writes() == []
    assert (world.labels(), world.tags()) == (labels, tags)
    check_safety(world)


def test_a_component_of_another_name_is_refused_although_it_has_an_alias(world: World) -> None:
    """The name of the component is the name of the server, and part of the secret's name, which consumers use."""
    # R32 R34
    _program(world, "")
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    labels, tags = world.labels(), world.tags()
    world.forget_calls()
    _program(world, f'aliases=[pulumi.Alias(name="{world.server}")]')
    other = world.definition(name=f"{world.server}-2", distribution=world.distribution())
    world.stack.define([other])
    refused = world.stack.up(**at(DAY_10))
    assert refused.code != 0
    assert f"now ios-mdm/{world.server}-2): consumers read the pair" in " ".join(refused.output.split())
    assert world.aws.writes() == []
    assert (world.labels(), world.tags()) == (labels, tags)
    _program(world, "")
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_10)).ok()
    assert world.stack.run("preview", "--expect-no-changes", **at(DAY_10)).ok()
    check_safety(world)
