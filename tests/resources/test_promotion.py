"""The hooks of ``Promotion``: what they keep in state, and what an earlier version left there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ios_mdm.core.pair.schedule import Kind, names
from ios_mdm.resources.promotion import PromotionProvider
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.resources.conftest import Engine

QUEUE = f"arn:aws:sqs:{ministack.REGION}:000000000000:alarms"
ALL_OF_AWS = {"region": ministack.REGION, "secretPrefix": "ios-mdm", "tags": {}, "recoveryWindowDays": 30}
WISH_AS_IT_WAS = {"main": {"issue": {"key": "ec-p256"}}, "reserve": {"issue": {"when": "now"}}}
SLOTS_AS_THEY_WERE = {"main": "certificate 1", "reserve": "certificate 2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """One pair in the emulator, and the promotion that belongs to it."""

    pair: Engine
    scheduler: Any
    provider: PromotionProvider

    def program(self, **settings: Any) -> dict[str, Any]:
        """Return what the program says of the promotion, with these of its settings."""
        assert self.pair.outputs is not None
        return {
            "server": self.pair.program["server"],
            "secret": self.pair.program["secret"],
            "secretArn": self.pair.outputs["secretArn"],
            "region": ministack.REGION,
            "promotion": settings,
            "wish": "0123456789abcdef",
            "slots": "certificate 1, certificate 2",
            "switch": self.pair.outputs["switch"],
            "after": [],
        }

    def checked(self, olds: dict[str, Any], program: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs that `check` gives the engine."""
        result = self.provider.check(olds, program)
        assert not result.failures
        return dict(result.inputs)

    def scheduled(self) -> set[Kind]:
        """Return the kinds of schedules that there are."""
        there = {one["Name"] for one in self.scheduler.list_schedules()["Schedules"]}
        wanted = names(self.pair.program["server"], self.pair.program["secret"])
        return {kind for kind, name in wanted.items() if name in there}


@pytest.fixture
def armed(engine: Engine) -> Iterator[Armed]:
    """Return a pair with a reserve, whose output has the alarms that it always had before; nothing is scheduled."""
    engine.program["definition"]["promotion"] = {"alarmArn": QUEUE}
    engine.up()
    client = boto3.client(
        "scheduler",
        endpoint_url=engine.aws.target,
        region_name=ministack.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - an emulator takes any
    )
    yield Armed(pair=engine, scheduler=client, provider=PromotionProvider())
    client.close()


def _earlier(armed: Armed) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return inputs and outputs of a promotion as an earlier version wrote them."""
    program = armed.program()
    created = armed.provider.create(armed.checked({}, program))
    del program["region"], program["after"]
    inputs = {**program, "aws": ALL_OF_AWS, "wish": WISH_AS_IT_WAS, "slots": SLOTS_AS_THEY_WERE, "repairs": 0}
    assert created.outs is not None
    ours = {key: created.outs[key] for key in ("roleArn", "deadLetterArn")}
    return inputs, {**inputs, **ours}


def test_what_an_earlier_version_left_takes_one_update_that_changes_nothing(armed: Armed) -> None:
    """The keys that state had before make an update, no error and no replacement; AWS is not written to."""  # R30 R32
    inputs, outputs = _earlier(armed)
    armed.pair.aws.calls.clear()
    news = armed.checked(inputs, armed.program())
    diff = armed.provider.diff("id", outputs, news)
    assert diff.changes
    assert not diff.replaces
    updated = armed.provider.update("id", outputs, news).outs
    assert updated is not None
    assert {key: updated[key] for key in ("roleArn", "deadLetterArn")} == {
        key: outputs[key] for key in ("roleArn", "deadLetterArn")
    }
    assert armed.scheduled() == {Kind.PROMOTE}
    again = armed.checked(news, armed.program())
    assert not armed.provider.diff("id", updated, again).changes
    assert not [call for call in armed.pair.aws.calls if "chedule" in call and not call.startswith(("GET", "DELETE"))]


def test_what_an_earlier_version_left_is_deleted(armed: Armed) -> None:
    """`destroy` works from the outputs that are in state: no schedule stays behind."""  # R30
    _, outputs = _earlier(armed)
    assert armed.scheduled() == {Kind.PROMOTE}
    armed.provider.delete("id", outputs)
    assert armed.scheduled() == set()


def test_alarms_are_kept_only_where_somebody_is_told_of_them(armed: Armed) -> None:
    """Without alarmArn they are no input; with one they are, and are scheduled."""  # R11
    assert set(armed.program()["switch"]) == {"promote", "overdue", "expiry"}
    assert set(armed.checked({}, armed.program())["switch"]) == {"promote"}
    armed.provider.create(armed.checked({}, armed.program(alarmArn=QUEUE)))
    assert armed.scheduled() == set(Kind)


def test_state_keeps_the_path_of_the_class_in_plain_text(armed: Armed) -> None:
    """It is no secret: encrypted, it would be dearer than all the rest."""
    assert armed.provider.serialize_as_secret_always is False
