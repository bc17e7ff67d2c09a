"""What `pulumi preview --diff` shows, kind by kind: a person must be able to read it.

The files in `previews` are what the engine printed, with names, ids and digests replaced. To write them again after an
intended change, set `IOS_MDM_WRITE_PREVIEWS=1`, run this test, and read the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine.test_promotion import DAY_0, DAY_10, DAY_31, at

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.conftest import World

FOLDER = Path(__file__).parent / "previews"
NOW = {"when": "now", "apply": {"afterDays": 30}}
AUTO = {"when": "auto", "beforeDays": 60}
DAY_340 = {"IOS_MDM_CLOCK": "2040-12-06T00:00:00Z"}


def _nothing(_world: World) -> None:
    """Leave everything as the first run left it."""


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
    """The preview shows what is created, and the values that are known before."""  # R14
    world.stack.define([_server(world)])
    _compare("new", world, world.stack.run("preview", "--diff", **at(DAY_0)).ok().output)


@pytest.mark.parametrize("kind", KINDS)
def test_a_preview_shows_what_is_due(world: World, kind: str) -> None:
    """Each kind of run after the first one."""
    change, moment = KINDS[kind]
    world.stack.define([_server(world)])
    world.stack.up(**at(DAY_0)).ok()
    change(world)
    _compare(kind, world, world.stack.run("preview", "--diff", **moment).ok().output)


def test_a_preview_of_an_automatic_reserve(world: World) -> None:
    """R3: the reserve that is issued 60 days before main expires."""
    world.stack.define([_server(world, reserve={"issue": AUTO})])
    world.stack.up(**at(DAY_0)).ok()
    _compare("automatic-reserve", world, world.stack.run("preview", "--diff", **DAY_340).ok().output)


def test_a_preview_of_a_replaced_main(world: World) -> None:
    """R32: main is replaced by name, after its successor was sent."""
    world.stack.define([_server(world)])
    world.stack.up(**at(DAY_0)).ok()
    confirmed = world.stack.outputs()["servers"][world.server]["main"]["sha256"]
    main = {"issue": {"key": "ec-p256"}, "replaceNow": True, "confirm": confirmed}
    world.stack.define([_server(world, main=main)])
    _compare("replaced-main", world, world.stack.run("preview", "--diff", **at(DAY_10)).ok().output)


def _compare(kind: str, world: World, output: str) -> None:
    shown, file = _normal(output, world), FOLDER / f"{kind}.txt"
    if os.environ.get("IOS_MDM_WRITE_PREVIEWS"):
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def _normal(output: str, world: World) -> str:
    """Return the output with what differs from run to run replaced by a name."""
    text = output.replace(world.server, "berlin").replace(world.mdm.url, "http://mdm")
    for number, device in enumerate(world.services.fleet.ids(), start=1):
        text = text.replace(device, f"DEVICE-{number}")
    names: dict[str, str] = {}
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", _named("version", names), text)
    text = re.sub(r"\b[0-9a-f]{64}\b", _named("sha256", names), text)
    text = re.sub(r"(?<=One-time root )[0-9a-f]{16}\b", _named("root", names), text)
    # A serial number has no leading zeros.
    text = re.sub(r"\b[0-9a-f]{28,32}\b", _named("id", names), text)
    text = re.sub(r"\b[0-9a-f]{16}\b", _named("digest", names), text)
    text = re.sub(r"(?<=trust\.)[0-9a-f]{12}\b|(?<=other\.)[0-9a-f]{12}\b", "<id>", text)
    text = re.sub(r"(?<=ios-mdm-berlin-)[0-9a-f]{10}\b", "<digest>", text)
    text = re.sub(r"(?<=ios-mdm/berlin-)[A-Za-z0-9]{6}\b", "suffix", text)
    text = re.sub(r"BEGIN CERTIFICATE-----[^\"]*", "BEGIN CERTIFICATE-----…", text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if not line.startswith("@"))


def _named(kind: str, names: dict[str, str]) -> Callable[[re.Match[str]], str]:
    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"<{kind} {sum(kind in one for one in names.values()) + 1}>")

    return name
