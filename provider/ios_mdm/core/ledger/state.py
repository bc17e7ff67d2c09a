"""Computes the state of a profile on a device from the registers of a ledger."""

from __future__ import annotations

from typing import NamedTuple

from ios_mdm.core.ledger.registers import NEVER, Enrollment, Finality, Progress, time_of
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, DeviceStatus, StatePolicy

__all__ = ["device_status"]


class _Situation(NamedTuple):
    """A state, the time of its event or command, and the explanation of an error."""

    state: DeviceState
    at: int = NEVER
    detail: str = ""


def device_status(record: DeviceRecord, policy: StatePolicy) -> DeviceStatus:
    """Return the state of a profile on a device, in its current enrollment.

    The first state that holds counts, in the order of this function. A proof counts without an acknowledgement, because
    the webhook of an MDM server can lose events.

    Args:
        record: records of the device for the server of the profile.
        policy: the profile, and the settings from which states are computed.
    """
    enrollment = record.enrollment
    found = _situation(record, policy)
    since = None
    if found.state is DeviceState.SILENT:
        since = found.at if enrollment.seen == NEVER else enrollment.seen
    return DeviceStatus(
        enrollment_id=record.enrollment_id,
        state=found.state,
        has_profile=policy.has_profile(found.state),
        detail=found.detail,
        at=None if found.at == NEVER else time_of(found.at),
        since=None if since is None else time_of(since),
        epoch=enrollment.epoch,
    )


def _situation(record: DeviceRecord, policy: StatePolicy) -> _Situation:
    enrollment, progress = record.enrollment, record.progress
    if enrollment.is_gone:
        return _Situation(DeviceState.GONE, enrollment.gone)
    reported = [record.reported.get(one, NEVER) for one in policy.certificates]
    if reported and all(map(enrollment.is_proved, reported)):
        return _Situation(DeviceState.PROVED, min(reported))
    if progress is not None and progress.revision == policy.revision and progress.was_sent(enrollment.epoch):
        return _situation_after_sending(enrollment, progress, policy.silent_before)
    if enrollment.was_authenticated:
        is_older = progress is not None and progress.is_older_than(enrollment.epoch)
        if is_older or not enrollment.has_begun:
            return _Situation(DeviceState.ERASED, enrollment.authenticated)
    return _Situation(DeviceState.NOT_SENT)


def _situation_after_sending(enrollment: Enrollment, progress: Progress, silent_before: int) -> _Situation:
    """Return the state of a profile that was queued or answered in the current enrollment."""
    epoch, answer = enrollment.epoch, progress.answer
    if progress.is_acknowledged(epoch):
        return _Situation(DeviceState.ACKNOWLEDGED, progress.acknowledged)
    is_answered = progress.is_answered(epoch)
    if is_answered and answer.finality == Finality.ERROR:
        return _Situation(DeviceState.FAILED, answer.at, answer.detail)
    last = max(enrollment.seen, progress.queued, answer.at if is_answered else NEVER)
    at = answer.at if is_answered else progress.queued
    if last < silent_before:
        return _Situation(DeviceState.SILENT, at)
    return _Situation(DeviceState.NOT_NOW if is_answered else DeviceState.QUEUED, at)
