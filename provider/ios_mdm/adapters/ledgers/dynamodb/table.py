"""Reads and writes of one DynamoDB table, with repetitions after conflicts and throttling."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, cast

from ios_mdm.adapters.aws import TABLE
from ios_mdm.errors import DeliveryError, StoreError
from ios_mdm.parallel import run_concurrently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ios_mdm.adapters.aws import Aws
    from ios_mdm.adapters.ledgers.dynamodb.client import Item

__all__ = ["MAX_ACTIONS", "MAX_PARALLEL", "Action", "Attempts", "Key", "Outcome", "Table", "table_url"]

T = TypeVar("T")
Result = TypeVar("Result")

MAX_ACTIONS: Final = 100
"""Maximum number of items in a transaction, and of keys in a BatchGetItem."""

MAX_ATTEMPTS: Final = 12
"""Attempts at one change. Their waits are at most 21 s in total. botocore repeats single calls in addition."""

MAX_PARALLEL: Final = 8
_FIRST_WAIT: Final = 0.05
_MAX_WAIT: Final = 3.0

_BUSY: Final = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""Error codes of a call, and reasons of a canceled transaction, after which the same write can succeed later."""
_CANCELED: Final = "TransactionCanceledException"
_CHANGED: Final = frozenset({"ConditionalCheckFailed"})
_NO_REASON: Final = frozenset({"", "None"})


class Key(NamedTuple):
    """Key of an item: partition key and sort key."""

    pk: str
    sk: str

    @property
    def attributes(self) -> Item:
        """The key in the form of the API."""
        return {"pk": {"S": self.pk}, "sk": {"S": self.sk}}


class Action(NamedTuple):
    """A part of a transaction.

    Args:
        key: key of the item. A transaction has each item once.
        kind: ``Put``, ``Update`` or ``Delete``.
        parameters: parameters of this kind without the name of the table.
    """

    key: Key
    kind: str
    parameters: Item


class Outcome(Enum):
    """Outcome of a transaction. Unless it is ``DONE``, nothing was written by this attempt."""

    DONE = "done"
    CHANGED = "changed"
    """An item is not as it was read. An earlier attempt whose answer was lost can be the reason."""
    BUSY = "busy"
    """Another transaction uses an item, or DynamoDB throttles."""


def pause(seconds: float) -> None:
    """Wait before another attempt. Tests replace this function."""
    time.sleep(seconds)


def table_url(name: str) -> str:
    """Return the URL of the ledger in the table of this name."""
    return f"dynamodb://{name}"


@dataclass(slots=True)
class Attempts:
    """Counts the attempts at one change, and waits between them.

    Args:
        url: URL of the ledger, for the error.
    """

    url: str
    count: int = 0

    def wait(self, *, is_busy: bool = True) -> None:
        """Wait before the next attempt. If only an item was changed, the wait is short.

        Raises:
            DeliveryError: There were too many attempts.
        """
        self.count += 1
        if self.count >= MAX_ATTEMPTS:
            raise DeliveryError(
                f"the ledger {self.url} cannot be used: DynamoDB throttles, or other processes changed the same "
                f"records during each of {MAX_ATTEMPTS} attempts. Wait a minute, and run again"
            )
        limit = min(_MAX_WAIT, _FIRST_WAIT * 2**self.count) if is_busy else _FIRST_WAIT
        pause(random.uniform(0, limit))  # noqa: S311 - spreads writers that collided


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the keys ``pk`` and ``sk``. Each method raises a ``DeliveryError`` if the table cannot be used.

    All reads are strongly consistent.

    Args:
        aws: access to AWS.
        name: name of the table.
        parallel: maximum number of calls at the same time.
    """

    aws: Aws = field(repr=False)
    name: str
    parallel: int = MAX_PARALLEL

    @property
    def url(self) -> str:
        """URL of the ledger in this table."""
        return table_url(self.name)

    def answer(self, operation: str, call: Callable[[], T]) -> T:
        """Return the result of a call, or raise a ``DeliveryError`` with the name of the ledger."""
        try:
            return self.aws.answer(operation, self.name, call, TABLE)
        except StoreError as error:
            message = f"the ledger {self.url} cannot be used: {str(error).removesuffix('.')}"
        raise DeliveryError(message)

    def items(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Return the items with these keys. An item that does not exist is left out."""
        wanted = list(dict.fromkeys(keys))
        parts = [wanted[start : start + MAX_ACTIONS] for start in range(0, len(wanted), MAX_ACTIONS)]
        found: dict[Key, Item] = {}
        for part in self.each(parts, self._part):
            found.update(part)
        return found

    def each(self, arguments: Sequence[T], call: Callable[[T], Result]) -> Iterator[Result]:
        """Yield the results of *call* for each argument, in their order. Some calls run in parallel."""
        for start in range(0, len(arguments), self.parallel):
            part = arguments[start : start + self.parallel]
            futures = run_concurrently([partial(call, one) for one in part])
            for future in futures:
                yield future.result()

    def query(self, pk: str) -> Iterator[Item]:
        """Yield the items of a partition, sorted by sort key."""
        after: str | None = ""
        while after is not None:
            items, after = self.page(pk, after)
            yield from items

    def page(self, pk: str, after: str, limit: int | None = None) -> tuple[Sequence[Item], str | None]:
        """Return the first items of a partition whose sort key is greater than *after*, and the last key that was read.

        The key is None if there are no further items.

        Args:
            pk: partition key.
            after: sort key; empty for the start of the partition.
            limit: maximum number of items; None for the maximum of DynamoDB, 1 MB.
        """
        values = {":pk": {"S": pk}} | ({":sk": {"S": after}} if after else {})
        request: Item = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk AND sk > :sk" if after else "pk = :pk",
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
        } | ({} if limit is None else {"Limit": limit})
        page = self.answer("Query", lambda: self.aws.dynamodb().query(**request))
        last = page.get("LastEvaluatedKey")
        return page["Items"], last["sk"]["S"] if last else None

    def write(self, actions: Sequence[Action]) -> Outcome:
        """Write items in one transaction."""
        items = [{one.kind: {"TableName": self.name, **one.parameters}} for one in actions]
        reasons = self.answer("TransactWriteItems", lambda: self._reasons(items))
        if not reasons:
            return Outcome.DONE
        unknown = [code for code, _ in reasons if code not in _BUSY | _CHANGED | _NO_REASON]
        if unknown:
            text = next(message for code, message in reasons if code == unknown[0])
            raise DeliveryError(
                f"the ledger {self.url} cannot be used: DynamoDB reports {unknown[0]} ({text}). See the AWS "
                "documentation of this error, and run again"
            )
        return Outcome.BUSY if any(code in _BUSY for code, _ in reasons) else Outcome.CHANGED

    def _reasons(self, items: Sequence[Item]) -> Sequence[tuple[str, str]]:
        """Write items; return the reasons if DynamoDB canceled the transaction, each with code and message."""
        from botocore.exceptions import ClientError

        try:
            # botocore adds a ClientRequestToken. It has no effect on the result: each transaction has a condition that
            # fails if it was already written.
            self.aws.dynamodb().transact_write_items(TransactItems=items)
        except ClientError as refusal:
            code = str(refusal.response.get("Error", {}).get("Code", ""))
            if code in _BUSY:
                return [(code, "")]
            if code != _CANCELED:
                raise
            reasons = cast("Item", refusal.response).get("CancellationReasons", ())
            return [(str(one.get("Code", "")), str(one.get("Message", ""))) for one in reasons] or [(_CANCELED, "")]
        return ()

    def _part(self, keys: Sequence[Key]) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        attempts = Attempts(self.url)
        missing: Item = {self.name: {"Keys": [one.attributes for one in keys], "ConsistentRead": True}}
        while missing:
            request = missing
            page = self.answer("BatchGetItem", lambda: self.aws.dynamodb().batch_get_item(RequestItems=request))  # noqa: B023 - called at once
            for item in page["Responses"].get(self.name, ()):
                found[Key(item["pk"]["S"], item["sk"]["S"])] = item
            missing = page.get("UnprocessedKeys") or {}
            if missing:
                attempts.wait()
        return found
