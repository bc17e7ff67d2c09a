"""Numbers of devices in each cell. Each number is the sum of several items, because one item takes few transactions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ios_mdm.adapters.ledgers.dynamodb.items import counter_partition
from ios_mdm.adapters.ledgers.dynamodb.table import Action, Key
from ios_mdm.core.ledger.cells import Cell

if TYPE_CHECKING:
    from ios_mdm.adapters.ledgers.dynamodb.table import Table

__all__ = ["counters", "delete_empty_cells"]


def counters(table: Table, server: str) -> Counter[Cell]:
    """Return the number of devices in each cell of a server; of the cells without a server for an empty name."""
    found: Counter[Cell] = Counter()
    for text, shards in _shards(table, server).items():
        found[Cell.from_text(text)] += sum(shards.values())
    return found


def delete_empty_cells(table: Table, server: str) -> None:
    """Delete the items of each cell without devices. A cell that changes concurrently is left for the next time."""
    for shards in _shards(table, server).values():
        if sum(shards.values()) == 0:
            table.write([_delete(key, number) for key, number in shards.items()])


def _shards(table: Table, server: str) -> dict[str, dict[Key, int]]:
    """Return the items of each cell with their numbers, by the text of the cell."""
    found: dict[str, dict[Key, int]] = {}
    for item in table.query(counter_partition(server)):
        key = Key(item["pk"]["S"], item["sk"]["S"])
        found.setdefault(key.sk.rpartition("#")[0], {})[key] = int(item["n"]["N"])
    return found


def _delete(key: Key, number: int) -> Action:
    condition = {"ConditionExpression": "n = :n", "ExpressionAttributeValues": {":n": {"N": str(number)}}}
    return Action(key, "Delete", {"Key": key.attributes} | condition)
