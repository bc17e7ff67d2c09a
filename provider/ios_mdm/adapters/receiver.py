"""Receives NanoMDM's webhook events (v0.9.0) over HTTP and notes in a ledger what devices answered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import logging
import plistlib
import re
import socket
import socketserver
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from ios_mdm.core.enrollment import is_enrollment_id
from ios_mdm.core.text import one_line
from ios_mdm.errors import DefinitionError, IosMdmError
from ios_mdm.ports import DeliveryStatus

if TYPE_CHECKING:
    from ios_mdm.ports import Clock, Ledger

__all__ = ["Answer", "Event", "Receiver", "WebhookError", "event_from_webhook", "signature"]

BODY_LIMIT: Final = 10 * 1024 * 1024
"""Bytes. The longest event is a device's list of its apps: far below."""

SOCKET_TIMEOUT: Final = 10.0
"""Seconds that a sender may pause; also the longest that a stop waits for one."""

SIGNATURE_HEADER: Final = "X-Hmac-Signature"

_COMMAND_UUID: Final = re.compile(r"[!-~]{1,128}")
_DETAIL_LIMIT: Final = 1000
_ENROLMENT: Final = {"mdm.TokenUpdate": True, "mdm.CheckOut": False, "mdm.Connect": True}
_STATUS: Final = {
    "Acknowledged": DeliveryStatus.ACKNOWLEDGED,
    "Error": DeliveryStatus.ERROR,
    "CommandFormatError": DeliveryStatus.ERROR,
    "NotNow": DeliveryStatus.NOT_NOW,
}

_log = logging.getLogger(__name__)


class WebhookError(IosMdmError):
    """What was posted is not an event of NanoMDM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A device's answer to a command.

    Args:
        command_uuid: of the command, ours or anybody's.
        status: ``ACKNOWLEDGED``, ``ERROR`` or ``NOT_NOW``.
        detail: the device's explanation of an error in one line, at most 1,000 characters; else empty.
    """

    command_uuid: str
    status: DeliveryStatus
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a webhook event says of a device.

    Args:
        topic: of the event, such as ``mdm.Connect``.
        enrollment_id: NanoMDM's own id of the device, which commands are queued for.
        enrolled: True where the event shows that the device is enrolled, False where it left; None where it says
            neither: an Authenticate only asks, and the user channel of a device comes and goes without the device.
        answer: to a command, if the event brings one.
    """

    topic: str
    enrollment_id: str
    enrolled: bool | None = None
    answer: Answer | None = None


def event_from_webhook(body: bytes) -> Event:
    """Return what *body*, the JSON that NanoMDM posts, says.

    Raises:
        WebhookError: It is no event, or names no device.
    """
    try:
        posted = json.loads(body)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise WebhookError(f"not JSON: {type(error).__name__}") from None
    event = _Fields(posted)
    topic = event.text("topic")
    if not topic.startswith("mdm."):
        raise WebhookError("not an event of NanoMDM: no topic mdm.…")
    details = event.fields("acknowledge_event" if topic == "mdm.Connect" else "checkin_event")
    ids = details.fields("ids")
    # `ids` is NanoMDM's own name for the enrolment, also on user channels; senders before v0.9.0 have only the others
    enrollment_id = ids.text("id") or details.text("udid") or details.text("enrollment_id")
    if not is_enrollment_id(enrollment_id):
        raise WebhookError("the event has no enrollment id, or one that cannot be")
    return Event(
        topic=topic,
        enrollment_id=enrollment_id,
        enrolled=None if ids.text("parent_id") else _ENROLMENT.get(topic),
        answer=_answer(details) if topic == "mdm.Connect" else None,
    )


def _answer(details: _Fields) -> Answer | None:
    status = details.text("status")
    command_uuid = details.text("command_uuid")
    if status not in _STATUS:  # Idle: the device asks for work
        return None
    if not _COMMAND_UUID.fullmatch(command_uuid):
        raise WebhookError(f"the answer {status} has no command_uuid, or one that cannot be")
    detail = ""
    if status == "Error":
        detail = _error_chain(details.text("raw_payload"))
    elif status == "CommandFormatError":
        detail = "the device cannot read the command (CommandFormatError)"
    return Answer(command_uuid=command_uuid, status=_STATUS[status], detail=detail)


def _error_chain(raw_payload: str) -> str:
    """Return a device's ErrorChain in one line; empty where it gives none that can be read."""
    try:
        report = _Fields(plistlib.loads(base64.b64decode(raw_payload), fmt=plistlib.FMT_XML))
        chain = report.value.get("ErrorChain")
        links = [_Fields(link) for link in chain] if isinstance(chain, list) else []
        text = "; ".join(
            f"{link.text('LocalizedDescription') or link.text('USEnglishDescription') or 'error'} "
            f"({link.text('ErrorDomain')} {link.text('ErrorCode')})"
            for link in links
        )
    except Exception:  # noqa: BLE001 - plistlib raises whatever it stumbles over; the status counts without its reason
        return ""
    return one_line(text[: 4 * _DETAIL_LIMIT], longest=_DETAIL_LIMIT)


@dataclass(frozen=True, slots=True)
class _Fields:
    """Somebody's JSON or plist object, of whatever shape it is."""

    posted: object

    @property
    def value(self) -> dict[object, object]:
        return self.posted if isinstance(self.posted, dict) else {}

    def text(self, key: str) -> str:
        value = self.value.get(key)
        return str(value) if isinstance(value, (str, int)) else ""

    def fields(self, key: str) -> _Fields:
        return _Fields(self.value.get(key))


def signature(body: bytes, key: bytes) -> str:
    """Return the value of ``X-Hmac-Signature`` for *body*: base64 of its HMAC-SHA256."""
    return base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()


class Receiver(ThreadingHTTPServer):
    """An HTTP server that takes events and notes them in *ledger*; 200 means that the event is written.

    Use it as a context manager around ``serve_forever``; ``shutdown`` from another thread ends that.

    Args:
        ledger: where events go.
        clock: tells when an event came.
        host: IP address to listen on.
        port: 0 picks a free one.
        hmac_key: the key of NanoMDM's ``-webhook-hmac-key``; None takes unsigned events, on loopback only.

    Raises:
        DefinitionError: The address is taken, is not this machine's, or is open to others without a key.
    """

    daemon_threads = False  # a stop waits until the events that were taken are written
    request_queue_size = 1024  # a fleet that wakes up answers at once, and NanoMDM never repeats an event

    def __init__(
        self, ledger: Ledger, clock: Clock, *, host: str = "127.0.0.1", port: int = 0, hmac_key: bytes | None = None
    ) -> None:
        """Bind the address."""
        if hmac_key is None and not ipaddress.ip_address(host).is_loopback:
            raise DefinitionError(f"{host} is not a loopback address: everybody could post events without an HMAC key")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.hmac_key = hmac_key
        self._ledger = ledger
        self._clock = clock
        self._writing = threading.Lock()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise DefinitionError(f"cannot listen on {host} port {port}: {error.strerror}") from error

    def server_bind(self) -> None:
        """Bind without the reverse name lookup of the base class, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def __enter__(self) -> Self:
        """Return the server, which listens already."""
        return self

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Note a sender that hung up, instead of printing a traceback."""
        _log.debug("a connection broke", exc_info=True)

    @property
    def address(self) -> str:
        """``IP:PORT`` that it listens on."""
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"{host}:{self.server_port}"

    def note(self, event: Event) -> None:
        """Write *event* into the ledger."""
        at = self._clock.now()
        # one after the other: a thousand threads that wait for SQLite's file lock would starve each other
        with self._writing:
            if event.answer is not None:
                self._ledger.record_answer(
                    event.answer.command_uuid,
                    event.enrollment_id,
                    event.answer.status,
                    detail=event.answer.detail,
                    at=at,
                )
            if event.enrolled is not None:
                self._ledger.record_device(event.enrollment_id, enrolled=event.enrolled, at=at)


class _Handler(BaseHTTPRequestHandler):
    """One connection, one event: HTTP/1.0, for an idle connection that is kept alive would delay a stop."""

    server: Receiver
    server_version = "ios-mdm"
    sys_version = ""
    timeout = SOCKET_TIMEOUT

    def do_GET(self) -> None:
        """Tell who asks that this is here."""
        self._answer(200, "NanoMDM's webhook events go here, by POST")

    def do_POST(self) -> None:
        """Take an event."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,18}", length):
            self._answer(411, "send the length of the body")
        elif int(length) > BODY_LIMIT:
            self._answer(413, f"more than {BODY_LIMIT} bytes")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._take(body)

    def _take(self, body: bytes) -> None:
        if self.server.hmac_key is not None:
            shown = self.headers.get(SIGNATURE_HEADER, "").encode("utf-8", "replace")
            if not hmac.compare_digest(shown, signature(body, self.server.hmac_key).encode()):
                self._answer(401, f"{SIGNATURE_HEADER} is missing or wrong")
                return
        try:
            event = event_from_webhook(body)
            self.server.note(event)
        except WebhookError as error:
            self._answer(400, str(error))
        except IosMdmError as error:
            _log.error("an event is lost: %s", error)
            self._answer(500, "not written")
        else:
            _log.info("%s %s %s", event.topic, event.enrollment_id, event.answer.status if event.answer else "")
            self._answer(200, "written")

    def _answer(self, status: int, text: str) -> None:
        if status >= 400:  # noqa: PLR2004 - HTTP's first error
            _log.warning("refused an event: %d %s", status, text)
        content = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log to where the rest is logged, not to stderr."""
        _log.debug(format, *args)
