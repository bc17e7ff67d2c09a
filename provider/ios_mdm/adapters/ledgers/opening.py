"""Opens a ledger by its URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.ledgers import sqlite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ios_mdm.adapters.aws import Aws
    from ios_mdm.ports import Ledger

__all__ = ["open_ledger", "table_name"]

_TABLE: Final = re.compile(r"dynamodb://([A-Za-z0-9_.-]{3,255})")


def table_name(url: str) -> str | None:
    """Return the name of the DynamoDB table of a ledger; None if the URL has another form."""
    found = _TABLE.fullmatch(url)
    return None if found is None else found[1]


def open_ledger(url: str, *, base: Path, aws: Callable[[], Aws]) -> Ledger:
    """Return the ledger that *url* names. Nothing is opened or created, and AWS is not contacted.

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``dynamodb://table``.
        base: folder of the project, which relative paths start from.
        aws: returns the access to the region of a DynamoDB table.

    Raises:
        DefinitionError: *url* has another form.
    """
    table = table_name(url)
    if table is not None:
        from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger

        return DynamoDbLedger.of_table(table, aws=aws())
    return sqlite.open_ledger(url, base=base)
