"""Checks whose reads are made ahead, and hooks that read again, on a real AWS emulator."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from tests.support.dynamic_provider import Engine

READS = ("DescribeSecret", "GetRole", "GetRolePolicy", "GetQueueUrl")


def _announce_server(engine: Engine) -> None:
    """Begin another run of the program, which announces its only server."""
    engine.program["run"] = uuid4().hex
    reading = {
        "server": engine.program["server"],
        "secret": engine.program["secret"],
        "region": None,
        "host": "mdm.example.com",
        "endpoints": [],
        "alarms": False,
        "role": True,
        "queue": True,
    }
    engine.program["readings"] = [json.dumps([reading])]


def _reads(engine: Engine) -> Counter[str]:
    found = Counter("GetSchedule" if call.startswith("GET /schedules/") else call for call in engine.aws.calls)
    engine.aws.calls.clear()
    return found


def test_a_check_reads_once_and_keeps_nothing_of_the_run(engine: Engine) -> None:
    """The check does not repeat the reads that were made ahead; the next check of the run repeats all reads."""
    _announce_server(engine)
    engine.up()
    engine.aws.calls.clear()
    _announce_server(engine)
    every = Counter([*READS, "GetSchedule"])
    assert engine.up() == "unchanged"
    assert _reads(engine) == every
    assert engine.up() == "unchanged"
    assert _reads(engine) == every
    for kept in (engine.inputs, engine.outputs, engine.checked_inputs()):
        assert kept is not None
        assert not {"run", "readings"} & kept.keys()


def test_an_update_reads_again(engine: Engine) -> None:
    """Check and update belong to the same run. The update decides from its own reads."""  # R36
    _announce_server(engine)
    engine.up()
    _announce_server(engine)
    engine.program["aws"]["tags"] = {"team": "mobile"}
    inputs = engine.checked_inputs()
    engine.aws.calls.clear()
    assert engine.outputs is not None
    engine.provider.update(engine.id, engine.outputs, inputs)
    assert _reads(engine)["DescribeSecret"] > 1


def test_a_change_after_the_last_run_is_seen(engine: Engine) -> None:
    """The process still has an unused answer of an earlier run. The next run does not get this answer."""  # R36
    _announce_server(engine)
    engine.up()
    _announce_server(engine)
    other = dict(engine.program)
    engine.program["secret"] = "ios-mdm/other"  # noqa: S105 - a name
    engine.failures()  # announces the server, and uses none of its answers
    engine.program.update(other)
    engine.program["run"] = uuid4().hex
    del engine.program["readings"]
    engine.aws.denied.add("DescribeSecret")
    assert "access denied" in engine.failures()[0]


def test_an_error_is_the_checks_own(engine: Engine) -> None:
    """The check of this server fails with the error of its read ahead."""
    _announce_server(engine)
    engine.up()
    _announce_server(engine)
    engine.aws.denied.add("DescribeSecret")
    (reason,) = engine.failures()
    assert f'DescribeSecret on secret "{engine.program["secret"]}" failed: access denied' in reason
