"""The used part of botocore's client for DynamoDB. Parameters and results have the form of the API."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Item", "TableClient"]

Item = dict[str, Any]
"""A request, an answer or an item with typed values, such as ``{"pk": {"S": "text"}}``."""


class TableClient(Protocol):
    """Operations on one table and its items."""

    def batch_get_item(self, **parameters: object) -> Item:
        """Return items by their keys."""

    def query(self, **parameters: object) -> Item:
        """Return a page of the items with one partition key, sorted by sort key."""

    def transact_write_items(self, **parameters: object) -> Item:
        """Write several items, or none."""

    def create_table(self, **parameters: object) -> Item:
        """Create a table."""

    def describe_table(self, **parameters: object) -> Item:
        """Return the properties of a table."""

    def describe_time_to_live(self, **parameters: object) -> Item:
        """Return whether items have a time to live."""

    def update_time_to_live(self, **parameters: object) -> Item:
        """Set the attribute with the time to live."""

    def describe_continuous_backups(self, **parameters: object) -> Item:
        """Return whether the table can be restored to a point in time."""

    def update_continuous_backups(self, **parameters: object) -> Item:
        """Turn point-in-time recovery on."""
