"""References of a definition with the real engine: a change of the definition alone reveals no key (R39)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.definition_files import MADE, write_bundle
from tests.support.marked import MARKED
from tests.support.taker import Taker, attacker

if TYPE_CHECKING:
    from tests.support.engine import World

__all__ = ["attacker"]


def _channel(url: str, secret: str) -> dict[str, object]:
    return {"nanomdm": {"url": url, "apiKeySecret": secret, "push": False}}


def test_a_changed_url_gets_no_api_key(world: World, attacker: Taker) -> None:
    """Row 1: preview warns, only the distribution fails, and the tag of the secret is needed to allow another URL.

    At commit cda6e65, the other URL gets the API key.
    """
    # R39
    name = f"mdm/{world.server}"
    key = world.services.services.api_key.read_text(encoding="utf-8")
    world.client.create_secret(Name=name, SecretString=key, Tags=[{"Key": "ios-mdm:url", "Value": world.mdm.url}])
    world.stack.define([world.definition(distribution=world.distribution(channel=_channel(world.mdm.url, name)))])
    world.stack.up().ok()
    world.stack.run("preview", "--expect-no-changes").ok()
    devices = world.services.fleet.ids()[:-1]
    changed = world.distribution(channel=_channel(attacker.url, name), devices=list(devices), ledger=None)
    world.stack.define([world.definition(distribution=changed)])
    said = f"allows sending its API key only to {world.mdm.url}, so the key is not sent to {attacker.url}"
    previewed = world.stack.run("preview").ok()
    assert said in previewed.output
    assert "no profile is sent; the pair is not affected" in previewed.output
    generation = {"issue": {"when": "now", "generation": 2, "apply": {"afterDays": 30}}}
    world.stack.define([world.definition(distribution=changed, reserve=generation)])
    failed = world.stack.up()
    assert failed.code != 0
    assert said in failed.output
    assert attacker.received == []
    assert key not in failed.output + previewed.output


@pytest.mark.parametrize("prefix", ["ios-mdm", "elsewhere"])
def test_a_pair_is_no_api_key(world: World, attacker: Taker, prefix: str) -> None:
    """Row 1: the secret of a pair is refused under the stack's prefix, and with another prefix.

    At commit cda6e65, the attacker's server gets the JSON of the pair, with its private key, as the API key.
    """
    # R39
    world.stack.define([world.definition()])
    world.stack.up().ok()
    changed = world.definition(distribution=world.distribution(channel=_channel(attacker.url, world.secret)))
    changed = changed if prefix == "ios-mdm" else {**changed, "name": f"{world.server}-b", "protect": False}
    world.stack.define([changed], aws={"secretPrefix": prefix})
    previewed = world.stack.run("preview")
    said = "names a secret under ios-mdm/" if prefix == "ios-mdm" else "it has the tags of a pair"
    assert said in " ".join(previewed.output.split())
    result = world.stack.run("up", "--yes", "--skip-preview")
    assert result.code != 0
    assert said in " ".join(result.output.split())
    assert attacker.received == []
    assert "PRIVATE" not in previewed.output + result.output


def test_no_file_and_no_secret_is_quoted(world: World) -> None:
    """Row 4: preview and up show no content of a referenced file or secret, not even at the highest log level.

    At commit cda6e65, preview quotes the lines of a private key that `devices.file` names.
    """
    # R39
    marked = MARKED["a private key"]
    (world.stack.directory / "main.key").write_bytes(marked.content)
    write_bundle(MADE, world.stack.directory / "good.pem")
    secret = f"marked/{world.server}"
    world.client.create_secret(Name=secret, SecretString=marked.content.decode())
    installs: list[dict[str, Any]] = [
        {"bundle": "main.key"},
        {"bundle": f"secret:{secret}"},
        {"bundle": "good.pem", "passwordFile": "main.key"},
        {"bundle": "good.pem", "passwordSecret": secret},
        {"bundle": "good.pem", "trust": ["main.key"]},
    ]
    ca_file = {"nanomdm": {"url": world.mdm.url, "apiKeySecret": "mdm/api-key", "push": False, "caFile": "main.key"}}
    distributions: list[dict[str, Any]] = [
        {"devices": {"file": "main.key"}},
        {"ledger": "sqlite:///main.key"},
        {"channel": ca_file},
        {"channel": _channel(world.mdm.url, secret)},
    ]
    servers = [
        world.definition(name=f"{world.server}-{number}", reserve={"install": install})
        for number, install in enumerate(installs)
    ]
    for number, changes in enumerate(distributions):
        profile = {"identifier": f"com.example.{world.server}.n{number}"}
        distribution = world.distribution(**{"profile": profile, **changes})
        servers.append(world.definition(name=f"{world.server}-d{number}", distribution=distribution))
    shown = ""
    for wrong in (servers[: len(installs)], servers[len(installs) :]):
        world.stack.define(wrong)
        for command in (("preview",), ("up", "--yes", "--skip-preview", "--continue-on-error")):
            result = world.stack.run(*command, "--logtostderr", "-v=9")
            assert "Traceback" not in result.output
            shown += result.output
    assert "main.key is not a list of devices: lines 1, 2, 3, 4, 5 and 5 more are no enrollment id" in shown
    assert "caFile" in shown
    assert f"the secret {secret} holds a PEM file" in shown
    assert marked.quoted_parts(shown) == []
