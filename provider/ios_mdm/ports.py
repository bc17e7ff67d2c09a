"""Protocols of the external systems that the use cases need. Adapters implement them."""

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
    from ios_mdm.core.pair.observed import ServedCertificate
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
    "LabeledValues",
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
    """The source of the current time."""

    def now(self) -> datetime:
        """Return the current time, aware UTC, whole seconds."""


class SecretStore(Protocol):
    """The operations of AWS Secrets Manager for pairs. Every failure except "not found" is a ``StoreError``."""

    def describe(self, name: str) -> SecretDescription | None:
        """Return the public description of a secret without GetSecretValue, or None if the secret does not exist."""

    def create(self, name: str, *, tags: Mapping[str, str], description: str, kms_key: str | None) -> None:
        """Create the secret without a value. An existing secret is not changed."""

    def encrypt(self, name: str, *, kms_key: str | None) -> None:
        """Set the KMS key of the secret; None for the default key. AWS encrypts main and the former main again."""

    def restore(self, name: str) -> None:
        """Cancel the scheduled deletion of the secret."""

    def read(self, name: str, version_id: str) -> str | None:
        """Return the value of one version by its id, or None if the version does not exist."""

    def put(self, name: str, version_id: str, value: str) -> None:
        """Add a version with the label STAGED. An existing version with this id is not changed."""

    def move_label(self, name: str, label: str, *, to: str | None, current: str | None) -> None:
        """Move *label* from version *current* to version *to* as a compare-and-swap; None stands for no version."""

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Set these tags. Other tags are not changed."""

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove the tags with these keys."""

    def delete(self, name: str, *, recovery_window_days: int) -> None:
        """Schedule the deletion of the secret. No effect if it does not exist or its deletion is already scheduled."""

    def version_ids(self, name: str) -> Sequence[str]:
        """Return the ids of all versions, including versions without a label."""

    def home(self) -> Home:
        """Return the account and the region that receive the calls."""

    def time(self) -> datetime:
        """Return the time of AWS (the Date header of a response), aware UTC."""


class DescribedSecrets(Protocol):
    """Public descriptions of secrets in AWS Secrets Manager. Every failure except "not found" is a ``StoreError``."""

    def describe(self, name: str) -> SecretDescription | None:
        """Return the public description of the secret with this name or ARN, or None if it does not exist."""


class SecretBytes(DescribedSecrets, Protocol):
    """Secrets with any content in AWS Secrets Manager."""

    def current_bytes(self, name: str) -> bytes | None:
        """Return the current value of a secret, or None if there is no such secret or value; text is UTF-8."""


class LabeledValues(Protocol):
    """Secrets with labels on their versions in AWS Secrets Manager."""

    def labeled_value(self, name: str, label: str) -> str | None:
        """Return the text of the version with this label, or None if there is no such secret or label."""


class SecretValues(SecretBytes, LabeledValues, Protocol):
    """Values of secrets in AWS Secrets Manager."""


class Scheduler(Protocol):
    """One-time schedules of EventBridge Scheduler, in the group ``default``. Every failure is a ``StoreError``."""

    def get(self, name: str) -> Schedule | None:
        """Return the schedule, or None if it does not exist, for example because it has fired."""

    def put(self, schedule: Schedule) -> None:
        """Create the schedule, or replace the schedule of this name. Waits until AWS knows a new role."""

    def delete(self, name: str) -> None:
        """Delete the schedule. No effect if it does not exist."""


class Prerequisites(Protocol):
    """The IAM role that a schedule assumes, and the SQS queue for its failed calls."""

    def ensure_role(self, name: str, *, trust: str, policy: str, boundary: str | None) -> str:
        """Create the IAM role with these documents (JSON), or update the role of this name; return its ARN."""

    def role_problems(self, name: str, *, trust: str, policy: str, boundary: str | None) -> tuple[str, ...]:
        """Return the differences between the IAM role of this name and the role that ``ensure_role`` creates."""

    def delete_role(self, name: str) -> None:
        """Delete the role with its policy. No effect if it does not exist."""

    def queue_exists(self, name: str) -> bool:
        """Return whether there is an SQS queue of this name."""

    def queue_messages(self, name: str) -> int:
        """Return the approximate number of messages in the SQS queue of this name; 0 if there is no queue."""

    def ensure_queue(self, name: str) -> str:
        """Create the SQS queue if it does not exist; return its ARN. Messages are kept for 14 days."""

    def delete_queue(self, name: str) -> None:
        """Delete the queue. No effect if it does not exist."""


class GivenResources(Protocol):
    """IAM roles, SQS queues and SNS topics that a definition names."""

    def exists(self, arn: str) -> bool:
        """Return whether the role, queue or topic exists.

        Raises:
            StoreError: AWS refuses the call.
        """


class CustomCertificates(Protocol):
    """The custom certificates of a definition, with their private keys."""

    def credential(self, slot: Slot, *, current: CertificateFacts | None, main: CertificateFacts | None) -> Credential:
        """Return the custom certificate for a slot. It is read and checked again when it is stored (R29, R32).

        Args:
            slot: main or reserve.
            current: current main certificate; None if there is none.
            main: main certificate at the end of the run; None if it is unknown.

        Raises:
            DefinitionError: The certificate can no longer be read, or violates a rule.
        """


class Probe(Protocol):
    """Reads the certificates that servers present."""

    def served_certificates(self, host: str, endpoints: Sequence[str]) -> tuple[ServedCertificate, ...]:
        """Return the certificate that each endpoint presents for *host*. Never raises.

        Args:
            host: server name (SNI) of the request.
            endpoints: ``host:port``, or ``host`` for port 443.
        """


class MdmChannel(Protocol):
    """An MDM server through which devices receive commands."""

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Split the devices, in their order, into batches of the size that one call is expected to accept."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Queue one command for the devices of one batch.

        Args:
            enrollment_ids: one of *batches*, or a part of it; duplicates count once.
            command: MDM command plist with a CommandUUID. A known CommandUUID makes the call a repetition, which has
                no effect, even for other devices: derive the CommandUUID from the profile *and* the batch.

        Returns:
            Notices about a command that is queued for every device.

        Raises:
            BatchTooLargeError: Nothing was queued, because the server does not accept so many devices in one call.
            DeliveryError: The server is down, refuses the API key, or rejects the command.
            DefinitionError: An id is not a valid enrollment id.
        """


class DeliveryStatus(StrEnum):
    """State of the delivery of a profile to a device. The ledger stores these words."""

    NOT_SENT = "not-sent"
    PENDING = "pending"
    """The command is queued, and the device has not answered."""
    NOT_NOW = "not-now"
    """The device will request the command again later."""
    ERROR = "error"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """Recorded state of a profile on one device.

    Args:
        enrollment_id: enrollment id of the device.
        status: state of the delivery.
        detail: explanation of an error by the device, else empty.
        at: time of the record, aware UTC; None for ``NOT_SENT``.
    """

    enrollment_id: str
    status: DeliveryStatus
    detail: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Recorded state of one profile on several devices.

    Args:
        profile: SHA-256 of the profile, 64 hex digits.
        devices: one entry for each device, in the requested order.
    """

    profile: str
    devices: tuple[DeviceStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a device to a command.

    Args:
        command_uuid: CommandUUID of any command, also of one that this provider did not send.
        status: ``ACKNOWLEDGED`` (final), ``ERROR`` or ``NOT_NOW`` (the device will request the command again).
        detail: explanation of an error by the device in one line, at most 1,000 characters; else empty.
    """

    command_uuid: str
    status: DeliveryStatus
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """An event of a device, as reported by an MDM server.

    Args:
        identity: 16 bytes, equal for copies of the event and different for any other event.
        at: time stated in the event, aware UTC, with microseconds.
        topic: topic of the event, such as ``mdm.Connect``.
        enrollment_id: enrollment id of the device, for which commands are queued.
        enrolled: True if the event shows that the device is enrolled, False if it shows that the device was unenrolled,
            else None. An Authenticate is only a request, and the user channel is enrolled independently of the device.
        answer: answer to a command, or None if the event contains no answer.
    """

    identity: bytes
    at: datetime
    topic: str
    enrollment_id: str
    enrolled: bool | None = None
    answer: Answer | None = None


class Ledger(Protocol):
    """The record of the profiles that were sent to devices, and of the answers of the devices."""

    def record_enqueued(
        self, command_uuid: str, *, server: str, profile: str, enrollment_ids: Sequence[str], at: datetime
    ) -> None:
        """Record that *profile* (SHA-256, hex) was queued for these devices. Repetitions have no effect."""

    def record_events(self, events: Sequence[DeviceEvent], *, now: datetime) -> None:
        """Record the events of an MDM server atomically and durably.

        Events may arrive before ``record_enqueued``, repeatedly and in any order. Each event counts once, with the time
        stated in it. Answers to commands of other senders never count in ``coverage``.

        Args:
            events: any number of events of any devices.
            now: current time, aware UTC; records that are too old at this time are deleted.
        """

    def enrolled_ids(self) -> Sequence[str]:
        """Return the enrollment ids of all enrolled devices, sorted."""

    def commands(self, server: str) -> int:
        """Return the number of commands that were queued for the devices of *server*."""

    def coverage(self, *, server: str, profile: str, enrollment_ids: Sequence[str]) -> Coverage:
        """Return the recorded state of *profile* on each of these devices."""


class HttpHandler(Protocol):
    """Answers HTTP requests, independently of servers, sockets and threads."""

    def answer_without_body(self, request: Request) -> Response | None:
        """Return the response to a request that needs no body, or None if the body must be read."""

    def answers(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Return the responses to complete requests, in their order. All requests of a call share one write."""
