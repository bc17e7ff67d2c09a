"""Channels with one defect each, and the check of the conformance kit that finds it."""

from __future__ import annotations

import logging
import plistlib
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from ios_mdm.errors import DefinitionError, DeliveryError
from tests.support.toy_mdm import ToyChannel

if TYPE_CHECKING:
    import http.client
    from collections.abc import Mapping, Sequence

__all__ = ["BAD_CHANNELS", "LeakingChannel"]


class ForgetfulChannel(ToyChannel):
    """Queues a repeated command again."""

    def uuid(self, content: bytes) -> str:
        """Return another CommandUUID for each call, with the number of the command."""
        return f"{ToyChannel.uuid(self, content)}-{uuid4()}"


class RecognizingChannel(ToyChannel):
    """Skips a command with a payload that it sent before, also after another one."""

    def enqueue(self, enrollment_ids: Sequence[str], content: bytes) -> tuple[str, ...]:
        """Queue the command, or skip it."""
        payload = plistlib.loads(content)["Command"]["Payload"]
        if self.memory.get(payload) != enrollment_ids:
            self.memory[payload] = enrollment_ids
            return ToyChannel.enqueue(self, enrollment_ids, content)
        return ()


class WordyChannel(ToyChannel):
    """Returns a notice of two lines."""

    def result(self, ids: Sequence[str], status: int, answer: Mapping[str, object]) -> tuple[str, ...]:
        """Return the notices as one text."""
        return ("\n".join(["queued", *ToyChannel.result(self, ids, status, answer), ""]) + "no more",)


class OptimisticChannel(ToyChannel):
    """Ignores that the server refused a device."""

    def result(self, ids: Sequence[str], status: int, answer: Mapping[str, object]) -> tuple[str, ...]:
        """Return the notices of an answer without the refused devices."""
        return ToyChannel.result(self, ids, status, {**answer, "refused": 0})


class VagueChannel(ToyChannel):
    """Does not say how many devices were refused."""

    def result(self, ids: Sequence[str], status: int, answer: Mapping[str, object]) -> tuple[str, ...]:
        """Raise an error without a number."""
        if answer.get("refused"):
            raise DeliveryError("the toy server refuses some devices")
        return ToyChannel.result(self, ids, status, answer)


class RawChannel(ToyChannel):
    """Raises the error of its library."""

    def down(self, error: OSError) -> Exception:
        """Return the error itself."""
        return error


class GeneralChannel(ToyChannel):
    """Reports a batch that is too large as any other failure."""

    def too_large(self, ids: Sequence[str]) -> Exception:
        """Return a general error."""
        return DeliveryError(f"{len(ids)} devices are too many")


class SplittingChannel(ToyChannel):
    """Sends a part of a batch that is too large."""

    def too_large(self, ids: Sequence[str]) -> Exception:
        """Queue the command for the first device."""
        self.call(ids[:1], "command-1")
        return ToyChannel.too_large(self, ids)


class TrustingChannel(ToyChannel):
    """Accepts any id."""

    def checked_ids(self, ids: Sequence[str]) -> Sequence[str]:
        """Return the ids without duplicates."""
        return tuple(dict.fromkeys(ids))


class LateChannel(ToyChannel):
    """Checks the ids when the server has them."""

    def enqueue(self, enrollment_ids: Sequence[str], content: bytes) -> tuple[str, ...]:
        """Call the server, also with invalid ids."""
        try:
            return ToyChannel.enqueue(self, enrollment_ids, content)
        except DefinitionError:
            self.call(enrollment_ids, self.uuid(content))
            raise


class DoublingChannel(ToyChannel):
    """Queues a command twice for a device that is named twice."""

    def checked_ids(self, ids: Sequence[str]) -> Sequence[str]:
        """Check the ids, and keep duplicates."""
        ToyChannel.checked_ids(self, ids)
        return ids


class TalkativeChannel(ToyChannel):
    """Quotes the answer of the server, which has the key."""

    def keyless_text(self, text: str) -> str:
        """Return the text itself."""
        return text


class OpenChannel(ToyChannel):
    """Shows its key in the repr."""

    def __repr__(self) -> str:
        """Return all fields."""
        return f"OpenChannel(port={self.port}, key={self.key!r})"


class LoggingChannel(ToyChannel):
    """Logs its requests with their headers."""

    def call(self, ids: Sequence[str], uuid: str) -> tuple[int, str]:
        """Log the request."""
        logging.getLogger("toy").debug("PUT / Authorization: %s", self.key)
        return ToyChannel.call(self, ids, uuid)


class PatientChannel(ToyChannel):
    """Waits without a limit."""

    def call(self, ids: Sequence[str], uuid: str) -> tuple[int, str]:
        """Call without a timeout."""
        self.timeout = None
        return ToyChannel.call(self, ids, uuid)


class SortingChannel(ToyChannel):
    """Changes the order of the devices."""

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return batches of sorted ids."""
        return ToyChannel.batches(self, sorted(enrollment_ids))


class LosingChannel(ToyChannel):
    """Loses the devices of the last batch if it is not full."""

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return full batches only."""
        return [batch for batch in ToyChannel.batches(self, enrollment_ids) if len(batch) == self.batch_size]


class SilentChannel(ToyChannel):
    """Drops the notices."""

    def result(self, ids: Sequence[str], status: int, answer: Mapping[str, object]) -> tuple[str, ...]:
        """Return no notice."""
        ToyChannel.result(self, ids, status, answer)
        return ()


class LeakingChannel(ToyChannel):
    """Keeps its connections open."""

    kept: ClassVar[list[socket.socket]] = []

    def finish(self, connection: http.client.HTTPConnection) -> None:
        """Keep the socket."""
        if connection.sock is not None:
            self.kept.append(connection.sock)


class ReportingChannel(ToyChannel):
    """Reports its use to another server."""

    def call(self, ids: Sequence[str], uuid: str) -> tuple[int, str]:
        """Contact a server of the author, and ignore whether it answers."""
        with suppress(OSError), socket.create_connection(("usage.example.com", 443), timeout=1):
            pass
        return ToyChannel.call(self, ids, uuid)


BAD_CHANNELS: dict[type[ToyChannel], str] = {
    RecognizingChannel: "the_last_payload_wins",
    WordyChannel: "notices_are_lines",
    ForgetfulChannel: "a_repetition_has_no_second_effect",
    OptimisticChannel: "a_partial_failure_says_how_many",
    VagueChannel: "a_partial_failure_says_how_many",
    RawChannel: "a_far_end_that_is_down_is_a_delivery_error",
    GeneralChannel: "a_batch_that_is_too_large_queues_nothing",
    SplittingChannel: "a_batch_that_is_too_large_queues_nothing",
    TrustingChannel: "invalid_ids_are_refused_before_a_call",
    LateChannel: "invalid_ids_are_refused_before_a_call",
    DoublingChannel: "a_duplicate_counts_once",
    TalkativeChannel: "the_key_is_not_in_errors",
    OpenChannel: "the_key_is_not_in_the_repr",
    LoggingChannel: "the_key_is_not_in_logs",
    PatientChannel: "every_wait_has_a_deadline",
    SortingChannel: "batches_keep_devices_and_order",
    LosingChannel: "batches_keep_devices_and_order",
    SilentChannel: "devices_that_sleep_are_a_notice",
    LeakingChannel: "connections_are_closed",
    ReportingChannel: "only_the_far_end_is_contacted",
}
"""For each bad channel, the name of the only check that fails."""
