"""Keeps the answers that one check or one status reads, so that each read is made once and can be made ahead."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from ios_mdm.core.pair.observed import ServedCertificate
    from ios_mdm.ports import Probe

__all__ = ["CACHED_OPERATIONS", "Reads", "ReadsProbe"]

T = TypeVar("T")

CACHED_OPERATIONS = frozenset({"DescribeSecret", "GetSchedule", "GetRole", "GetRolePolicy", "GetQueueUrl"})
"""AWS operations whose answer depends only on the region and the name in the call."""


class Reads:
    """Outcomes of reads: a result, or the exception that was raised.

    Use an object for only one check or one status, and never for code that writes, because that code must read again.
    """

    def __init__(self) -> None:
        self._outcomes: dict[Hashable, Future[object]] = {}
        self._lock = threading.Lock()

    def outcome(self, key: Hashable, call: Callable[[], T]) -> T:
        """Return the result, or raise the exception, of the first *call* for this *key*. Later calls are not made.

        If the first call is still in progress in another thread, wait for it.
        """
        with self._lock:
            found = self._outcomes.get(key)
            is_first = found is None
            if found is None:
                found = self._outcomes[key] = Future()
        if is_first:
            try:
                found.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised by `result`
                found.set_exception(error)
        return cast("T", found.result())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsProbe:
    """A ``Probe`` that checks each address once.

    Args:
        probe: makes the TLS handshakes.
        reads: keeps the results.
    """

    probe: Probe
    reads: Reads = field(repr=False)

    def served_certificates(self, host: str, endpoints: Sequence[str]) -> tuple[ServedCertificate, ...]:
        """Return the certificate that each endpoint presents; never raises."""
        key = ("served", host, tuple(endpoints))
        return self.reads.outcome(key, lambda: self.probe.served_certificates(host, endpoints))
