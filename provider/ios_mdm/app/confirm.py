"""Repeats a read of AWS that is not as expected for some seconds, because reads may lag behind writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

__all__ = ["CONFIRM_SECONDS", "confirmed"]

CONFIRM_SECONDS = 10.0
"""How long a read may lag behind the last write. AWS documents no limit; some seconds were seen."""

T = TypeVar("T")

pause = time.sleep
"""Waits between two reads; tests replace it."""


def confirmed(read: Callable[[], T], is_expected: Callable[[T], bool], *, seconds: float = CONFIRM_SECONDS) -> T:
    """Return the first answer that is as expected, or the last one after reading for this many seconds.

    Args:
        read: reads from AWS.
        is_expected: whether an answer is as this process expects it after its last write.
        seconds: for how long an answer that is not expected is read again.
    """
    from tenacity import Retrying, retry_if_result, wait_exponential

    return Retrying(
        retry=retry_if_result(lambda answer: not is_expected(answer)),
        wait=wait_exponential(multiplier=0.1, max=2),
        stop=lambda state: state.idle_for >= seconds,
        sleep=pause,
        retry_error_callback=_last,
    )(read)


def _last(state: RetryCallState) -> T:  # type: ignore[type-var] # of the answer that was read
    assert state.outcome is not None  # noqa: S101 - the read has returned
    answer: T = state.outcome.result()
    return answer
