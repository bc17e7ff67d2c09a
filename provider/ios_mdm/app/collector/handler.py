"""Answers the requests of NanoMDM's webhook: checks their sender, and records the events in a ledger."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ios_mdm.address import is_loopback
from ios_mdm.app.collector.events import WebhookError, event_from_webhook
from ios_mdm.core.http import MAX_BODY, Response
from ios_mdm.core.ledger.values import DeviceEvent
from ios_mdm.errors import IosMdmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.core.http import Request
    from ios_mdm.ports import Clock, Ledger

__all__ = ["Collector", "signature"]

MAX_CLOCK_SKEW: Final = timedelta(minutes=5)
"""Maximum time of an event after the clock of this machine.

An event further in the future hides the later events of its device until that time.
"""

SIGNATURE_HEADER: Final = "X-Hmac-Signature"

_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{43}=")  # base64 of 32 bytes

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")

_log = logging.getLogger(__name__)


def signature(body: bytes, key: bytes) -> str:
    """Return the value of ``X-Hmac-Signature`` for *body*: base64 of its HMAC-SHA256."""
    return base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """The handler of webhook requests. Status 200 to a POST means that the event is in the ledger.

    Args:
        ledger: records the events.
        clock: clock of this machine. An event is recorded with the time that it contains.
        hmac_key: the key of NanoMDM's ``-webhook-hmac-key``. None accepts unsigned events: other machines must then
            not be able to reach the server. Requests of a web page in a browser on this machine are refused because of
            their host or content type.
        hosts: host names that unsigned requests may use, in addition to ``localhost`` and loopback addresses.
        on_begun: called with the enrollment ids of devices whose enrollment began, after this is recorded. It must
            return at once, because the answers to the requests wait for it.
    """

    ledger: Ledger
    clock: Clock
    hmac_key: bytes | None = field(repr=False)
    hosts: Sequence[str] = ()
    on_begun: Callable[[Sequence[str]], None] = lambda _ids: None

    def prepare(self) -> None:
        """Open the ledger before the first request, because an error during a request loses events.

        Raises:
            DeliveryError: The ledger cannot be used.
        """
        self.ledger.record_events((), now=self.clock.now())

    def answer_without_body(self, request: Request) -> Response | None:
        """Return the answer to a request that does not depend on its body; None if the body is needed."""
        if self.hmac_key is None and not self._is_this_machine(request.headers.get("host", "")):
            return _refusal(403, "the Host header is not a loopback address: set --allow-host to allow this host")
        if request.method in {"GET", "HEAD"}:
            return Response(status=200, text="send NanoMDM's webhook events to this URL with POST")
        if request.method != "POST":
            return _refusal(501, "the method is not supported: use POST, or GET to check the server")
        if self.hmac_key is not None:
            return _signature_refusal(request.headers.get(SIGNATURE_HEADER.lower(), ""))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _refusal(415, "the Content-Type must be application/json")
        return None

    def answers(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Return the answers to complete requests, in their order. Their events are recorded in one transaction."""
        read = [self._event_or_refusal(one) for one in requests]
        events = [one for one in read if isinstance(one, DeviceEvent)]
        recorded = self._record([one for one in events if _has_effect(one)])
        return [recorded if isinstance(one, DeviceEvent) else one for one in read]

    def _is_this_machine(self, host: str) -> bool:
        """Return whether the value of a Host header names this machine."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].rstrip(".").lower()
        return is_loopback(name.strip("[]")) or name in {one.lower() for one in self.hosts}

    def _event_or_refusal(self, request: Request) -> DeviceEvent | Response:
        early = self.answer_without_body(request)
        if early is not None:
            return early
        if len(request.body) > MAX_BODY:
            return _refusal(413, f"the body has more than {MAX_BODY} bytes")
        if self.hmac_key is not None:
            claimed = request.headers[SIGNATURE_HEADER.lower()]
            if not hmac.compare_digest(claimed, signature(request.body, self.hmac_key)):
                return _refusal(401, f"{SIGNATURE_HEADER} does not match the body: give NanoMDM the collector's key")
        try:
            event = event_from_webhook(request.body)
        except WebhookError as error:
            return _refusal(400, str(error))
        if event.at > self.clock.now() + MAX_CLOCK_SKEW:
            return _refusal(
                400, "the time of the event is in the future: correct the clock of the MDM server or of this machine"
            )
        return event

    def _record(self, events: Sequence[DeviceEvent]) -> Response:
        """Record *events*; return the answer to each of them."""
        try:
            begun = self.ledger.record_events(events, now=self.clock.now()) if events else ()
        except IosMdmError as error:
            _log.error("%d events are lost: %s", len(events), error)
            return Response(status=500, text="not recorded")
        for one in events:
            _log.info("%s %s %s", one.topic, one.enrollment_id, one.answer.status if one.answer else "")
        if begun:
            self.on_begun(begun)
        return Response(status=200, text="recorded")


def _has_effect(event: DeviceEvent) -> bool:
    """Return whether the ledger records an event."""
    has_report = event.answer is not None or event.certificates is not None
    return event.enrolled is not None or event.authenticated or has_report


def _signature_refusal(claimed: str) -> Response | None:
    """Return the answer to a signature that no body can have; None if the signature must be computed."""
    if not claimed:
        return _refusal(401, f"{SIGNATURE_HEADER} is missing: set NanoMDM's -webhook-hmac-key")
    if not _SIGNATURE.fullmatch(claimed):
        return _refusal(401, f"{SIGNATURE_HEADER} is not the base64 of one HMAC-SHA256")
    return None


def _refusal(status: int, reason: str) -> Response:
    _log.warning("refused a request: %d %s", status, reason)
    return Response(status=status, text=reason)
