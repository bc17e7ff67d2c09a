"""Tests of the rules of ``core.ledger`` in SQL: they give the states of the pure rules for random records."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from ios_mdm.adapters.ledgers.database import Database
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.core.ledger.registers import NEVER, Finality, time_of
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceState, StatePolicy

if TYPE_CHECKING:
    from pathlib import Path

DEVICES: Final = 6_000
TIMES: Final = (NEVER, NEVER, 1, 2, 3)
CERTIFICATES: Final = (bytes(32), b"1" * 32)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> SqliteLedger:
    """A ledger whose records have random registers with few different times. Some devices have only one record."""
    path: Path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    ledger, numbers = SqliteLedger(path), random.Random(1)  # noqa: S311 - test data
    ledger.publish("berlin", b"x", certificates=CERTIFICATES, seed=uuid4(), at=time_of(1))
    with Database(path).writing() as connection:
        for number in range(DEVICES):
            times = numbers.choices(TIMES, k=5) if number % 10 else [NEVER] * 5
            if number % 10:
                connection.execute("INSERT INTO device VALUES (?, ?, ?, ?, ?, ?)", (f"{number:04}", *times))
            if number % 7:
                queued, epoch, acknowledged, answered_queued, answered = numbers.choices(TIMES, k=5)
                progress = (
                    queued,
                    epoch,
                    acknowledged,
                    answered_queued,
                    int(numbers.choice(list(Finality))),
                    answered,
                    "",
                )
                connection.execute(
                    "INSERT INTO delivery VALUES ('berlin', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (f"{number:04}", numbers.choice((1, 1, 2)), *progress),
                )
            listed = times[3]  # no report is later than the last list
            for certificate in (1, 2) if listed != NEVER else ():
                if numbers.random() < 0.8:
                    row = (f"{number:04}", certificate, numbers.choice((listed, max(1, listed - 1))))
                    connection.execute("INSERT INTO report VALUES (?, ?, ?)", row)
    return ledger


IDS: Final = tuple(f"{number:04}" for number in range(DEVICES + 1))
POLICIES: Final = [
    StatePolicy(revision=revision, certificates=frozenset(certificates), silent_before=silent_before)
    for revision, certificates, silent_before in itertools.product(
        (None, 1, 2), ((), CERTIFICATES[:1], CERTIFICATES, (*CERTIFICATES, b"2" * 32)), (NEVER, 2, 3)
    )
]


@pytest.mark.parametrize("listed", [False, True])
def test_each_state_has_the_number_of_the_pure_rules(ledger: SqliteLedger, *, listed: bool) -> None:
    """Each state occurs, with any profile, certificates and time of silence."""  # R41 R42 R44
    ids = IDS if listed else None
    records = list(ledger.devices("berlin", enrollment_ids=ids))
    seen = set[DeviceState]()
    for policy in POLICIES:
        expected = Counter(device_status(one, policy).state for one in records)
        counted = ledger.counts("berlin", policy, enrollment_ids=ids)
        assert counted == {state: expected[state] for state in DeviceState}
        seen |= set(expected)
    assert seen == set(DeviceState)


@pytest.mark.parametrize("revision", [None, 1, 2])
def test_the_waiting_devices_are_those_of_the_pure_rules(ledger: SqliteLedger, revision: int | None) -> None:
    """A device waits if no command and no answer of its current enrollment is known."""  # R42
    expected = {
        one.enrollment_id: one.enrollment.epoch
        for one in ledger.devices("berlin", enrollment_ids=IDS)
        if one.progress is None or one.progress.revision != revision or not one.progress.was_sent(one.enrollment.epoch)
    }
    assert 0 < len(expected) <= len(IDS)
    assert ledger.waiting("berlin", revision, enrollment_ids=IDS) == expected
