"""Ledgers in DynamoDB tables of an emulator."""

from __future__ import annotations

from typing import Any, Self
from uuid import uuid4

from ios_mdm.adapters.aws import Aws
from ios_mdm.adapters.ledgers.dynamodb.creation import template_properties
from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger
from ios_mdm.adapters.ledgers.dynamodb.table import MAX_PARALLEL, Table
from tools.services import ministack

__all__ = ["Tables"]


class Tables:
    """Creates tables in an emulator, and deletes them at the end of a ``with`` block.

    Args:
        url: URL of the emulator.
        parallel: maximum number of calls at the same time. moto loses writes if two transactions run in parallel.
    """

    def __init__(self, url: str, *, parallel: int = MAX_PARALLEL) -> None:
        self.aws = Aws(environ={**ministack.CREDENTIALS, "AWS_ENDPOINT_URL": url})
        self.parallel = parallel
        self._names: list[str] = []

    def __enter__(self) -> Self:
        """Return the object."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Delete the tables, because moto copies all tables in each transaction."""
        client: Any = self.aws.dynamodb()
        for name in self._names:
            client.delete_table(TableName=name)

    def new_ledger(self) -> DynamoDbLedger:
        """Return the ledger in a new table. It has only the properties on which reads and writes depend."""
        name = f"ledger-{uuid4()}"
        wanted = template_properties()
        keys = {key: wanted[key] for key in ("AttributeDefinitions", "KeySchema", "BillingMode")}
        self.aws.dynamodb().create_table(TableName=name, **keys)
        self._names.append(name)
        return DynamoDbLedger(Table(self.aws, name, self.parallel))
