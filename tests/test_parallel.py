"""Parallel calls."""

from __future__ import annotations

import threading

import pytest

from ios_mdm.parallel import run_concurrently, run_sequentially


def test_calls_run_at_once() -> None:
    """Each call ends only after all calls have begun."""
    barrier = threading.Barrier(4, timeout=30)
    assert sorted(future.result() for future in run_concurrently([barrier.wait] * 4)) == [0, 1, 2, 3]


def test_results_and_errors_keep_the_order_of_the_calls() -> None:
    """The first call ends last, but its result is the first one."""
    last = threading.Event()

    def slow() -> str:
        assert last.wait(timeout=30)
        raise ValueError("slow")

    def quick() -> str:
        last.set()
        return "quick"

    first, second = run_concurrently([slow, quick])
    assert second.result() == "quick"
    with pytest.raises(ValueError, match="slow"):
        first.result()


def test_no_calls_give_no_results() -> None:
    """An empty list is allowed."""
    assert run_concurrently([]) == []


def test_calls_in_turn_run_in_the_thread_of_the_caller() -> None:
    """Calls after a failed call still run."""

    def refused() -> int:
        raise ValueError("refused")

    first, second = run_sequentially([refused, threading.get_ident])
    assert second.result() == threading.get_ident()
    with pytest.raises(ValueError, match="refused"):
        first.result()
