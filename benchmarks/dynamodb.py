"""Measures a ledger in DynamoDB on the emulator: events, a queued profile, and the counts of `status`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ios_mdm.core.ledger.registers import NEVER, microseconds
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, DeviceState, EnqueuedCommand, StatePolicy
from tests.support.tables import Tables
from tools.services import ministack, process
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger

_START = datetime(2040, 1, 1, tzinfo=UTC)
_BATCH = 500
"""Devices of one call to the MDM server."""


@contextmanager
def _print_time(what: str, count: int) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds = time.perf_counter() - begin
    print(f"{what}: {seconds:.2f} s, {count / seconds:,.0f}/s")


def _event(number: int, *, command: str = "") -> DeviceEvent:
    answer = Answer(command_uuid=command, status=AnswerStatus.ACKNOWLEDGED) if command else None
    return DeviceEvent(
        identity=uuid4().bytes,
        at=_START + timedelta(seconds=bool(command)),
        topic="mdm.Connect",
        enrollment_id=f"{number:040d}",
        enrolled=True,
        answer=answer,
    )


def _measure(ledger: DynamoDbLedger, count: int) -> None:
    ids = [f"{number:040d}" for number in range(count)]
    published = ledger.publish("berlin", b"x" * 100_000, certificates=[b"1" * 32], seed=uuid4(), at=_START)
    with _print_time(f"{count:,} enrollments in batches of {_BATCH}", count):
        for start in range(0, count, _BATCH):
            ledger.record_events([_event(one) for one in range(start, start + _BATCH)], now=_START)
    queued = count // 10
    with _print_time(f"{queued:,} queued in batches of {_BATCH}", queued):
        for start in range(0, queued, _BATCH):
            epochs = dict.fromkeys(ids[start : start + _BATCH], NEVER)
            ledger.record_commands(
                [EnqueuedCommand(command_uuid=f"c{start}", epochs=epochs, at=_START)], publication=published
            )
    with _print_time("one batch, again", _BATCH):
        ledger.record_commands(
            [EnqueuedCommand(command_uuid="c0", epochs=dict.fromkeys(ids[:_BATCH], NEVER), at=_START)],
            publication=published,
        )
    policy = StatePolicy(revision=1, silent_before=microseconds(_START - timedelta(days=7)))
    with _print_time("counts", count):
        assert ledger.counts("berlin", policy)[DeviceState.QUEUED] == queued
    answered = range(0, queued, 10)
    with _print_time(f"{len(answered):,} acknowledgements in batches of 64", len(answered)):
        for start in range(0, len(answered), 64):
            part = answered[start : start + 64]
            ledger.record_events([_event(one, command=f"c{one // _BATCH * _BATCH}") for one in part], now=_START)
    for _ in range(3):
        with _print_time("counts", count):
            found = ledger.counts("berlin", policy)
    assert found[DeviceState.ACKNOWLEDGED] == len(answered)
    with _print_time("one event in one call", 1):
        ledger.record_events([_event(1)], now=_START)
    open_day = StatePolicy(revision=1, silent_before=microseconds(_START + timedelta(hours=1)))
    with _print_time("counts, with devices that become silent on this day", count):
        ledger.counts("berlin", open_day)
    with _print_time("waiting, with a list of all devices", count):
        assert len(ledger.waiting("berlin", 1, enrollment_ids=ids)) == count - queued


def main() -> None:
    """Measure with the number of devices in the first argument, or with 100,000."""
    os.environ.update(ministack.CREDENTIALS)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        service = ministack.service(Toolchain.load().ministack, state / "data")
        try:
            with Tables(process.ensure(state, service).url) as tables:
                _measure(tables.new_ledger(), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
        finally:
            process.stop(state, service.name)


if __name__ == "__main__":
    main()
