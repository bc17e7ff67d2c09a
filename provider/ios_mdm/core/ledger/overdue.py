"""Decides which devices a run sends a command again (R44, R45)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ios_mdm.core.ledger.registers import NEVER, microseconds
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceState, StatePolicy

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.ledger.registers import Progress
    from ios_mdm.core.ledger.values import DeviceRecord, Publication

__all__ = ["RESENT_STATES", "CommandKind", "LedgerRules", "has_overdue_state", "overdue_command", "silence_limit"]


class CommandKind(StrEnum):
    """Kind of a command. CommandUUIDs derive from it."""

    PROFILE = "profile"
    """InstallProfile with the published profile."""
    LIST = "list"
    """CertificateList."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRules:
    """Settings of a distribution with a ledger.

    Args:
        is_proof_configured: whether devices are asked for their certificates.
        resend_days: number of days without an answer after which a device is sent a command again.
        retention_days: number of days after which the records of a device that checked out are deleted.
    """

    is_proof_configured: bool = False
    resend_days: int = 7
    retention_days: int = 30

    def policy(self, publication: Publication | None, now: datetime) -> StatePolicy:
        """Return the settings from which the states of devices are computed.

        Args:
            publication: the published profile; None if nothing, or another profile, is published.
            now: current time, aware UTC.
        """
        return StatePolicy(
            revision=None if publication is None else publication.revision,
            certificates=frozenset() if publication is None else publication.certificates,
            is_proof_configured=self.is_proof_configured,
            silent_before=silence_limit(now, self.resend_days),
        )


def silence_limit(now: datetime, days: int) -> int:
    """Return the time before which a device must have been seen last to be silent, in microseconds since 1970.

    It is the start of a day in UTC, so that a ledger can count silent devices by days.

    Args:
        now: current time, aware UTC.
        days: number of days without a sign of life.
    """
    return microseconds(now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days))


_UNANSWERED: Final = frozenset({DeviceState.QUEUED, DeviceState.NOT_NOW})
RESENT_STATES: Final = frozenset({DeviceState.FAILED, DeviceState.SILENT})
"""States of the devices that are sent the profile again."""


def has_overdue_state(state: DeviceState, rules: LedgerRules) -> bool:
    """Return whether a device in this state may be sent a command again."""
    return state in _UNANSWERED | RESENT_STATES or (state is DeviceState.ACKNOWLEDGED and rules.is_proof_configured)


def overdue_command(
    record: DeviceRecord, publication: Publication, rules: LedgerRules, now: datetime
) -> CommandKind | None:
    """Return the command that a device is sent again now; None if it is sent none.

    A device that failed, is silent, or reported a list without the certificates is sent the profile again. A device
    that did not answer is asked for its certificates, or sent the profile again if no proof is configured. So is a
    device that acknowledged the profile and did not prove it.

    A device without any event has not connected since the collector runs, or no collector runs. Its command still
    waits in the queue of the MDM server, so nothing is sent again.

    The first repetition is after more than ``resend_days``. Then the time between two commands doubles, because it is
    at least the time from the publication, or the enrollment, to the last command. So a device that always fails, for
    example because declarative management took over the profile, gets seven commands in a year.

    Args:
        record: records of the device.
        publication: the published profile.
        rules: settings of the distribution.
        now: current time, aware UTC.
    """
    progress, enrollment = record.progress, record.enrollment
    state = device_status(record, rules.policy(publication, now)).state
    if progress is None or not has_overdue_state(state, rules) or not _has_connected(record, progress):
        return None
    start, current = max(microseconds(publication.at), enrollment.epoch), microseconds(now)
    shortest = timedelta(days=rules.resend_days) // timedelta(microseconds=1)

    def is_overdue(last: int) -> bool:
        return current - last > max(shortest, last - start)

    is_asked = rules.is_proof_configured and state not in RESENT_STATES and not _is_missing(record, progress)
    if is_asked:
        asked = enrollment.asked if enrollment.asked >= enrollment.epoch else NEVER
        return CommandKind.LIST if is_overdue(asked) else None
    return CommandKind.PROFILE if is_overdue(progress.queued) else None


def _has_connected(record: DeviceRecord, progress: Progress) -> bool:
    """Return whether an event of the device is known."""
    enrollment = record.enrollment
    times = (enrollment.seen, enrollment.authenticated, enrollment.gone, progress.acknowledged, progress.answer.at)
    return any(one != NEVER for one in times)


def _is_missing(record: DeviceRecord, progress: Progress) -> bool:
    """Return whether the last list of the device is newer than the profile. The device has not proved the profile."""
    enrollment = record.enrollment
    return enrollment.listed > max(enrollment.epoch, progress.queued, progress.acknowledged)
