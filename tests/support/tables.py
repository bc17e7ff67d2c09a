"""Ledgers in DynamoDB tables of an emulator, and calls that fail as AWS and the network let them fail."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError

from ios_mdm.adapters.aws import Aws
from ios_mdm.adapters.ledgers.dynamodb.counters import counters
from ios_mdm.adapters.ledgers.dynamodb.creation import template_properties
from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger
from ios_mdm.adapters.ledgers.dynamodb.table import MAX_PARALLEL, Table
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ios_mdm.core.ledger.cells import Cell

__all__ = [
    "Calls",
    "Crash",
    "Tables",
    "cells_by_counters",
    "cells_by_devices",
    "crash_after",
    "crash_before",
    "lost_answer",
    "refusal",
]


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


def cells_by_counters(ledger: DynamoDbLedger, server: str) -> Counter[Cell]:
    """Return the number of devices in each cell, from the counters."""
    return Counter({cell: number for cell, number in counters(ledger.table, server).items() if number})


def cells_by_devices(ledger: DynamoDbLedger, server: str) -> Counter[Cell]:
    """Return the number of devices in each cell, from the devices."""
    found = [device.device.cells for _, device in ledger.stored_devices()]
    return Counter(cells[server] for cells in found if server in cells)


class Crash(BaseException):
    """The process ended."""


@dataclass(slots=True)
class Calls:
    """Counts the calls of a client to DynamoDB, and lets one of them fail.

    Args:
        fault: called with the request of the call that fails, and with the function that sends it. It returns an
            answer, or raises an error.
        at: number of the call that fails, from 0; None for each call.
        operation: count only calls of this operation; empty for all.
        count: number of requests, also of those that botocore repeats.
    """

    fault: Callable[[AWSPreparedRequest, Callable[[], AWSResponse]], AWSResponse | None] | None = None
    at: int | None = None
    operation: str = "TransactWriteItems"
    count: int = 0

    @contextlib.contextmanager
    def __call__(self, aws: Aws) -> Iterator[Self]:
        """Count the calls in a ``with`` block, and let one fail."""
        client: Any = aws.dynamodb()
        send = client._endpoint.http_session.send

        def before_send(request: AWSPreparedRequest, **_rest: object) -> AWSResponse | None:
            number, self.count = self.count, self.count + 1
            if self.fault is None or self.at not in {None, number}:
                return None
            return self.fault(request, lambda: send(request))

        name = f"before-send.dynamodb.{self.operation}".rstrip(".")
        client.meta.events.register("before-call.dynamodb", _remove_token)
        client.meta.events.register(name, before_send)
        try:
            yield self
        finally:
            client.meta.events.unregister(name, before_send)
            client.meta.events.unregister("before-call.dynamodb", _remove_token)


def _remove_token(*, params: dict[str, Any], **_rest: object) -> None:
    """Remove the token that makes a repeated transaction a copy: moto ignores it, and AWS knows it for 10 minutes."""
    body = json.loads(params["body"])
    body.pop("ClientRequestToken", None)
    params["body"] = json.dumps(body).encode()


def refusal(code: str, **content: object) -> Callable[..., AWSResponse]:
    """Return a fault: DynamoDB refuses a call with this code."""
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **content}).encode()

    class Raw:
        def stream(self, **_rest: object) -> Iterator[bytes]:
            yield body

    def fault(request: AWSPreparedRequest, _send: object) -> AWSResponse:
        headers: Any = HeadersDict({"Content-Type": "application/x-amz-json-1.0"})
        return AWSResponse(request.url, 400, headers, Raw())

    return fault


def lost_answer(request: AWSPreparedRequest, send: Callable[[], AWSResponse]) -> AWSResponse:
    """Send a request, and lose the answer."""
    send()
    raise ConnectionClosedError(endpoint_url=request.url)


def crash_before(_request: AWSPreparedRequest, _send: object) -> AWSResponse:
    """End the process before a request is sent."""
    raise Crash


def crash_after(_request: AWSPreparedRequest, send: Callable[[], AWSResponse]) -> AWSResponse:
    """End the process after a request was sent."""
    send()
    raise Crash
