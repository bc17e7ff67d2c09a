"""Tests of the thread that works on new devices."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ios_mdm.app.collector import background
from ios_mdm.app.collector.background import Background

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

SECONDS = 30.0
"""Limit of each wait for another thread; only a failing test reaches it."""


class Work:
    """Records the ids of each call. The calls wait until the test permits them."""

    def __init__(self) -> None:
        """Start without a permission."""
        self.calls: list[Sequence[str]] = []
        self.has_begun = threading.Event()
        self.permission = threading.Event()

    def __call__(self, ids: Sequence[str]) -> None:
        """Record a call."""
        self.calls.append(ids)
        self.has_begun.set()
        assert self.permission.wait(SECONDS)


def test_devices_are_added_while_the_mdm_server_hangs() -> None:
    """The thread of the webhook never waits. Devices that wait are passed together, each once."""  # R43
    work = Work()
    with Background(work, gather=0) as one:
        one.add(["D1"])
        assert work.has_begun.wait(SECONDS)
        one.add(["D2", "D3"])
        one.add(["D2"])
        work.permission.set()
    assert work.calls == [["D1"], ["D2", "D3"]]


def test_the_end_finishes_the_work_that_waits() -> None:
    """The end of the block does not wait for further devices."""  # R43
    work = Work()
    work.permission.set()
    with Background(work, gather=SECONDS) as one:
        one.add(["D1", "D2"])
    assert work.calls == [["D1", "D2"]]


def test_work_that_hangs_is_left_to_the_next_up(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the process does not wait for an MDM server that hangs."""  # R43
    work = Work()
    with Background(work, gather=0, patience=0) as one:
        one.add(["D1"])
        assert work.has_begun.wait(SECONDS)
    assert "The next `pulumi up` sends it" in caplog.text
    work.permission.set()


def test_the_number_of_waiting_devices_is_limited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Devices over the limit are left to the next `up`, with a line in the log."""  # R40 R43
    monkeypatch.setattr(background, "MAX_WAITING", 2)
    work = Work()
    with Background(work, gather=0) as one:
        one.add(["D1"])
        assert work.has_begun.wait(SECONDS)
        one.add(["D2", "D3", "D4", "D5"])
        one.add(["D2", "D3"])
        work.permission.set()
    assert work.calls == [["D1"], ["D2", "D3"]]
    (line,) = caplog.messages
    assert line.startswith("the profile is not sent to 2 new devices")


def test_an_error_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """An error that is a bug is logged, and the next devices are worked on."""  # R43
    done = threading.Event()

    def fail_first(ids: Sequence[str]) -> None:
        if ids == ["D1"]:
            one.add(["D2"])
            raise ZeroDivisionError
        done.set()

    with Background(fail_first, gather=0) as one:
        one.add(["D1"])
        assert done.wait(SECONDS)
    assert "not sent to 1 new devices" in caplog.text
