"""Bad input produces one clear error before anything is written, and never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.engine import World

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
        "must not be valid for longer than main",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_bad_definition_is_refused_before_anything_is_written(
    world: World, change: dict[str, Any], message: str
) -> None:
    """The message names the key and the rule. Neither AWS nor the MDM server is contacted."""  # R30
    world.stack.define([world.definition(**change)])
    result = world.stack.run("preview")
    assert result.code != 0
    assert message in result.output
    assert "Traceback" not in result.output
    assert world.aws.calls == []


def test_bad_lists_are_refused(world: World) -> None:
    """Duplicate server names, a repeated device and an empty list are reported, in one run if they occur together."""
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


def test_a_list_of_devices_from_windows_is_read(world: World) -> None:
    """UTF-8 with a byte order mark and CRLF line ends is accepted. For UTF-16, a warning names the encoding."""
    world.stack.define([world.definition(distribution=world.distribution(devices={"file": "devices.txt"}))])
    file, lines = world.stack.directory / "devices.txt", "\r\n".join(["# devices", *world.services.fleet.ids(), ""])
    file.write_bytes(lines.encode("utf-8-sig"))
    world.stack.run("preview").ok()
    file.write_bytes(lines.encode("utf-16"))
    result = world.stack.run("preview").ok()
    assert "devices.txt cannot be read, because it is not UTF-8 text: save it" in " ".join(result.output.split())


def test_a_missing_list_of_devices_does_not_stop_the_switch_from_being_withdrawn(world: World) -> None:
    """An `up` with preview applies `promotion.hold`, and then fails with one error about the list."""  # R11 R36
    distribution = world.distribution(devices={"file": "devices.txt"})
    file = world.stack.directory / "devices.txt"
    file.write_text("\n".join(world.services.fleet.ids()), encoding="utf-8")
    world.stack.define([world.definition(distribution=distribution)])
    world.stack.up().ok()
    assert "ios-mdm:armed" in world.tags()
    file.unlink()
    world.mdm.calls.clear()
    world.stack.define([world.definition(distribution=distribution, promotion={"hold": True})])
    result = world.stack.run("up", "--yes")
    assert result.code != 0
    assert "devices.txt cannot be read: No such file or directory" in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert "ios-mdm:armed" not in world.tags()
    file.write_text("# none\n", encoding="utf-8")
    result = world.stack.run("up", "--yes").ok()
    assert "devices.txt names no device" in " ".join(result.output.split())
    assert world.mdm.calls == []


def test_a_secret_value_in_place_of_a_name_is_refused_and_not_repeated(world: World) -> None:
    """A name that looks like a key is refused. The message does not show the value."""  # R29
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
    """A missing region, missing credentials or an unreachable endpoint is reported in preview, without a traceback."""
    world.stack.define([world.definition()])
    result = world.stack.run("preview", **environment)
    assert result.code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_changed_address_is_refused(world: World) -> None:
    """Certificates of a pair name its address, so another address needs another server."""
    world.stack.define([world.definition()])
    world.stack.up().ok()
    world.forget_calls()
    world.stack.define([world.definition(address="other.example.com")])
    result = world.stack.run("preview")
    assert result.code != 0
    assert "Set it back to mdm.example.com" in result.output
    assert world.aws.writes() == []


def test_servers_that_are_no_list_are_refused_without_a_traceback(world: World) -> None:
    """A wrong type of `servers` is an error of the configuration."""
    (world.stack.directory / f"Pulumi.{world.stack.name}.yaml").write_text(
        "config:\n  ios-mdm:servers: berlin\n", encoding="utf-8"
    )
    result = world.stack.run("preview")
    assert result.code != 0
    assert "servers" in result.output
    assert "Traceback" not in result.output


def test_an_api_key_secret_that_is_missing_is_named(world: World) -> None:
    """The error names the key of the definition and the missing secret. The pair is kept for the next run."""
    channel = {"nanomdm": {"url": world.mdm.url, "apiKeySecret": "mdm/not-there", "push": False}}
    world.stack.define([world.definition(distribution=world.distribution(channel=channel))])
    result = world.stack.up()
    assert result.code != 0
    assert "there is no secret mdm/not-there: create it" in result.output
    assert "Traceback" not in result.output
    assert "RESERVE" in world.labels()


def test_a_change_that_a_pair_does_not_allow_is_refused(world: World) -> None:
    """Generations, a deletion near the expiry and a period past it: each has one error with the value to set."""
    # R7 R10 R13 R32
    day_0, late = ({"IOS_MDM_CLOCK": moment} for moment in ("2040-01-01T00:00:00Z", "2041-01-20T00:00:00Z"))
    second = {"issue": {"when": "auto", "generation": 2}}
    world.stack.define([world.definition(reserve=second)])
    world.stack.up(**day_0).ok()
    world.stack.up(IOS_MDM_CLOCK="2040-12-20T00:00:00Z").ok()
    reserve = world.stack.outputs()["servers"][world.server]["reserve"]["sha256"]
    world.forget_calls()
    refused: list[tuple[dict[str, Any], str]] = [
        ({"main": {"issue": {"key": "ec-p256", "generation": 2}}, "reserve": second}, "set it back to 1"),
        ({"reserve": {"issue": {"when": "auto", "generation": 1}}}, "set it to 2, or to 3"),
        ({"reserve": {"none": True}}, f"reserve.confirm: {reserve}"),
        ({"reserve": {"none": True, "confirm": "ab" * 32}}, f"reserve.confirm: {reserve}"),
        ({"reserve": {"issue": {"apply": {"afterDays": 61}}}}, "the maximum is 60"),
        ({"reserve": {"issue": {}, "none": True}}, "has both issue and none"),
        ({"main": {"issue": {}, "install": {"bundle": "main.pfx"}}}, "has both issue and install"),
        ({"main": {"install": {"bundle": "main.pfx"}}, "reserve": {"issue": {}}}, "use reserve.install instead"),
    ]
    for change, message in refused:
        world.stack.define([world.definition(**change)])
        result = world.stack.run("preview", **late)
        assert result.code != 0, change
        assert message in " ".join(result.output.split()), result.output
        assert "Traceback" not in result.output
    assert world.aws.writes() == []
