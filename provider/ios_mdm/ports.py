"""What the service needs from the world, as Protocols; adapters implement them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from ios_mdm.core.http import Request, Response
    from ios_mdm.core.pair.definition import Slot
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.home import Home
    from ios_mdm.core.pair.observed import Served
    from ios_mdm.core.pair.schedule import Schedule
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.core.x509.values import Credential

__all__ = [
    "Answer",
    "Clock",
    "Coverage",
    "CustomCertificates",
    "DeliveryStatus",
    "DescribedSecrets",
    "DeviceEvent",
    "DeviceStatus",
    "GivenResources",
    "HttpHandler",
    "LabelledValues",
    "Ledger",
    "MdmChannel",
    "Prerequisites",
    "Probe",
    "Scheduler",
    "SecretBytes",
    "SecretStore",
    "SecretValues",
]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the moment, aware UTC, whole seconds."""


class SecretStore(Protocol):
    """AWS Secrets Manager, as far as pairs need it. Every failure but "not found" is a ``StoreError``."""

    def describe(self, name: str) -> SecretDescription | None:
        """Return what is public of the secret *name* without GetSecretValue; None where AWS says ResourceNotFound."""

    def create(self, name: str, *, tags: Mapping[str, str], description: str, kms_key: str | None) -> None:
        """Create the secret without a value. One that exists already is left alone."""

    def encrypt(self, name: str, *, kms_key: str | None) -> None:
        """Set the KMS key of the secret (None: the account's default). AWS encrypts main and the former main again."""

    def restore(self, name: str) -> None:
        """Take the secret out of its recovery window."""

    def read(self, name: str, version_id: str) -> str | None:
        """Return the value of one version by its id, or None where there is no such version."""

    def put(self, name: str, version_id: str, value: str) -> None:
        """Add a version with the label STAGED. A version that exists already is left alone, whatever it holds."""

    def move_label(self, name: str, label: str, *, to: str | None, current: str | None) -> None:
        """Put *label* on version *to* (None: on none), if it is on *current* (None: on none): a compare-and-swap."""

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Set these tags and leave the others."""

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove the tags of these keys."""

    def delete(self, name: str, *, recovery_window_days: int) -> None:
        """Schedule the secret's deletion. One that is gone or scheduled already is left alone."""

    def version_ids(self, name: str) -> Sequence[str]:
        """Return the ids of all versions, those without a label included."""

    def home(self) -> Home:
        """Return the account and the region that calls go to."""

    def time(self) -> datetime:
        """Return AWS's own time (the Date header of an answer), aware UTC."""


class DescribedSecrets(Protocol):
    """The public part of secrets, in AWS Secrets Manager. Every failure but "not found" is a ``StoreError``."""

    def describe(self, name: str) -> SecretDescription | None:
        """Return what is public of the secret with this name or ARN; None if there is none."""


class SecretBytes(DescribedSecrets, Protocol):
    """Secrets of any content, in AWS Secrets Manager."""

    def current_bytes(self, name: str) -> bytes | None:
        """Return the current value of a secret, text as UTF-8; None if there is no such secret or value."""


class LabelledValues(Protocol):
    """Secrets whose versions have labels, in AWS Secrets Manager."""

    def labelled_value(self, name: str, label: str) -> str | None:
        """Return the text of the version with this label; None if there is no such secret or label."""


class SecretValues(SecretBytes, LabelledValues, Protocol):
    """Values of secrets in AWS Secrets Manager."""


class Scheduler(Protocol):
    """One-time schedules of EventBridge Scheduler, in the group ``default``. Every failure is a ``StoreError``."""

    def get(self, name: str) -> Schedule | None:
        """Return the schedule, None where there is none: it has fired, or was deleted."""

    def put(self, schedule: Schedule) -> None:
        """Create the schedule, or replace all of the one of its name. Waits while its new role is not known yet."""

    def delete(self, name: str) -> None:
        """Delete the schedule. One that is gone is left alone."""


class Prerequisites(Protocol):
    """What a schedule needs beside itself: the role that it acts by, and the queue for what it could not do."""

    def ensure_role(self, name: str, *, trust: str, policy: str, boundary: str | None) -> str:
        """Create the IAM role, or bring the one of this name to these documents (JSON); return its ARN."""

    def role_problems(self, name: str, *, trust: str, policy: str, boundary: str | None) -> tuple[str, ...]:
        """Return how the IAM role of this name differs from what ``ensure_role`` makes; empty if it does not."""

    def delete_role(self, name: str) -> None:
        """Delete the role with its policy. One that is gone is left alone."""

    def queue_exists(self, name: str) -> bool:
        """Return whether there is an SQS queue of this name."""

    def queue_messages(self, name: str) -> int:
        """Return about how many messages are in the SQS queue of this name; 0 if there is no queue."""

    def ensure_queue(self, name: str) -> str:
        """Create the SQS queue, or find the one of this name; return its ARN. Messages are kept for 14 days."""

    def delete_queue(self, name: str) -> None:
        """Delete the queue. One that is gone is left alone."""


class GivenResources(Protocol):
    """IAM roles, SQS queues and SNS topics that a definition names."""

    def exists(self, arn: str) -> bool:
        """Return whether there is such a role, queue or topic; a ``StoreError`` if AWS refuses."""


class CustomCertificates(Protocol):
    """The custom certificates that a definition offers, with their private keys."""

    def credential(self, slot: Slot, *, current: CertificateFacts | None, main: CertificateFacts | None) -> Credential:
        """Return the certificate that is offered for a slot, read and checked again when it is stored (R29, R32).

        Args:
            slot: main or reserve.
            current: the certificate that is main now; None if there is none.
            main: the certificate that will be main when the run has ended; None if it is unknown.

        Raises:
            DefinitionError: It can no longer be read, or violates a rule.
        """


class Probe(Protocol):
    """Looks at what a server presents."""

    def served(self, host: str, endpoints: Sequence[str]) -> tuple[Served, ...]:
        """Return the certificate that each endpoint presents to a client that asks for *host*; never raises.

        Args:
            host: sent as the server name (SNI).
            endpoints: ``host:port`` or ``host``, which means port 443.
        """


class MdmChannel(Protocol):
    """A way to hand a command to devices."""

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the devices, in their order, in batches that one call is expected to take."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Queue one command for the devices of one batch.

        Args:
            enrollment_ids: one of *batches*, or a part of one; duplicates count once.
            command: an MDM command plist with its CommandUUID. The same CommandUUID again is a repetition, no error:
                derive it from the profile *and* the batch, for other devices under a known CommandUUID get nothing.

        Returns:
            Notices: what the user should know although the command is queued for every device.

        Raises:
            BatchTooLargeError: Nothing was queued; fewer devices in one call may be taken.
            DeliveryError: The server is down, refuses the API key, or rejects the command.
            DefinitionError: An id cannot be an enrollment id.
        """


class DeliveryStatus(StrEnum):
    """How far a profile has come on its way to a device. The ledger stores these words."""

    NOT_SENT = "not-sent"
    PENDING = "pending"
    """Queued, and the device has not answered."""
    NOT_NOW = "not-now"
    """The device asks for the command again later."""
    ERROR = "error"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """What is known of a profile on one device.

    Args:
        enrollment_id: of the device.
        status: how far the profile has come.
        detail: the device's own explanation of an error, else empty.
        at: when the status was recorded, aware UTC; None for ``NOT_SENT``.
    """

    enrollment_id: str
    status: DeliveryStatus
    detail: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many devices have one profile.

    Args:
        profile: SHA-256 of the profile, 64 hex digits.
        devices: one entry a device, in the order asked for.
    """

    profile: str
    devices: tuple[DeviceStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A device's answer to a command.

    Args:
        command_uuid: of the command, ours or another.
        status: ``ACKNOWLEDGED`` (final), ``ERROR`` or ``NOT_NOW`` (the device will ask again).
        detail: the device's explanation of an error in one line, at most 1,000 characters; else empty.
    """

    command_uuid: str
    status: DeliveryStatus
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """An event of a device, as an MDM server reported it.

    Args:
        identity: 16 bytes, the same in each copy of the event and different in any other event.
        at: the time that the event itself gives, aware UTC, with microseconds.
        topic: of the event, such as ``mdm.Connect``.
        enrollment_id: the MDM server's id of the device, which commands are queued for.
        enrolled: True if the event shows that the device is enrolled, False if it left, None if it shows neither: an
            Authenticate only asks, and the user channel of a device comes and goes without the device.
        answer: to a command, if the event contains one.
    """

    identity: bytes
    at: datetime
    topic: str
    enrollment_id: str
    enrolled: bool | None = None
    answer: Answer | None = None


class Ledger(Protocol):
    """What was sent to which device, and what the devices answered."""

    def record_enqueued(
        self, command_uuid: str, *, server: str, profile: str, enrollment_ids: Sequence[str], at: datetime
    ) -> None:
        """Note that *profile* (SHA-256, hex) was queued for these devices. Repetitions change nothing."""

    def record_events(self, events: Sequence[DeviceEvent], *, now: datetime) -> None:
        """Record what an MDM server reported, all of it or nothing; it is durable when this returns.

        Events may come before ``record_enqueued``, more than once, and in any order: each counts once, and by its own
        time. Answers to commands that are not ours never count in ``coverage``.

        Args:
            events: any number, also of one device.
            now: decides which records are too old to keep.
        """

    def enrolled(self) -> Sequence[str]:
        """Return the ids of the devices that are enrolled, sorted."""

    def commands(self, server: str) -> int:
        """Return how many commands were queued for the devices of *server* so far."""

    def coverage(self, *, server: str, profile: str, enrollment_ids: Sequence[str]) -> Coverage:
        """Return what is known of *profile* on each of these devices."""


class HttpHandler(Protocol):
    """Answers HTTP requests. It knows no server, no socket and no thread."""

    def answer_without_body(self, request: Request) -> Response | None:
        """Return the answer to a request whose body does not matter, or None if the body has to be read."""

    def answers(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Return the answers to complete requests, in their order. Several at once share one write."""
