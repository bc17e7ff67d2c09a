"""A program sends no debug messages and collects no garbage."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pulumi
import pytest
from pulumi.runtime import settings

from components import reduce_overhead

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Engine:
    """Records the messages that it receives."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def Log(self, request: object) -> None:  # noqa: N802 - the protocol's name
        self.messages.append(request.message)  # type: ignore[attr-defined]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Engine]:
    """Return an engine, and undo the changes of the process afterwards."""
    found = _Engine()
    monkeypatch.setattr(settings, "get_engine", lambda: found)
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)
    yield found
    gc.enable()


def test_messages_for_the_user_are_sent_and_debug_messages_are_not(engine: _Engine) -> None:
    """The SDK's own debug messages are left out, too, because it calls the same function."""
    pulumi.log.debug("before")
    reduce_overhead()
    pulumi.log.debug("preparing a resource")
    pulumi.log.warn("a warning")
    pulumi.log.error("an error")
    assert engine.messages == ["before", "a warning", "an error"]


def test_no_garbage_is_collected(engine: _Engine) -> None:
    """Garbage collection is off, because the program ends soon."""
    del engine
    assert gc.isenabled()
    reduce_overhead()
    assert not gc.isenabled()
