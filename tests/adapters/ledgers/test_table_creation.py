"""The table of a ledger: its CloudFormation template, and the command that creates it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.adapters.ledgers.dynamodb import creation
from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger
from ios_mdm.errors import StoreError
from tests.support.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

TEMPLATE = Path(creation.__file__).with_name("table.yaml")


class Command:
    """`ios-mdm ledger create` for a table in an emulator."""

    def __init__(self, url: str, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setattr(creation, "pause", lambda _seconds: None)
        self.name = f"ledger-{uuid4()}"
        self.aws = Tables(url).aws
        self.client: Any = self.aws.dynamodb()

    def run(self) -> Result:
        """Run the command."""
        return CliRunner().invoke(app, ["ledger", "create", "--ledger", f"dynamodb://{self.name}"])


@pytest.fixture(params=["ministack", "moto"])
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, credentials: None) -> Iterator[Command]:
    """The command with an emulator. The table is deleted after the test."""
    del credentials
    made = Command(request.getfixturevalue(f"{request.param}_url"), monkeypatch)
    yield made
    made.client.update_table(TableName=made.name, DeletionProtectionEnabled=False)
    made.client.delete_table(TableName=made.name)


def test_the_template_has_no_fault() -> None:
    """cfn-lint checks the template against the schemas of CloudFormation."""  # R41
    lint = [str(Path(sys.executable).with_name("cfn-lint")), "--non-zero-exit-code", "informational"]
    checked = subprocess.run([*lint, str(TEMPLATE)], capture_output=True, text=True, check=False, timeout=120)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_template_protects_the_table() -> None:
    """Records survive a mistake: deletion protection, restore to a point in time, and a stack that keeps the table."""
    properties = creation.template_properties()
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    text = TEMPLATE.read_text(encoding="utf-8")
    assert text.count("Policy: Retain") == 2


def test_the_command_creates_the_table_of_the_template(command: Command) -> None:
    """The table has the properties of the template, and a second run changes nothing."""  # R41
    created = command.run()
    assert created.exit_code == 0, created.output
    assert created.output.endswith(": created or turned on: table, time to live, point-in-time recovery\n")
    found = command.client.describe_table(TableName=command.name)["Table"]
    properties = creation.template_properties()
    assert found["KeySchema"] == properties["KeySchema"]
    assert found["BillingModeSummary"]["BillingMode"] == properties["BillingMode"]
    assert found["DeletionProtectionEnabled"] is True
    assert found["SSEDescription"]["Status"] == "ENABLED"
    expiry = command.client.describe_time_to_live(TableName=command.name)["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    backups = command.client.describe_continuous_backups(TableName=command.name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    again = command.run()
    assert (again.exit_code, again.output) == (0, f"{found['TableArn']}: nothing to do\n")
    assert DynamoDbLedger.of_table(command.name, aws=command.aws).enrolled_ids() == ()


def test_an_interrupted_creation_is_completed(command: Command) -> None:
    """A run after a crash turns on what the first one had not turned on."""
    wanted = creation.template_properties()
    keys = {key: wanted[key] for key in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    encryption = {"Enabled": True}
    command.client.create_table(
        TableName=command.name, DeletionProtectionEnabled=True, SSESpecification=encryption, **keys
    )
    completed = command.run()
    assert completed.exit_code == 0, completed.output
    assert completed.output.endswith(": created or turned on: time to live, point-in-time recovery\n")


def test_a_table_that_differs_is_shown_and_not_changed(command: Command) -> None:
    """The command names each property that differs, with the value that is needed."""
    command.client.create_table(
        TableName=command.name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    shown = command.run()
    assert shown.exit_code == 1
    for name in ("KeySchema", "BillingMode", "DeletionProtectionEnabled", "SSESpecification"):
        assert f"differs from the template (docs/shared-ledger.md): {name} is " in shown.output


@pytest.mark.parametrize("url", ["sqlite:///ledger.db", "dynamodb://", "dynamodb://a/b", "ledger"])
def test_another_url_is_refused(url: str) -> None:
    """Only a ledger in DynamoDB has a table."""
    shown = CliRunner().invoke(app, ["ledger", "create", "--ledger", url])
    assert shown.exit_code == 2
    assert "is not the URL of a DynamoDB table: use dynamodb://table" in shown.output


def test_a_table_that_does_not_become_active_is_an_error(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends after some minutes."""
    name = tables.new_ledger().table.name
    monkeypatch.setattr(creation, "pause", lambda _seconds: None)
    monkeypatch.setattr(creation, "_description", lambda _aws, _name: {"TableStatus": "CREATING"})
    with pytest.raises(StoreError, match="is not active after 180 seconds"):
        creation.create_table(tables.aws, name)
