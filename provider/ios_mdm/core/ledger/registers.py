"""Registers of a ledger: values that only grow, so that copies and the order of arrival have no effect.

Each register is the maximum of what was reported. A join of two records is commutative, associative and idempotent.
No report is discarded because of the state at its arrival: the state is computed from the registers when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["NEVER", "NO_ANSWER", "Enrollment", "Finality", "LastAnswer", "Progress", "began", "microseconds", "time_of"]

NEVER: Final = -(1 << 62)
"""A time before every other one, in microseconds. It fits into 64 bits with a sign."""

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Return the microseconds since 1970.

    Raises:
        ValueError: *time* has no zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    return (time - _START) // timedelta(microseconds=1)


def time_of(number: int) -> datetime:
    """Return the time of a number of microseconds since 1970, aware UTC."""
    return _START + timedelta(microseconds=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """Times of the latest events of a device, in microseconds since 1970, by the clock of the MDM server.

    Args:
        authenticated: latest Authenticate.
        seen: latest event that shows that the device is enrolled.
        gone: latest CheckOut.
        listed: latest list of certificates.
        asked: latest CertificateList that was queued, by the clock of the sender.
    """

    authenticated: int = NEVER
    seen: int = NEVER
    gone: int = NEVER
    listed: int = NEVER
    asked: int = NEVER

    @property
    def epoch(self) -> int:
        """Start of the current enrollment. Records that began before it do not count (R42).

        An older event never opens an epoch, because the maximum stays the same.
        """
        return max(self.authenticated, self.gone)

    @property
    def is_enrolled(self) -> bool:
        """Whether the device is enrolled. If a CheckOut has the same time as another event, the device is enrolled."""
        return self.seen != NEVER and self.seen >= self.gone

    @property
    def is_known(self) -> bool:
        """Whether the device enrolled or left. A device that was only sent commands is not known."""
        return max(self.authenticated, self.seen, self.gone) != NEVER

    @property
    def is_gone(self) -> bool:
        """Whether the device left, and requested no new enrollment afterwards."""
        return self.gone > max(self.authenticated, self.seen)

    @property
    def was_authenticated(self) -> bool:
        """Whether an Authenticate opened the current epoch. It is the first enrollment, or the device was erased."""
        return self.authenticated != NEVER and self.authenticated >= self.gone

    @property
    def has_begun(self) -> bool:
        """Whether an Authenticate opened the current epoch, and the device was seen in it."""
        return self.was_authenticated and self.seen >= self.authenticated

    def has_left(self, before: int) -> bool:
        """Return whether the device checked out before this time and was not seen again."""
        return self.seen < self.gone < before and self.authenticated < before

    def union(self, other: Enrollment) -> Enrollment:
        """Return the record of all events of both records."""
        return Enrollment(
            authenticated=max(self.authenticated, other.authenticated),
            seen=max(self.seen, other.seen),
            gone=max(self.gone, other.gone),
            listed=max(self.listed, other.listed),
            asked=max(self.asked, other.asked),
        )

    def is_proved(self, reported: int) -> bool:
        """Return whether the device has a certificate (R44).

        A later list without the certificate withdraws the proof, and so does a new enrollment.

        Args:
            reported: time of the latest list with the certificate.
        """
        return reported != NEVER and reported >= self.listed and reported >= self.epoch


def began(before: Enrollment, after: Enrollment) -> bool:
    """Return whether an enrollment began with the events between two records of a device (R43).

    It began if its Authenticate and a later sign of life are known in *after*, and were not both known in *before*. The
    order in which both arrived has no effect. The result is true for one pair of records in each epoch.
    """
    return after.has_begun and not (before.has_begun and before.epoch == after.epoch)


class Finality(IntEnum):
    """Order of the answers to one command that are not an acknowledgement. An error ends the command."""

    NOT_NOW = 0
    ERROR = 1


class LastAnswer(NamedTuple):
    """The last answer that is not an acknowledgement. The greatest one counts, by these fields in their order.

    Args:
        queued: time at which the answered command was queued, in microseconds since 1970.
        finality: :class:`Finality` of the answer.
        at: time of the answer, in microseconds since 1970.
        detail: explanation of an error by the device.
    """

    queued: int = NEVER
    finality: int = Finality.NOT_NOW
    at: int = NEVER
    detail: str = ""


NO_ANSWER: Final = LastAnswer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a server's profile on one device.

    Args:
        revision: revision of the profile, from 1. A higher revision replaces a lower one, because a device replaces
            the profile.
        queued: time at which the last command was queued, in microseconds since 1970, by the clock of the sender.
        epoch: epoch of the device that was known before this command was queued.
        acknowledged: time of the latest acknowledgement, by the clock of the MDM server.
        answer: last other answer.
    """

    revision: int
    queued: int = NEVER
    epoch: int = NEVER
    acknowledged: int = NEVER
    answer: LastAnswer = NO_ANSWER

    def union(self, other: Progress) -> Progress:
        """Return the record of all commands and answers of both records."""
        if self.revision != other.revision:
            return max(self, other, key=lambda one: one.revision)
        return Progress(
            revision=self.revision,
            queued=max(self.queued, other.queued),
            epoch=max(self.epoch, other.epoch),
            acknowledged=max(self.acknowledged, other.acknowledged),
            answer=max(self.answer, other.answer),
        )

    def is_queued(self, epoch: int) -> bool:
        """Return whether the profile was queued in the enrollment that began at *epoch*.

        The clock of the sender is not compared with that of the MDM server. An Authenticate deletes the commands in a
        device's queue. So a command counts only if this enrollment was known before the command was queued.
        """
        return self.queued != NEVER and self.epoch >= epoch

    def is_acknowledged(self, epoch: int) -> bool:
        """Return whether the device acknowledged the profile in the enrollment that began at *epoch*."""
        return self.acknowledged != NEVER and self.acknowledged >= epoch

    def is_answered(self, epoch: int) -> bool:
        """Return whether the last answer is from the enrollment that began at *epoch*, and to the last command."""
        if self.answer.at == NEVER or self.answer.at < epoch:
            return False
        return self.answer.queued >= self.queued or not self.is_queued(epoch)

    def was_sent(self, epoch: int) -> bool:
        """Return whether the profile was queued or answered in the enrollment that began at *epoch*.

        An answer also counts without a record of its command: an older epoch was known when the command was queued.
        """
        return self.is_queued(epoch) or self.is_acknowledged(epoch) or self.is_answered(epoch)

    def is_older_than(self, epoch: int) -> bool:
        """Return whether a part of this record is from an enrollment before the one that began at *epoch*."""
        is_queued_before = self.queued != NEVER and self.epoch < epoch
        return is_queued_before or any(one != NEVER and one < epoch for one in (self.acknowledged, self.answer.at))
