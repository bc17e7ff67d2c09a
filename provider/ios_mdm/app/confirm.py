"""Repeats a read from AWS for some seconds until it returns the expected answer, because reads can be stale."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

__all__ = ["CONFIRM_SECONDS", "read_until"]

CONFIRM_SECONDS = 10.0
"""Seconds after a write in which reads can be stale. AWS documents no limit; some seconds were observed."""

T = TypeVar("T")

pause = time.sleep
"""Wait between two reads. Tests replace this function."""


def read_until(read: Callable[[], T], is_expected: Callable[[T], bool], *, seconds: float = CONFIRM_SECONDS) -> T:
    """Return the first expected answer, or the last answer after *seconds*.

    Args:
        read: reads from AWS.
        is_expected: returns whether an answer shows the last write of this process.
        seconds: total time of the waits between the reads.
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
