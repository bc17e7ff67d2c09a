"""Events as NanoMDM v0.9.0 posts them to its webhook, their signatures, and functions that record one in a ledger."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import Answer, DeviceEvent, EnqueuedCommand, StatePolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ios_mdm.core.ledger.values import AnswerStatus, DeviceStatus
    from ios_mdm.ports import Ledger

__all__ = [
    "EVENT_TIME",
    "KEY",
    "PROFILE",
    "event",
    "record_answer",
    "record_authenticate",
    "record_device",
    "record_sent",
    "signature",
    "status_of",
    "statuses_of",
]

EVENT_TIME = datetime(2026, 1, 1, tzinfo=UTC)
KEY = b"webhook-key"
PROFILE = hashlib.sha256(b"a profile").hexdigest()
"""Digest of the profile that ``record_sent`` publishes by default."""


def event(topic: str = "mdm.Connect", *, at: datetime = EVENT_TIME, event_id: str | None = "e", **fields: Any) -> bytes:
    """Return an event of device D1, with *fields* of the answer or check-in replaced; no id if *event_id* is None."""
    name = "acknowledge_event" if topic == "mdm.Connect" else "checkin_event"
    details = {"ids": {"id": "D1", "type": "Device"}, "udid": "D1", "raw_payload": "", **fields}
    posted = {"topic": topic, "event_id": event_id, "created_at": at.isoformat(), name: details}
    return json.dumps({key: value for key, value in posted.items() if value is not None}).encode()


def signature(body: bytes, key: bytes = KEY) -> str:
    """Return the HMAC-SHA256 of *body* in base64, computed independently of the code under test."""
    return base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()


def record_sent(
    ledger: Ledger,
    command_uuid: str,
    *,
    server: str = "berlin",
    profile: bytes = b"a profile",
    enrollment_ids: Sequence[str],
    certificates: Iterable[bytes] = (),
    at: datetime,
) -> None:
    """Publish a profile, and record that it was queued for devices in their current enrollments."""
    publication = ledger.publish(server, profile, certificates=certificates, seed=uuid.uuid4(), at=at)
    epochs = ledger.waiting(server, None, enrollment_ids=enrollment_ids)
    ledger.record_commands([EnqueuedCommand(command_uuid=command_uuid, epochs=epochs, at=at)], publication=publication)


def statuses_of(
    ledger: Ledger, enrollment_ids: Sequence[str], *, server: str = "berlin", profile: str = PROFILE
) -> list[DeviceStatus]:
    """Return the state of a profile (SHA-256, hex) on these devices, in their order. No device is silent."""
    publication = ledger.publication(server)
    is_published = publication is not None and publication.digest == profile
    policy = StatePolicy(revision=publication.revision if publication is not None and is_published else None)
    return [device_status(one, policy) for one in ledger.devices(server, enrollment_ids=enrollment_ids)]


def status_of(ledger: Ledger, enrollment_id: str, *, server: str = "berlin", profile: str = PROFILE) -> DeviceStatus:
    """Return the state of a profile (SHA-256, hex) on one device."""
    (one,) = statuses_of(ledger, [enrollment_id], server=server, profile=profile)
    return one


def record_answer(
    ledger: Ledger, command_uuid: str, enrollment_id: str, status: AnswerStatus, *, detail: str = "", at: datetime
) -> None:
    """Record a device's answer as an event without copies."""
    answer = Answer(command_uuid=command_uuid, status=status, detail=detail)
    one = DeviceEvent(
        identity=uuid.uuid4().bytes, at=at, topic="mdm.Connect", enrollment_id=enrollment_id, answer=answer
    )
    ledger.record_events([one], now=at)


def record_authenticate(ledger: Ledger, enrollment_id: str, *, at: datetime) -> None:
    """Record that a device requested a new enrollment, as an event without copies."""
    identity = uuid.uuid4().bytes
    one = DeviceEvent(
        identity=identity, at=at, topic="mdm.Authenticate", enrollment_id=enrollment_id, authenticated=True
    )
    ledger.record_events([one], now=at)


def record_device(ledger: Ledger, enrollment_id: str, *, enrolled: bool, at: datetime) -> None:
    """Record that a device enrolled or left, as an event without copies."""
    topic = "mdm.TokenUpdate" if enrolled else "mdm.CheckOut"
    one = DeviceEvent(identity=uuid.uuid4().bytes, at=at, topic=topic, enrollment_id=enrollment_id, enrolled=enrolled)
    ledger.record_events([one], now=at)
