"""Computes the state of a profile on a device from the registers of a ledger."""

from __future__ import annotations

from ios_mdm.core.ledger.registers import Finality, Progress, time_of
from ios_mdm.core.ledger.values import DeliveryStatus, DeviceStatus

__all__ = ["device_status"]


def device_status(enrollment_id: str, progress: Progress | None, *, revision: int | None, epoch: int) -> DeviceStatus:
    """Return the state of one revision of a profile on a device, in its current enrollment.

    Args:
        enrollment_id: enrollment id of the device.
        progress: record of the server's profile on the device; None if there is none.
        revision: revision of the profile; None if the profile is not the last one that was published.
        epoch: start of the current enrollment.
    """
    status, number, detail = DeliveryStatus.NOT_SENT, None, ""
    if progress is None or progress.revision != revision:
        pass
    elif progress.is_acknowledged(epoch):
        status, number = DeliveryStatus.ACKNOWLEDGED, progress.acknowledged
    elif progress.is_answered(epoch):
        is_error = progress.answer.finality == Finality.ERROR
        status = DeliveryStatus.ERROR if is_error else DeliveryStatus.NOT_NOW
        number, detail = progress.answer.at, progress.answer.detail
    elif progress.is_queued(epoch):
        status, number = DeliveryStatus.PENDING, progress.queued
    at = None if number is None else time_of(number)
    return DeviceStatus(enrollment_id=enrollment_id, status=status, detail=detail, at=at, epoch=epoch)
