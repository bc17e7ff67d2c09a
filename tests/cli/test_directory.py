"""The commands on a server whose profile is distributed by another tool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from ios_mdm.core.profile import profile_digest
from tests.support.command_line import run

if TYPE_CHECKING:
    from typing import Any

    from tests.support.command_line import Pair


def define(pair: Pair, **directory: Any) -> None:
    """Write a definition with a folder."""
    server = pair.define(distributed=False)
    server["distribution"] = {
        "profile": {"identifier": f"com.example.{pair.name}", "organization": "Example"},
        "channel": {"directory": {"path": "out", **directory}},
    }
    pair.file.write_text(yaml.safe_dump({"config": {"ios-mdm:servers": [server]}}), encoding="utf-8")


def test_status_names_the_digest_to_confirm(pair: Pair) -> None:
    """It warns until the definition confirms the present profile. The device coverage is unknown."""  # R36
    made = pair.make(distributed=False)
    digest = profile_digest(pair.profile(made))
    define(pair)
    result = pair.status("--json")
    assert result.code == 1
    (server,) = json.loads(result.out)["servers"]
    found = {one["reason"]: one["message"] for one in server["notices"]}
    assert f"then set distribution.channel.directory.distributed to {digest}." in found["unconfirmed-profile"]
    assert "no-ledger" not in found
    define(pair, distributed=digest)
    (server,) = json.loads(pair.status("--json").out)["servers"]
    assert "unconfirmed-profile" not in {one["reason"] for one in server["notices"]}
    assert "device coverage is unknown" in pair.status().out


def test_commands_that_send_to_devices_are_refused(pair: Pair) -> None:
    """`verify` and `resend` need answers of devices. The message says what is missing."""
    pair.make(distributed=False)
    define(pair)
    for command in ("verify", "resend"):
        result = run(command, "--definition", str(pair.file), cwd=pair.folder, environment=pair.environment())
        assert result.code != 0
        assert "With the channel directory, another tool sends the profile, and" in result.err
