"""Creates the table of a ledger with the properties of the CloudFormation template ``table.yaml``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml

from ios_mdm.adapters.aws import TABLE
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ios_mdm.adapters.aws import Aws
    from ios_mdm.adapters.ledgers.dynamodb.client import Item

__all__ = ["TableCreation", "create_table", "template_properties"]

_NOT_FOUND: Final = frozenset({"ResourceNotFoundException"})
_IN_USE: Final = frozenset({"ResourceInUseException"})
_NOT_READY: Final = frozenset({"ContinuousBackupsUnavailableException", "ResourceInUseException"})
_SECONDS: Final = 2.0
_MAX_CHECKS: Final = 90
"""Reads of the state of a new table: 3 minutes. A table is usually active after some seconds."""


def pause(seconds: float) -> None:
    """Wait before another read. Tests replace this function."""
    time.sleep(seconds)


@cache
def template_properties() -> Item:
    """Return the properties of the table in the template, except its name."""
    text = files(__package__).joinpath("table.yaml").read_text(encoding="utf-8")
    properties: Item = dict(yaml.safe_load(text)["Resources"]["Ledger"]["Properties"])
    del properties["TableName"]
    return properties


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCreation:
    """Result of the creation of a table.

    Args:
        arn: ARN of the table.
        changes: resources and settings that were created or turned on; empty if the table was complete.
        differences: properties in which an existing table differs from the template. They are not changed.
    """

    arn: str
    changes: tuple[str, ...]
    differences: tuple[str, ...]


def create_table(aws: Aws, name: str) -> TableCreation:
    """Create a table, or complete an existing one, and wait until it is active.

    An interrupted creation is completed: time to live and point-in-time recovery are turned on. Other properties of an
    existing table are compared, and not changed.

    Args:
        aws: access to AWS.
        name: name of the table.

    Raises:
        StoreError: AWS refuses, or the table is not active after some minutes.
    """
    changes = list[str]()
    if _description(aws, name) is None and _is_created(aws, name):
        changes.append("table")
    description = _active(aws, name)
    if _turn_on_expiry(aws, name):
        changes.append("time to live")
    if _turn_on_recovery(aws, name):
        changes.append("point-in-time recovery")
    return TableCreation(
        arn=description["TableArn"], changes=tuple(changes), differences=tuple(_differences(description))
    )


def _is_created(aws: Aws, name: str) -> bool:
    """Create the table; return False if another process created it at the same time."""
    wanted = template_properties()
    separate = {"PointInTimeRecoverySpecification", "TimeToLiveSpecification", "SSESpecification"}
    request = {key: value for key, value in wanted.items() if key not in separate}
    encryption = {"Enabled": wanted["SSESpecification"]["SSEEnabled"]}
    refusal = aws.refusal(
        _IN_USE,
        "CreateTable",
        name,
        lambda: aws.dynamodb().create_table(TableName=name, SSESpecification=encryption, **request),
        TABLE,
    )
    return refusal is None


def _description(aws: Aws, name: str) -> Item | None:
    found = aws.answer_unless(
        _NOT_FOUND, "DescribeTable", name, lambda: aws.dynamodb().describe_table(TableName=name), TABLE
    )
    return None if found is None else dict(found["Table"])


def _active(aws: Aws, name: str) -> Item:
    """Return the description of the table when it is active."""
    for _ in range(_MAX_CHECKS):
        found = _description(aws, name)
        if found is not None and found["TableStatus"] == "ACTIVE":
            return found
        pause(_SECONDS)
    raise StoreError(
        f'the table "{name}" is not active after {_SECONDS * _MAX_CHECKS:.0f} seconds. See its state in the AWS '
        "console, and run again"
    )


def _turn_on_expiry(aws: Aws, name: str) -> bool:
    """Turn the time to live on; return False if it was on."""
    found = aws.answer("DescribeTimeToLive", name, lambda: aws.dynamodb().describe_time_to_live(TableName=name), TABLE)
    if found["TimeToLiveDescription"]["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}:
        return False
    wanted = template_properties()["TimeToLiveSpecification"]
    aws.answer(
        "UpdateTimeToLive",
        name,
        lambda: aws.dynamodb().update_time_to_live(TableName=name, TimeToLiveSpecification=wanted),
        TABLE,
    )
    return True


def _turn_on_recovery(aws: Aws, name: str) -> bool:
    """Turn point-in-time recovery on; return False if it was on. A new table refuses it for some seconds."""
    found = _when_ready(
        aws, "DescribeContinuousBackups", name, lambda: aws.dynamodb().describe_continuous_backups(TableName=name)
    )
    described = found["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if described.get("PointInTimeRecoveryStatus") in {"ENABLED", "ENABLING"}:
        return False
    wanted = template_properties()["PointInTimeRecoverySpecification"]
    _when_ready(
        aws,
        "UpdateContinuousBackups",
        name,
        lambda: aws.dynamodb().update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted),
    )
    return True


def _when_ready(aws: Aws, operation: str, name: str, call: Callable[[], Item]) -> Item:
    for _ in range(_MAX_CHECKS):
        found = aws.answer_unless(_NOT_READY, operation, name, call, TABLE)
        if found is not None:
            return found
        pause(_SECONDS)
    return aws.answer(operation, name, call, TABLE)


def _differences(found: Item) -> Iterator[str]:
    """Yield the differences of a table from the template, each with the value that is needed."""
    wanted = template_properties()
    present: dict[str, Any] = {
        "AttributeDefinitions": found.get("AttributeDefinitions"),
        "KeySchema": found.get("KeySchema"),
        "BillingMode": found.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "DeletionProtectionEnabled": found.get("DeletionProtectionEnabled", False),
        "SSESpecification": {"SSEEnabled": found.get("SSEDescription", {}).get("Status") in {"ENABLED", "ENABLING"}},
    }
    for name, value in present.items():
        is_same = _in_fixed_order(value) == _in_fixed_order(wanted[name])
        if not is_same:
            yield f"{name} is {value}, and must be {wanted[name]}"


def _in_fixed_order(value: object) -> object:
    """Return a value whose order has no meaning, in a fixed order."""
    return sorted(value, key=str) if isinstance(value, list) else value
