"""Changed settings of secrets with the real engine: row 21 of the report on operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.engine import check_safety

if TYPE_CHECKING:
    from tests.support.engine import World


def _tags(world: World) -> dict[str, str]:
    """Return the tags of the pair's secret that ios-mdm does not create itself."""
    found = world.client.describe_secret(SecretId=world.secret)["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found if not tag["Key"].startswith("ios-mdm:")}


def _is_quiet(world: World) -> bool:
    """Return whether another run finds no pending changes."""
    world.forget_calls()
    world.stack.run("preview", "--expect-no-changes").ok()
    world.stack.up().ok()
    return world.aws.writes() == []


def test_a_tag_that_the_definition_no_longer_has_is_removed(world: World) -> None:
    """The tags of others stay, even if the definition declares no tags."""  # R40
    world.stack.define(
        [world.definition(distribution=world.distribution())], aws={"tags": {"team": "mobile", "cost center": "4711"}}
    )
    world.stack.up().ok()
    world.client.tag_resource(SecretId=world.secret, Tags=[{"Key": "inventory", "Value": "a-17"}])
    assert _is_quiet(world)
    world.stack.define([world.definition(distribution=world.distribution())], aws={"tags": {"team": "mobile"}})
    world.stack.up().ok()
    assert _tags(world) == {"team": "mobile", "inventory": "a-17"}
    assert _is_quiet(world)
    world.stack.define([world.definition(distribution=world.distribution())], aws={"tags": {}})
    world.stack.up().ok()
    assert _tags(world) == {"inventory": "a-17"}
    assert _is_quiet(world)
    check_safety(world)


def test_a_changed_kms_key_is_set(world: World) -> None:
    """Preview and later runs name the certificate that keeps the former key. The default key can be restored."""  # R40
    key = "arn:aws:kms:eu-west-1:000000000000:key/11112222-3333-4444-5555-666677778888"
    world.stack.define([world.definition(distribution=world.distribution())], aws={})
    world.stack.up().ok()
    values = {label: world.value(version) for label, version in world.labels().items()}
    for wanted in (key, "alias/pairs"):
        world.stack.define([world.definition(distribution=world.distribution())], aws={"kmsKey": wanted})
        said = "certificate 2 stays encrypted with the former KMS key alias/aws/secretsmanager"
        assert said in world.stack.run("preview").ok().output
        world.stack.up().ok()
        assert world.client.describe_secret(SecretId=world.secret)["KmsKeyId"] == wanted
        assert said in world.stack.run("preview", "--expect-no-changes").ok().output
        assert _is_quiet(world)
    world.stack.define([world.definition(distribution=world.distribution())], aws={})
    world.stack.up().ok()
    assert "KmsKeyId" not in world.client.describe_secret(SecretId=world.secret)
    assert "former KMS key" not in world.stack.run("preview", "--expect-no-changes").ok().output
    assert _is_quiet(world)
    assert {label: world.value(version) for label, version in world.labels().items()} == values
    check_safety(world)
