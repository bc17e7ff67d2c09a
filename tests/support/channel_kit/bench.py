"""The interface between the kit and a channel: a far end that can fail, and the effects that reached it."""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    from ios_mdm.ports import MdmChannel

__all__ = ["Bench", "DeviceBench", "Failure"]


class Failure(Enum):
    """A failure of the far end."""

    DOWN = auto()
    """It does not answer, or does not exist."""
    PARTIAL = auto()
    """It accepts a part of the next call."""
    ECHO = auto()
    """It refuses the next call, and repeats the request with its key in the answer. Only for a bench with a key."""
    TOO_LARGE = auto()
    """It refuses calls for more than one device. Only for a ``DeviceBench``."""
    ASLEEP = auto()
    """It accepts the next call, and reports that devices could not be woken. Only for a ``DeviceBench``."""


class Bench:
    """A channel with its far end, for one check."""

    key: str = ""
    """The key that the channel must not show; empty if it has none."""

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Yield a bench with a far end that has no effect yet."""
        raise NotImplementedError

    def channel(self) -> object:
        """Return a new channel to the far end."""
        raise NotImplementedError

    def send(self, channel: object, number: int) -> tuple[str, ...]:
        """Send the payload of this number, to every device of the bench; return the notices.

        The same number is a repetition.
        """
        raise NotImplementedError

    def effects(self) -> Mapping[str, Sequence[int]]:
        """Return the numbers of the payloads that each device or file got, in their order."""
        raise NotImplementedError

    @contextmanager
    def failing(self, failure: Failure) -> Iterator[object]:
        """Yield a channel whose far end fails."""
        raise NotImplementedError

    def close(self, channel: object) -> None:
        """Close the connections of a channel, and those that the process keeps. Without connections, do nothing."""


class DeviceBench(Bench):
    """A channel that queues commands for devices."""

    devices: Sequence[str] = ()
    """At least three devices of the far end, in an order that is not sorted."""

    def channel(self) -> MdmChannel:
        """Return a new channel to the far end."""
        raise NotImplementedError

    def batches(self, channel: object, ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the batches of the channel."""
        return cast("MdmChannel", channel).batches(ids)

    def enqueue(self, channel: object, ids: Sequence[str], number: int) -> tuple[str, ...]:
        """Queue the command of this number for these devices; return the notices."""
        raise NotImplementedError

    def calls(self) -> int:
        """Return the number of calls that reached the failing far end of :attr:`Failure.PARTIAL`."""
        raise NotImplementedError

    def close(self, channel: object) -> None:
        """Close the connections of a channel."""
        cast("MdmChannel", channel).close()

    def send(self, channel: object, number: int) -> tuple[str, ...]:
        """Queue the command of this number for every device."""
        return self.enqueue(channel, self.devices, number)
