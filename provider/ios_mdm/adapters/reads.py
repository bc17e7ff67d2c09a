"""Keeps what was read for one check, so that it can be read ahead, and is read once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from ios_mdm.core.pair.observed import Served
    from ios_mdm.ports import Probe

__all__ = ["KEPT", "Reads", "ReadsProbe"]

T = TypeVar("T")

KEPT = frozenset({"DescribeSecret", "GetSchedule", "GetRole", "GetRolePolicy", "GetQueueUrl"})
"""Calls of AWS whose answer depends on nothing but the name that they are made for, in one region."""


class Reads:
    """Outcomes of reads: a result, or the exception that was raised.

    Give one object to one check only, and never to what writes: it decides from what it reads itself.
    """

    def __init__(self) -> None:
        self._outcomes: dict[Hashable, tuple[object, Exception | None]] = {}
        self._lock = threading.Lock()

    def outcome(self, key: Hashable, call: Callable[[], T]) -> T:
        """Return what *call* returned or raise what it raised when *key* was asked for first; make that call now."""
        with self._lock:
            found = self._outcomes.get(key)
        if found is None:
            found = _called(call)
            with self._lock:
                self._outcomes[key] = found
        result, error = found
        if error is not None:
            raise error
        return cast("T", result)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsProbe:
    """A ``Probe`` that looks once.

    Args:
        probe: looks.
        reads: keeps what it saw.
    """

    probe: Probe
    reads: Reads = field(repr=False)

    def served(self, host: str, endpoints: Sequence[str]) -> tuple[Served, ...]:
        """Return the certificate that each endpoint presents; never raises."""
        key = ("served", host, tuple(endpoints))
        return self.reads.outcome(key, lambda: self.probe.served(host, endpoints))


def _called(call: Callable[[], object]) -> tuple[object, Exception | None]:
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - raised by `outcome`
        return None, error
