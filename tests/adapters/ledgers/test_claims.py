"""Contract of ``Ledger.claim_push``: at most three commands without a request of the user for a device in a day."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.events import record_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from ios_mdm.ports import Ledger

START = datetime(2040, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    """An empty ledger."""
    return new_ledger()


def test_a_device_has_three_claims_in_a_day(ledger: Ledger) -> None:
    """A refused claim is not counted. Each device has separate claims."""  # R43
    assert [ledger.claim_push("a", at=START + number * HOUR) for number in range(5)] == [True] * 3 + [False] * 2
    assert ledger.claim_push("b", at=START)
    day = START + 24 * HOUR
    assert not ledger.claim_push("a", at=day - timedelta(microseconds=1))
    assert [ledger.claim_push("a", at=day) for _ in range(2)] == [True, False]
    assert [ledger.claim_push("a", at=day + 2 * HOUR) for _ in range(3)] == [True, True, False]


def test_the_limit_and_the_window_are_parameters(ledger: Ledger) -> None:
    """A later claim counts, because a clock can be set back."""  # R43
    assert ledger.claim_push("a", at=START + HOUR, limit=1, window=HOUR)
    assert not ledger.claim_push("a", at=START, limit=1, window=HOUR)
    assert ledger.claim_push("a", at=START + 2 * HOUR, limit=1, window=HOUR)
    assert not ledger.claim_push("b", at=START, limit=0)


def test_concurrent_claims_are_counted_one_after_the_other(ledger: Ledger, request: pytest.FixtureRequest) -> None:
    """Of many claims at the same time, three are granted."""  # R43
    threads = 1 if "moto" in request.node.name else 8  # moto loses writes of parallel transactions
    with ThreadPoolExecutor(threads) as pool:
        granted = list(pool.map(lambda _: ledger.claim_push("a", at=START), range(16)))
    assert sorted(granted) == [False] * 13 + [True] * 3


def test_claims_of_a_deleted_device_are_deleted(ledger: Ledger) -> None:
    """They are data of the device."""
    for number in range(3):
        assert ledger.claim_push("a", at=START + number * HOUR)
    record_device(ledger, "a", enrolled=False, at=START)
    assert ledger.delete_devices(left_before=START + HOUR) == 1
    assert ledger.claim_push("a", at=START + 3 * HOUR)
