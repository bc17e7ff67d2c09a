"""The size of one server in the state. The engine writes the whole state after each step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.engine import World

MAX_BYTES = 16_000
"""Size of the resources of a server with a reserve and a distribution to five devices, in bytes of JSON."""
MAX_WITH_OUTPUTS = 22_500
"""Size with the server's part of the stack outputs, which repeat the PEMs of main and reserve."""
KEY = {"key": "rsa-4096"}
"""The default key type, which has the largest certificates."""


def test_each_chain_is_stored_as_an_output_only(world: World) -> None:
    """PEMs are only in the outputs of the pair and of the stack. The state contains no profile."""
    issue = {"when": "now", "apply": {"afterDays": 30}, **KEY}
    world.stack.define(
        [world.definition(main={"issue": KEY}, reserve={"issue": issue}, distribution=world.distribution())]
    )
    world.stack.up().ok()
    state = json.loads(world.stack.run("stack", "export").ok().output)
    resources: list[dict[str, Any]] = state["deployment"]["resources"]
    servers = next(one["outputs"]["servers"] for one in resources if one["type"] == "pulumi:pulumi:Stack")
    own = [one for one in resources if f"::{world.server}" in one["urn"]]
    text = _json([servers, *own])
    assert len(resources) == 5, [one["urn"] for one in resources]
    assert len(_json(own)) <= MAX_BYTES, len(_json(own))
    assert len(text) <= MAX_WITH_OUTPUTS, len(text)
    assert text.count("BEGIN CERTIFICATE") == 8, "leaf and root of main and reserve, in the pair and in the outputs"
    assert "mobileconfig" not in text
    assert '"readings":[' not in text.replace('"readings":[]', "")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
