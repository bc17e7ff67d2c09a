"""Runs several calls in parallel."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["run_concurrently", "run_sequentially"]

T = TypeVar("T")


def run_concurrently(calls: Sequence[Callable[[], T]]) -> Sequence[Future[T]]:
    """Run calls that do not depend on each other, and return when all have ended.

    Args:
        calls: calls to run, each in a separate thread; the last one runs in the thread of the caller.

    Returns:
        The result or the exception of each call, in the order of *calls*.
    """
    futures: list[Future[T]] = [Future() for _ in calls]
    pairs = list(zip(calls, futures, strict=True))
    threads = [threading.Thread(target=_run, args=pair, name="at-once") for pair in pairs[:-1]]
    for thread in threads:
        thread.start()
    for pair in pairs[-1:]:
        _run(*pair)
    for thread in threads:
        thread.join()
    return futures


def run_sequentially(calls: Sequence[Callable[[], T]]) -> Sequence[Future[T]]:
    """Run calls one after the other; otherwise like :func:`at_once`. For calls that do not wait, threads cost more."""
    futures: list[Future[T]] = [Future() for _ in calls]
    for call, future in zip(calls, futures, strict=True):
        _run(call, future)
    return futures


def _run(call: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(call())
    except Exception as error:  # noqa: BLE001 - the caller gets it from the future
        future.set_exception(error)
