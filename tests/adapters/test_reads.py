"""Tests of the cache of reads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ios_mdm.adapters.reads import Reads


def test_a_read_in_progress_is_not_repeated() -> None:
    """A second thread waits for the result of the first call."""
    reads, started, released = Reads(), threading.Event(), threading.Event()

    def answer() -> str:
        started.set()
        assert released.wait(60)
        return "answer"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reads.outcome, "key", answer)
        assert started.wait(60)
        second = pool.submit(reads.outcome, "key", lambda: "another answer")
        released.set()
        assert (first.result(), second.result()) == ("answer", "answer")


def test_an_error_is_kept_like_a_result() -> None:
    """A refused read is not repeated either."""
    reads = Reads()

    def refuse() -> str:
        raise LookupError("refused")

    with pytest.raises(LookupError, match="refused"):
        reads.outcome("key", refuse)
    with pytest.raises(LookupError, match="refused"):
        reads.outcome("key", lambda: "answer")
    assert reads.outcome("another key", lambda: "answer") == "answer"
