"""The policies for a ledger in DynamoDB allow exactly the calls that are made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ios_mdm.adapters import aws
from ios_mdm.adapters.ledgers.dynamodb import creation
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, EnqueuedCommand, StatePolicy
from tests.permissions.documented import LEDGER_POLICIES
from tests.support.backends import ministack_url, no_aws
from tests.support.tables import Tables
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger

__all__ = ["ministack_url", "no_aws"]

START = datetime(2040, 1, 1, tzinfo=UTC)


class Actions:
    """The IAM actions of the calls of a client. A transaction needs the actions of its parts."""

    def __init__(self, client: Any) -> None:
        self.found: set[str] = set()
        client.meta.events.register("before-parameter-build.dynamodb", self._record)

    def _record(self, *, params: dict[str, Any], model: Any, **_rest: object) -> None:
        kinds = [kind for one in params.get("TransactItems", ()) for kind in one]
        self.found |= {f"dynamodb:{kind}Item" for kind in kinds} if kinds else {f"dynamodb:{model.name}"}


@pytest.fixture
def tables(ministack_url: str, no_aws: pytest.MonkeyPatch) -> Iterator[Tables]:
    """Tables in an emulator."""
    for variable, value in ministack.CREDENTIALS.items():
        no_aws.setenv(variable, value)
    aws.close_clients()
    with Tables(ministack_url) as made:
        yield made


def write(ledger: DynamoDbLedger) -> None:
    """Do what `up` and the collector do."""
    publication = ledger.publish("berlin", b"a profile", certificates=[b"1" * 32], seed=uuid4(), at=START)
    for seconds, fields in enumerate(
        [
            {"answer": Answer(command_uuid="c1", status=AnswerStatus.ACKNOWLEDGED)},
            {"enrolled": True},
            {"certificates": frozenset({b"1" * 32})},
            {"enrolled": False},
        ]
    ):
        at = START + timedelta(seconds=seconds)
        values: dict[str, Any] = {"identity": uuid4().bytes, "at": at, "topic": "mdm.Connect", "enrollment_id": "a"}
        ledger.record_events([DeviceEvent(**values, **fields)], now=at)  # type: ignore[arg-type]
    ledger.record_commands(
        [EnqueuedCommand(command_uuid="c1", epochs={"a": NEVER, "b": NEVER}, at=START)], publication=publication
    )
    ledger.record_asked(["b"], at=START)
    ledger.claim_push("b", at=START)
    ledger.delete_devices(left_before=START + timedelta(days=1))


def read(ledger: DynamoDbLedger) -> None:
    """Do what `status` and a preview do."""
    ledger.publication("berlin")
    ledger.publications()
    ledger.enrolled_ids()
    list(ledger.devices("berlin", enrollment_ids=["a"]))
    ledger.counts("berlin", StatePolicy(revision=1))
    ledger.waiting("berlin", 1, enrollment_ids=["a"])


def documented_actions(name: str) -> set[str]:
    """Return the actions of a policy."""
    (statement,) = LEDGER_POLICIES[name]["Statement"]
    return set(statement["Action"])


@pytest.mark.parametrize(("name", "work"), [("writer", write), ("reader", read)])
def test_a_policy_has_the_actions_of_its_principal(name: str, work: Any, tables: Tables) -> None:
    """No action is missing, and none is unneeded. A writer also reads."""  # R41
    ledger = tables.new_ledger()
    if name == "reader":
        write(ledger)
    actions = Actions(tables.aws.dynamodb())
    work(ledger)
    if name == "writer":
        read(ledger)
    assert actions.found == documented_actions(name)


def test_the_policy_of_the_creator_has_its_actions(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is created and completed with this policy."""
    monkeypatch.setattr(creation, "pause", lambda _seconds: None)
    client: Any = tables.aws.dynamodb()
    actions = Actions(client)
    creation.create_table(tables.aws, "permissions")
    found = set(actions.found)
    client.update_table(TableName="permissions", DeletionProtectionEnabled=False)
    client.delete_table(TableName="permissions")
    assert found == documented_actions("creator")
