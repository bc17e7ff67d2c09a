"""The checks of the kit. Each raises an AssertionError with the reason."""

from __future__ import annotations

import base64
import re
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ios_mdm.errors import BatchTooLargeError, DefinitionError, DeliveryError, IosMdmError
from tests.support.channel_kit.bench import Bench, DeviceBench, Failure
from tests.support.channel_kit.recording import recorded_logs, watched_sockets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CHECKS", "DEVICE_CHECKS", "Check", "checks_of", "failed_checks"]

Check = Callable[["Bench"], None]

_COUNT = re.compile(r"\b\d+ of \d+\b")
_INVALID = ("", "a,b", "a/b", "..", "a b", "a\n", "x" * 256)


def a_repetition_has_no_second_effect(bench: Bench) -> None:
    """A run after an interrupted one repeats its calls."""
    with _channel_of(bench) as channel:
        bench.send(channel, 1)
        before = bench.effects()
        assert before, "a call has no effect"
        bench.send(channel, 1)
    with _channel_of(bench) as channel:
        bench.send(channel, 1)
    assert bench.effects() == before, "a repeated call has a second effect"


def the_last_payload_wins(bench: Bench) -> None:
    """Effects arrive in the order of the calls."""
    with _channel_of(bench) as channel:
        for number in (2, 1, 3):
            bench.send(channel, number)
    orders = bench.effects()
    assert orders, "a call has no effect"
    wrong = {where: numbers for where, numbers in orders.items() if list(numbers) != [2, 1, 3]}
    assert not wrong, f"the order of the calls is 2, 1, 3, but the effects are {wrong}"


def notices_are_lines(bench: Bench) -> None:
    """A call returns a tuple of texts for people, each of one line."""
    with _channel_of(bench) as channel:
        found = bench.send(channel, 1)
    assert isinstance(found, tuple), "notices are not a tuple"
    assert all(isinstance(one, str) and one and len(one.splitlines()) == 1 for one in found), "a notice is not one line"


def a_far_end_that_is_down_is_a_delivery_error(bench: Bench) -> None:
    """An exception of a library is no message for people, and stops other resources of the run."""
    with _failing(bench, Failure.DOWN) as channel:
        error = _error(lambda: bench.send(channel, 1))
    assert isinstance(error, DeliveryError), f"{type(error).__name__} instead of a DeliveryError"
    assert str(error).strip(), "the error has no message"


def a_partial_failure_says_how_many(bench: Bench) -> None:
    """A call that reached only a part raises an error with the number, such as "1 of 3"."""
    with _failing(bench, Failure.PARTIAL) as channel:
        error = _error(lambda: bench.send(channel, 1))
    assert isinstance(error, DeliveryError), f"{type(error).__name__} instead of a DeliveryError"
    assert _COUNT.search(str(error)), f"the error has no count such as `1 of 3`: {error}"


def every_wait_has_a_deadline(bench: Bench) -> None:
    """A server that accepts connections and never answers must not stop a run."""
    with watched_sockets() as log, _channel_of(bench) as channel:
        bench.send(channel, 1)
    assert not log.unlimited, f"operations without a timeout: {log.unlimited}"


def only_the_far_end_is_contacted(bench: Bench) -> None:
    """A key, or the list of devices, must not get to another server. In tests, each server is on loopback."""
    with watched_sockets() as log, _channel_of(bench) as channel:
        _error(lambda: bench.send(channel, 1))
    assert not log.strangers, f"another machine is contacted: {log.strangers}"


def connections_are_closed(bench: Bench) -> None:
    """A process with many servers must not keep a connection for each call."""
    with watched_sockets() as log:
        with _channel_of(bench) as channel:
            bench.send(channel, 1)
            bench.send(channel, 2)
        assert not log.open, f"{log.open} of {len(log.clients)} connections are still open"


def the_key_is_not_in_errors(bench: Bench) -> None:
    """Also if the server repeats the request in its answer, and in exceptions that are the cause."""  # R29
    with _failing(bench, Failure.ECHO) as channel:
        error = _error(lambda: bench.send(channel, 1))
    assert isinstance(error, IosMdmError), f"{type(error).__name__} instead of an error of this program"
    shown = "".join(traceback.format_exception(error))
    assert not _has_key(bench, f"{shown}{error!r}{error.__context__!r}"), "an error shows the key"


def the_key_is_not_in_the_repr(bench: Bench) -> None:
    """Tracebacks with local variables show reprs."""  # R29
    with _channel_of(bench) as channel:
        assert not _has_key(bench, f"{channel!r}{channel}"), "the repr shows the key"


def the_key_is_not_in_logs(bench: Bench) -> None:
    """At any level, of any library."""  # R29
    with recorded_logs() as lines:
        with _channel_of(bench) as channel:
            bench.send(channel, 1)
        with _failing(bench, Failure.ECHO) as channel:
            _error(lambda: bench.send(channel, 1))
    assert not _has_key(bench, "\n".join(lines)), "a log shows the key"


def batches_keep_devices_and_order(bench: Bench) -> None:
    """Each device is in one batch. The order is that of the list, so that a run after an interrupted one continues."""
    assert isinstance(bench, DeviceBench)
    ids = [*bench.devices, *(f"DEVICE-{number}" for number in range(1201, 0, -1))]
    with _channel_of(bench) as channel:
        batches, none = bench.batches(channel, ids), bench.batches(channel, [])
    assert all(batches), "a batch is empty"
    assert [one for batch in batches for one in batch] == ids, "the batches have other devices, or another order"
    assert not none, "no devices make a batch"


def invalid_ids_are_refused_before_a_call(bench: Bench) -> None:
    """An id can address another part of an API, or break the storage of the server."""
    assert isinstance(bench, DeviceBench)
    for bad in _INVALID:
        with _failing(bench, Failure.PARTIAL) as channel:
            for call in (
                lambda channel=channel, bad=bad: bench.enqueue(channel, [bench.devices[0], bad], 1),
                lambda channel=channel, bad=bad: bench.batches(channel, [bad]),
            ):
                error = _error(call)
                assert isinstance(error, DefinitionError), f"the id {bad[:9]!r} is not refused: {error!r}"
            assert bench.calls() == 0, f"the server was called before the id {bad[:9]!r} was refused"


def a_duplicate_counts_once(bench: Bench) -> None:
    """A device that a call names twice gets the command once."""
    assert isinstance(bench, DeviceBench)
    first, second, *_ = bench.devices
    with _channel_of(bench) as channel:
        bench.enqueue(channel, [first, second, first], 1)
    assert bench.effects() == {first: [1], second: [1]}, f"the effects are {bench.effects()}"


def a_batch_that_is_too_large_queues_nothing(bench: Bench) -> None:
    """The caller halves the batch. Without this error it fails, and after a partial effect it sends twice."""
    assert isinstance(bench, DeviceBench)
    with _failing(bench, Failure.TOO_LARGE) as channel:
        error = _error(lambda: bench.send(channel, 1))
        assert isinstance(error, BatchTooLargeError), f"{type(error).__name__} instead of a BatchTooLargeError"
        assert not bench.effects(), f"something was queued: {bench.effects()}"


def devices_that_sleep_are_a_notice(bench: Bench) -> None:
    """The command is queued, so there is no error, but people should know why it takes long."""
    with _failing(bench, Failure.ASLEEP) as channel:
        assert bench.send(channel, 1), "there is no notice"


CHECKS: tuple[Check, ...] = (
    a_repetition_has_no_second_effect,
    the_last_payload_wins,
    notices_are_lines,
    a_far_end_that_is_down_is_a_delivery_error,
    a_partial_failure_says_how_many,
    every_wait_has_a_deadline,
    only_the_far_end_is_contacted,
    connections_are_closed,
)
"""The checks of every channel."""

KEY_CHECKS: tuple[Check, ...] = (the_key_is_not_in_errors, the_key_is_not_in_the_repr, the_key_is_not_in_logs)
"""The checks of every channel with a key."""

DEVICE_CHECKS: tuple[Check, ...] = (
    batches_keep_devices_and_order,
    invalid_ids_are_refused_before_a_call,
    a_duplicate_counts_once,
    a_batch_that_is_too_large_queues_nothing,
    devices_that_sleep_are_a_notice,
)
"""The checks of every channel that queues commands for devices."""


def checks_of(bench: type[Bench]) -> Sequence[Check]:
    """Return the checks for this kind of channel."""
    return (*CHECKS, *(KEY_CHECKS if bench.key else ()), *(DEVICE_CHECKS if issubclass(bench, DeviceBench) else ()))


def failed_checks(bench: type[Bench]) -> dict[str, str]:
    """Run each check on a new bench. Return the names of the failed checks with their reasons."""
    failed = {}
    for check in checks_of(bench):
        with bench.running() as one:
            try:
                check(one)
            except Exception as error:  # noqa: BLE001 - a bad channel can raise anything
                failed[check.__name__] = str(error)
    return failed


@contextmanager
def _channel_of(bench: Bench) -> Iterator[object]:
    """Yield a new channel, and close it."""
    channel = bench.channel()
    try:
        yield channel
    finally:
        bench.close(channel)


@contextmanager
def _failing(bench: Bench, failure: Failure) -> Iterator[object]:
    """Yield a channel whose far end fails, and close it."""
    with bench.failing(failure) as channel:
        try:
            yield channel
        finally:
            bench.close(channel)


def _error(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the caller checks the type
        return error
    return None


def _has_key(bench: Bench, text: str) -> bool:
    """Return whether a text has the key, or a form of it that servers accept."""
    pairs = (f"{user}:{bench.key}" for user in ("", "nanomdm"))
    forms = (bench.key, *(base64.b64encode(one.encode()).decode() for one in (bench.key, *pairs)))
    return any(one in text for one in forms)
