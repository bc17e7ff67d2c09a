"""Parses the webhook events of NanoMDM (v0.9.0)."""

from __future__ import annotations

import base64
import hashlib
import json
import plistlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ios_mdm.core.enrollment import is_enrollment_id
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent
from ios_mdm.core.text import one_line
from ios_mdm.core.times import parsed_precise_time
from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["MAX_CERTIFICATES", "WebhookError", "event_from_webhook"]

MAX_CERTIFICATES: Final = 5_000
"""Maximum number of certificates in a list. A body of the maximum size has room for fewer real certificates."""

_COMMAND_UUID: Final = re.compile(r"[!-~]{1,128}")
_MAX_DETAIL: Final = 1000
_MAX_TOPIC: Final = 100
_LIST: Final = "CertificateList"
_ENROLLMENT: Final = {"mdm.TokenUpdate": True, "mdm.CheckOut": False, "mdm.Connect": True}
_STATUS: Final = {
    "Acknowledged": AnswerStatus.ACKNOWLEDGED,
    "Error": AnswerStatus.ERROR,
    "CommandFormatError": AnswerStatus.ERROR,
    "NotNow": AnswerStatus.NOT_NOW,
}


class WebhookError(IosMdmError):
    """The body of a request is not an event of NanoMDM."""


def event_from_webhook(body: bytes) -> DeviceEvent:
    """Return the event in *body*, the JSON that NanoMDM posts.

    Raises:
        WebhookError: The body is not an event, or the event has no valid enrollment id, time or CommandUUID.
    """
    try:
        posted = json.loads(body)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise WebhookError(f"the body is not JSON: {type(error).__name__}") from None
    event = _Fields(posted)
    topic = event.text("topic")
    if not topic.startswith("mdm."):
        raise WebhookError("the body is not an event of NanoMDM: its topic does not start with `mdm.`")
    details = event.fields("acknowledge_event" if topic == "mdm.Connect" else "checkin_event")
    ids = details.fields("ids")
    # `ids` has the enrollment id of NanoMDM, also for user channels. Before v0.9.0, NanoMDM sends only the other keys.
    enrollment_id = ids.text("id") or details.text("udid") or details.text("enrollment_id")
    if not is_enrollment_id(enrollment_id):
        raise WebhookError("the event has no valid enrollment id")
    at = _time(event)
    answer = _answer(details) if topic == "mdm.Connect" else None
    is_user = bool(ids.text("parent_id"))
    has_list = answer is not None and answer.status is AnswerStatus.ACKNOWLEDGED and not is_user
    return DeviceEvent(
        identity=_identity(body, event, details, enrollment_id),
        at=at,
        topic=one_line(topic, limit=_MAX_TOPIC),
        enrollment_id=enrollment_id,
        enrolled=None if is_user else _ENROLLMENT.get(topic),
        authenticated=topic == "mdm.Authenticate" and not is_user,
        answer=answer,
        certificates=_certificates(details.text("raw_payload")) if has_list else None,
    )


def _time(event: _Fields) -> datetime:
    try:
        return parsed_precise_time(event.text("created_at"))
    except ValueError:
        raise WebhookError("the event has no valid created_at (a time of RFC 3339)") from None


def _identity(body: bytes, event: _Fields, details: _Fields, enrollment_id: str) -> bytes:
    """Return 16 bytes that identify an event: the same for all copies, also for copies with other white space.

    NanoMDM's event_id is a random number of 64 bits for each request of a device, not for each event. The other fields
    distinguish the events of a sender that uses one event_id for all of them.
    """
    event_id = event.text("event_id")
    if not event_id:
        return hashlib.sha256(body).digest()[:16]
    names = ("topic", "created_at")
    fields = [event_id, enrollment_id, *map(event.text, names), *map(details.text, ("command_uuid", "status"))]
    return hashlib.sha256(json.dumps(fields).encode()).digest()[:16]


def _answer(details: _Fields) -> Answer | None:
    status = details.text("status")
    command_uuid = details.text("command_uuid")
    if status not in _STATUS:  # Idle: the device requests its next command
        return None
    if not _COMMAND_UUID.fullmatch(command_uuid):
        raise WebhookError(f"the answer {status} has no valid command_uuid")
    detail = ""
    if status == "Error":
        detail = _error_chain(details.text("raw_payload"))
    elif status == "CommandFormatError":
        detail = "the device cannot read the command (CommandFormatError)"
    return Answer(command_uuid=command_uuid, status=_STATUS[status], detail=detail)


def _error_chain(raw_payload: str) -> str:
    """Return a device's ErrorChain in one line; empty if there is no readable one."""
    try:
        report = _report(base64.b64decode(raw_payload))
        chain = report.value.get("ErrorChain")
        links = [_Fields(link) for link in chain] if isinstance(chain, list) else []
        text = "; ".join(
            f"{link.text('LocalizedDescription') or link.text('USEnglishDescription') or 'error'} "
            f"({link.text('ErrorDomain')} {link.text('ErrorCode')})"
            for link in links
        )
    except Exception:  # noqa: BLE001 - plistlib raises many types on bad input; the status counts without its reason
        return ""
    return one_line(text[: 4 * _MAX_DETAIL], limit=_MAX_DETAIL)


def _certificates(raw_payload: str) -> frozenset[bytes] | None:
    """Return the SHA-256 of each certificate in the answer to a CertificateList, 32 bytes each; None for any other one.

    The result is None, too, if the list or one of its entries cannot be read: an incomplete list would withdraw the
    proof that a device has a certificate.
    """
    try:
        payload = base64.b64decode(raw_payload)
        if _LIST.encode() not in payload:  # most answers; parsing a plist takes longer
            return None
        listed = _report(payload).value.get(_LIST)
    except Exception:  # noqa: BLE001 - plistlib raises many types on bad input; the status counts without its list
        return None
    if not isinstance(listed, list) or len(listed) > MAX_CERTIFICATES:
        return None
    contents = [_Fields(one).value.get("Data") for one in listed]
    digests = [hashlib.sha256(one).digest() for one in contents if one and isinstance(one, bytes)]
    return frozenset(digests) if len(digests) == len(contents) else None


def _report(payload: bytes) -> _Fields:
    """Return the fields of a device's message.

    Raises any error that *plistlib* raises on bad input, and a ``ValueError`` for declarations of attributes: the time
    to parse them grows with the square of their number.
    """
    if b"<!ATTLIST" in payload:
        raise ValueError("the plist declares attributes")
    return _Fields(plistlib.loads(payload, fmt=plistlib.FMT_XML))


@dataclass(frozen=True, slots=True)
class _Fields:
    """A JSON or plist object of an untrusted sender, of any shape."""

    posted: object

    @property
    def value(self) -> dict[object, object]:
        return self.posted if isinstance(self.posted, dict) else {}

    def text(self, key: str) -> str:
        value = self.value.get(key)
        return str(value) if isinstance(value, (str, int)) else ""

    def fields(self, key: str) -> _Fields:
        return _Fields(self.value.get(key))
