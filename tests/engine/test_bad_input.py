"""Every bad input is one clear error before anything is written, and never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.engine.conftest import World

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"reserv": {}}, "reserv is not a known key"),
    "missing key": ({"address": None}, "address is missing"),
    "wrong type": ({"main": {"issue": {"validityDays": "long"}}}, "validityDays should be a valid integer"),
    "no days": ({"warnDays": 0}, "warnDays should be greater than or equal to 1"),
    "half days": ({"warnDays": 1.5}, "warnDays should be a valid integer"),
    "bad DNS name": ({"address": "mdm example com"}, "is not a DNS name"),
    "scheme": ({"address": "https://mdm.example.com"}, "without a scheme"),
    "reserve too long": (
        {"reserve": {"issue": {"when": "now", "apply": {"afterDays": 30}, "validityDays": 500}}},
        "must not exceed main's",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_bad_definition_is_refused_before_anything_is_written(
    world: World, change: dict[str, Any], message: str
) -> None:
    """The message names the key and the rule; neither AWS nor the MDM server hears of it."""  # R30
    world.stack.define([world.definition(**change)])
    result = world.stack.run("preview")
    assert result.code != 0
    assert message in result.output
    assert "Traceback" not in result.output
    assert world.aws.calls == []


def test_bad_lists_are_refused(world: World) -> None:
    """Two servers of one name, a doubled device and an empty list are each named, in one run where they meet."""
    doubled = world.distribution(devices=["A", "A"])
    world.stack.define([world.definition(distribution=doubled), world.definition(name="other", distribution={})])
    result = world.stack.run("preview")
    assert "devices has A more than once" in result.output
    assert "servers[1].distribution.profile is missing" in result.output
    world.stack.define([world.definition(), world.definition()])
    assert "is used twice" in world.stack.run("preview").output
    world.stack.define([world.definition(distribution=world.distribution(devices=[]))])
    assert "devices is empty" in world.stack.run("preview").output
    assert world.aws.calls == []


def test_a_secret_value_in_place_of_a_name_is_refused_and_not_repeated(world: World) -> None:
    """What looks like a key is refused, and the message does not show it."""  # R29
    value = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    channel = {"nanomdm": {"url": world.mdm.url, "apiKeySecret": value}}
    world.stack.define([world.definition(distribution=world.distribution(channel=channel))])
    result = world.stack.run("preview")
    assert "looks like a secret value" in result.output
    assert value not in result.output


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "region"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
        ({"IOS_MDM_CLOCK": "tomorrow"}, "IOS_MDM_CLOCK"),
    ],
    ids=["endpoint down", "no region", "no credentials", "bad clock"],
)
def test_an_aws_that_cannot_be_used_is_one_clear_error(world: World, environment: dict[str, str], message: str) -> None:
    """No region, no credentials, or an endpoint that is down: said at preview, without a traceback."""
    world.stack.define([world.definition()])
    result = world.stack.run("preview", **environment)
    assert result.code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_changed_address_is_refused(world: World) -> None:
    """A pair's certificates name its address, so another address needs another server."""
    world.stack.define([world.definition()])
    world.stack.up().ok()
    world.forget_calls()
    world.stack.define([world.definition(address="other.example.com")])
    result = world.stack.run("preview")
    assert result.code != 0
    assert "Set it back to mdm.example.com" in result.output
    assert world.aws.writes() == []


def test_servers_that_are_no_list_are_refused_without_a_traceback(world: World) -> None:
    """A slip in the file's shape is an error of the configuration."""
    (world.stack.directory / f"Pulumi.{world.stack.name}.yaml").write_text(
        "config:\n  ios-mdm:servers: berlin\n", encoding="utf-8"
    )
    result = world.stack.run("preview")
    assert result.code != 0
    assert "servers" in result.output
    assert "Traceback" not in result.output


def test_an_api_key_secret_that_is_missing_is_named(world: World) -> None:
    """The error names the key of the definition and what to create; the pair is kept for the next run."""
    channel = {"nanomdm": {"url": world.mdm.url, "apiKeySecret": "mdm/not-there", "push": False}}
    world.stack.define([world.definition(distribution=world.distribution(channel=channel))])
    result = world.stack.up()
    assert result.code != 0
    assert "there is no secret mdm/not-there: create it" in result.output
    assert "Traceback" not in result.output
    assert "RESERVE" in world.labels()
