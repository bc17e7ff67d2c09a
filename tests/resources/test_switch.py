"""The hooks of ``CertificatePair`` and the switch that belongs to it, on a real AWS emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ios_mdm.core.pair.layout import SENT_TAG, sent_value
from ios_mdm.core.pair.schedule import Kind, names
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.resources.conftest import Engine

QUEUE = f"arn:aws:sqs:{ministack.REGION}:000000000000:alarms"


def _client(engine: Engine, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=engine.aws.target,
        region_name=ministack.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - an emulator takes any
    )


class Scheduled:
    """The schedules of one pair."""

    def __init__(self, engine: Engine) -> None:
        self.client = _client(engine, "scheduler")
        self.names = names(engine.program["server"], engine.program["secret"])

    def kinds(self) -> set[Kind]:
        """Return the kinds of schedules that exist."""
        found = {one["Name"] for one in self.client.list_schedules()["Schedules"]}
        return {kind for kind, name in self.names.items() if name in found}


@pytest.fixture
def scheduled(engine: Engine) -> Iterator[Scheduled]:
    """Return the schedules of the engine's pair."""
    found = Scheduled(engine)
    yield found
    found.client.close()


def test_the_pair_arms_its_switch_with_alarms_only_if_they_have_a_target(engine: Engine, scheduled: Scheduled) -> None:
    """Without alarmArn no alarm is an output or a schedule; with one they are both."""  # R11
    engine.up()
    assert engine.outputs is not None
    assert (engine.outputs["switch"]["overdue"], engine.outputs["switch"]["expiry"]) == (None, None)
    assert scheduled.kinds() == {Kind.PROMOTE}
    engine.program["definition"]["promotion"] = {"alarmArn": QUEUE}
    assert engine.up() == "update"
    assert engine.outputs["switch"]["overdue"] is not None
    assert scheduled.kinds() == set(Kind)
    assert engine.up() == "unchanged"


def test_a_reserve_that_devices_were_not_sent_is_not_armed(engine: Engine, scheduled: Scheduled) -> None:
    """The record in the secret decides; the alarms, which name what is due, are armed at once."""  # R36
    engine.program["distributed"] = True
    engine.program["definition"]["promotion"] = {"alarmArn": QUEUE}
    engine.up()
    assert scheduled.kinds() == {Kind.OVERDUE, Kind.EXPIRY}
    assert engine.up() == "unchanged", "a promotion that may not be armed yet is no drift"
    secrets = _client(engine, "secretsmanager")
    secrets.tag_resource(SecretId=engine.program["secret"], Tags=[{"Key": SENT_TAG, "Value": sent_value([1, 2])}])
    assert engine.up() == "update", "what devices were sent and what is not armed is drift"
    assert scheduled.kinds() == set(Kind)
    assert engine.up() == "unchanged"
    secrets.close()


def test_a_deleted_pair_leaves_no_schedule_and_a_foreign_one_all_of_them(engine: Engine, scheduled: Scheduled) -> None:
    """Delete deletes its own switch with its own secret; of another stack's pair it deletes neither."""  # R37
    engine.up()
    secrets = _client(engine, "secretsmanager")
    secret = engine.program["secret"]
    secrets.tag_resource(SecretId=secret, Tags=[{"Key": "ios-mdm:owner", "Value": "organization/ios-mdm/other"}])
    assert engine.outputs is not None
    engine.provider.delete(engine.id, engine.outputs)
    assert scheduled.kinds() == {Kind.PROMOTE}
    assert "DeletedDate" not in secrets.describe_secret(SecretId=secret)
    secrets.tag_resource(SecretId=secret, Tags=[{"Key": "ios-mdm:owner", "Value": engine.program["owner"]}])
    engine.provider.delete(engine.id, engine.outputs)
    assert scheduled.kinds() == set()
    assert "DeletedDate" in secrets.describe_secret(SecretId=secret)
    secrets.close()


def test_state_keeps_the_path_of_the_class_in_plain_text(engine: Engine) -> None:
    """It is no secret: encrypted, it would cost more than all the rest."""
    assert engine.provider.serialize_as_secret_always is False
