"""Output of `pulumi preview --diff` for each kind of run: a person must be able to read it.

The files in `previews` contain the engine's output with names, ids and digests replaced. To write them again after an
intended change, set `IOS_MDM_WRITE_PREVIEWS=1`, run this test, and read the difference.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.copied_pair import copied_world
from tests.support.custom_files import DAY, START, Leaf, custom_server
from tests.support.days import DAY_0, DAY_10, DAY_31, at
from tests.support.tls_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.engine import World
    from tests.support.stack import Result

FOLDER = Path(__file__).parent / "previews"
NOW = {"when": "now", "apply": {"afterDays": 30}}
AUTO = {"when": "auto", "beforeDays": 60}
DAY_425 = {"IOS_MDM_CLOCK": "2041-03-01T00:00:00Z"}
DAY_340 = {"IOS_MDM_CLOCK": "2040-12-06T00:00:00Z"}


def _nothing(_world: World) -> None:
    """Change nothing after the first run."""


def _hold(world: World) -> None:
    world.stack.define([_server(world, promotion={"hold": True})])


def _another_reserve(world: World) -> None:
    world.stack.define([_server(world, reserve={"issue": {**NOW, "generation": 2}})])


def _another_identifier(world: World) -> None:
    profile = {"identifier": f"com.example.{world.server}.other", "organization": "Example"}
    world.stack.define([world.definition(distribution=world.distribution(profile=profile))])


def _fewer_devices(world: World) -> None:
    devices = list(world.services.fleet.ids()[:2])
    world.stack.define([world.definition(distribution=world.distribution(devices=devices))])


def _lost_label(world: World) -> None:
    reserve = world.labels()["RESERVE"]
    world.client.update_secret_version_stage(SecretId=world.secret, VersionStage="RESERVE", RemoveFromVersionId=reserve)


def _server(world: World, **changes: object) -> dict[str, object]:
    return world.definition(distribution=world.distribution(), **changes)


KINDS: dict[str, tuple[Callable[[World], None], dict[str, str]]] = {
    "nothing-due": (_nothing, at(DAY_10)),
    "promotion-due": (_nothing, at(DAY_31)),
    "hold": (_hold, at(DAY_10)),
    "another-reserve": (_another_reserve, at(DAY_10)),
    "another-identifier": (_another_identifier, at(DAY_10)),
    "fewer-devices": (_fewer_devices, at(DAY_10)),
    "changed-from-outside": (_lost_label, at(DAY_10)),
}


def test_a_preview_of_a_new_server(world: World) -> None:
    """The preview shows the resources to create, and the values that are known in advance."""  # R14
    world.stack.define([_server(world)])
    _compare("new", world, world.stack.run("preview", "--diff", **at(DAY_0)).ok().output)


@pytest.mark.parametrize("kind", KINDS)
def test_a_preview_shows_what_is_due(world: World, kind: str) -> None:
    """The preview of each kind of run after the first run."""
    change, moment = KINDS[kind]
    world.stack.define([_server(world)])
    world.stack.up(**at(DAY_0)).ok()
    world.acknowledge(DAY_0)
    change(world)
    _compare(kind, world, world.stack.run("preview", "--diff", **moment).ok().output)


def test_a_preview_of_an_automatic_reserve(world: World) -> None:
    """R3: a reserve is issued 60 days before main expires."""
    world.stack.define([_server(world, reserve={"issue": AUTO})])
    world.stack.up(**at(DAY_0)).ok()
    _compare("automatic-reserve", world, world.stack.run("preview", "--diff", **DAY_340).ok().output)


def test_a_preview_of_a_replaced_main(world: World) -> None:
    """R32: main is replaced by its fingerprint, after its successor was sent."""
    world.stack.define([_server(world)])
    world.stack.up(**at(DAY_0)).ok()
    confirmed = world.stack.outputs()["servers"][world.server]["main"]["sha256"]
    main = {"issue": {"key": "ec-p256"}, "replaceNow": True, "confirm": confirmed}
    world.stack.define([_server(world, main=main)])
    _compare("replaced-main", world, world.stack.run("preview", "--diff", **at(DAY_10)).ok().output)


def test_a_preview_of_a_lost_connection(world: World) -> None:
    """R13: main expired without a reserve. The preview names devices and next steps, before and after the change."""
    distribution = world.distribution()
    world.stack.define([world.definition(reserve={"none": True}, distribution=distribution)])
    world.stack.up(**at(DAY_0)).ok()
    _compare("connection-lost", world, world.stack.run("preview", "--diff", **DAY_425).ok().output)
    again = {"issue": {"key": "ec-p256", "generation": 2}}
    world.stack.define([world.definition(main=again, reserve={"none": True}, distribution=distribution)])
    _compare("connection-replaced", world, world.stack.run("preview", "--diff", **DAY_425).ok().output)


def test_a_preview_of_a_pair_that_is_taken_over(world: World) -> None:
    """R34: another stack without the pair's id and with it, and afterwards the former stack."""
    old, new = world.stack, replace(world.stack, name="new")
    old.define([_server(world)])
    old.up(**at(DAY_0)).ok()
    pair_id = old.outputs()["servers"][world.server]["pairId"]
    new.run("stack", "init", new.name).ok()
    arguments = ("preview", "--diff", "--stack")
    new.define([_server(world)])
    _compare("take-over-refused", world, _refusal(new.run(*arguments, new.name, **at(DAY_10))))
    new.define([_server(world, takeOver=pair_id)])
    _compare("take-over", world, new.run(*arguments, new.name, **at(DAY_10)).ok().output)
    new.up("--stack", new.name, **at(DAY_10)).ok()
    _compare("taken-over", world, old.run(*arguments, old.name, **at(DAY_10)).ok().output)


def test_a_preview_of_a_moved_pair(world: World) -> None:
    """R33: the secret was copied to another region. Previews without the former ARN, and with it."""
    world.stack.define([_server(world)])
    world.stack.up(**at(DAY_0)).ok()
    former = world.client.describe_secret(SecretId=world.secret)["ARN"]
    with copied_world(world, region="eu-central-1") as other:
        there = {**at(DAY_10), **other.environment}
        _compare("moved-refused", world, _refusal(world.stack.run("preview", "--diff", **there)))
        world.stack.define([_server(world, movedFrom=former)])
        _compare("moved", world, world.stack.run("preview", "--diff", **there).ok().output)


def test_a_preview_of_a_lost_pair(world: World) -> None:
    """R33: the secret was deleted for good. Previews without the fingerprint of its main, and with it."""
    world.stack.define([_server(world)])
    world.stack.up(**at(DAY_0)).ok()
    lost = world.stack.outputs()["servers"][world.server]["main"]["sha256"]
    world.client.delete_secret(SecretId=world.secret, ForceDeleteWithoutRecovery=True)
    _compare("lost-refused", world, _refusal(world.stack.run("preview", "--diff", **at(DAY_10))))
    world.stack.define([_server(world, lostMain=lost)])
    _compare("lost", world, world.stack.run("preview", "--diff", **at(DAY_10)).ok().output)


@pytest.mark.parametrize("slot", ["main", "reserve"])
def test_a_preview_of_a_distrusted_certificate(world: World, tmp_path: Path, slot: str) -> None:
    """R35: the key of a certificate that an endpoint presents was stolen."""
    world.stack.define([_server(world)])
    world.stack.up(**at(DAY_0)).ok()
    stolen = world.stack.outputs()["servers"][world.server][slot]["sha256"]
    changes: dict[str, object] = {"reserve": {"none": True}}
    if slot == "main":
        changes = {"main": {"issue": {"key": "ec-p256"}, "replaceNow": True, "confirm": stolen}}
    version = world.labels()["AWSCURRENT" if slot == "main" else "RESERVE"]
    with serving(world.value(version), tmp_path) as endpoint:
        world.stack.define([_server(world, distrust=[stolen], endpoints=[endpoint], **changes)])
        output = world.stack.run("preview", "--diff", **at(DAY_10)).ok().output
    _compare(f"distrusted-{slot}", world, output.replace(endpoint, "ENDPOINT"))


def test_a_preview_of_a_custom_main_that_is_adopted(world: World) -> None:
    """R19: a certificate for another address is refused, and adopted on request."""
    install = {"bundle": "main.pfx", "passwordSecret": f"pfx-{world.server}"}
    with custom_server(world) as custom:
        custom.write("main.pfx", Leaf(START - DAY, 397, host="old.example.com").pfx())
        custom.define(main={"install": install})
        _compare("adopted-refused", world, _refusal(world.stack.run("preview", "--diff", **at(DAY_0))))
        custom.define(main={"install": {**install, "adopt": True}})
        _compare("adopted", world, world.stack.run("preview", "--diff", **at(DAY_0)).ok().output)


@pytest.mark.parametrize("protect", [True, False], ids=["protected", "not-protected"])
def test_a_preview_of_a_server_that_was_removed_from_the_definition(world: World, *, protect: bool) -> None:
    """R32: another server is left. The pair of the removed server is deleted only if it is not protected."""
    other = world.definition(name=f"{world.server}-2", address="other.example.com", reserve={"none": True})
    world.stack.define([_server(world, protect=protect), other])
    world.stack.up(**at(DAY_0)).ok()
    world.stack.define([other])
    result = world.stack.run("preview", "--diff", **at(DAY_10))
    kind = "removed-protected" if protect else "removed"
    _compare(kind, world, _refusal(result) if protect else result.ok().output)


def _refusal(result: Result) -> str:
    """Return the output of a refused run."""
    assert result.code != 0, result.output
    return result.output


def _compare(kind: str, world: World, output: str) -> None:
    shown, file = _normal(output, world), FOLDER / f"{kind}.txt"
    if os.environ.get("IOS_MDM_WRITE_PREVIEWS"):
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def _normal(output: str, world: World) -> str:
    """Return the output with names in place of all values that differ between runs."""
    text = output.replace(world.server, "berlin").replace(world.mdm.url, "http://mdm")
    for number, device in enumerate(world.services.fleet.ids(), start=1):
        text = text.replace(device, f"DEVICE-{number}")
    names: dict[str, str] = {}
    text = re.sub(
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", _placeholder("version", names), text
    )
    text = re.sub(r"\b[0-9a-f]{64}\b", _placeholder("sha256", names), text)
    text = re.sub(r"(?<=One-time root )[0-9a-f]{16}\b", _placeholder("root", names), text)
    # A serial number has no leading zeros.
    text = re.sub(r"\b[0-9a-f]{28,32}\b", _placeholder("id", names), text)
    text = re.sub(r"\b[0-9a-f]{16}\b", _placeholder("digest", names), text)
    text = re.sub(r"(?<=trust\.)[0-9a-f]{12}\b|(?<=other\.)[0-9a-f]{12}\b", "<id>", text)
    text = re.sub(r"(?<=ios-mdm-berlin-)[0-9a-f]{10}\b", "<digest>", text)
    text = re.sub(r"(?<=ios-mdm/)(berlin(?:-2)?)-[A-Za-z0-9]{6}\b", r"\1-suffix", text)
    text = re.sub(r"BEGIN CERTIFICATE-----[^\"]*", "BEGIN CERTIFICATE-----…", text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if not line.startswith("@"))


def _placeholder(kind: str, names: dict[str, str]) -> Callable[[re.Match[str]], str]:
    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"<{kind} {sum(kind in one for one in names.values()) + 1}>")

    return name
