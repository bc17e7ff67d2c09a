"""Protocols of the external systems that the use cases need. Adapters implement them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from ios_mdm.core.http import Request, Response
    from ios_mdm.core.ledger.values import (
        DeviceEvent,
        DeviceRecord,
        DeviceState,
        EnqueuedCommand,
        Publication,
        StatePolicy,
    )
    from ios_mdm.core.pair.definition import Slot
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.home import Home
    from ios_mdm.core.pair.observed import ServedCertificate
    from ios_mdm.core.pair.schedule import Schedule
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.core.watch import WatchedCertificate
    from ios_mdm.core.x509.values import Credential

__all__ = [
    "Clock",
    "CustomCertificates",
    "DescribedSecrets",
    "Folder",
    "GivenResources",
    "HttpHandler",
    "LabeledValues",
    "Ledger",
    "MdmChannel",
    "Prerequisites",
    "Probe",
    "ProfileDirectory",
    "Scheduler",
    "SecretBytes",
    "SecretStore",
    "SecretValues",
    "WatchedServers",
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

    def close(self) -> None:
        """Close the connections to the server."""


class Folder(Protocol):
    """A folder that other tools read. Each method raises a ``DeliveryError`` if the folder cannot be used."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file. A reader sees the former content or the new one, never a part of it."""


class ProfileDirectory(Protocol):
    """A channel that gives the profile to another tool, and cannot send it to devices."""

    def publish(self, profile: bytes, *, server: str, host: str) -> tuple[str, ...]:
        """Write the profile, and the files that help to distribute it. Unchanged files are not written.

        Args:
            profile: the .mobileconfig.
            server: name of the server.
            host: connection address without its port.

        Returns:
            Notices about files that are written.

        Raises:
            DeliveryError: A file cannot be written, or was not written by this program. The message has the number of
                files that are up to date.
        """

    def is_published(self, profile: bytes, *, server: str, host: str) -> bool:
        """Return whether :meth:`publish` has nothing to write. Raises its errors."""


class Ledger(Protocol):
    """The record of the profiles that were sent to devices, of their answers, and of the certificates that they have.

    Reports may arrive repeatedly and in any order. Several threads and processes can use a ledger at the same time.
    Each method raises a ``DeliveryError`` if the ledger cannot be used.
    """

    def publish(
        self,
        server: str,
        profile: bytes,
        *,
        certificates: Iterable[bytes],
        seed: UUID,
        at: datetime,
        channel: str = "",
        is_for_all: bool = False,
    ) -> Publication:
        """Record the profile that devices of *server* are sent from now on, and return the record.

        If *profile* was published last for the same *channel*, it keeps its revision, seed and time; only *is_for_all*
        changes. Else it gets the next revision, because the devices of another MDM server were not sent it. Then what
        devices reported of a certificate that no published profile has is deleted.

        Args:
            server: name of the server.
            profile: the .mobileconfig.
            certificates: SHA-256 of the DER of each certificate in the profile, 32 bytes each.
            seed: random UUID, from which the CommandUUIDs of a new revision derive.
            at: current time, aware UTC.
            channel: URL of the MDM server.
            is_for_all: whether the definition takes the devices of *server* from the ledger.
        """

    def publication(self, server: str) -> Publication | None:
        """Return the profile of *server* that was published last; None if there is none."""

    def publications(self) -> Sequence[Publication]:
        """Return the profile of each server that was published last, sorted by server."""

    def record_commands(self, commands: Sequence[EnqueuedCommand], *, publication: Publication) -> None:
        """Record that commands which install a published profile were queued. A repetition has no effect.

        Args:
            commands: the commands.
            publication: the profile.
        """

    def record_asked(self, enrollment_ids: Iterable[str], *, at: datetime) -> None:
        """Record that a CertificateList was queued for devices.

        Args:
            enrollment_ids: enrollment ids of the devices.
            at: time at which the command was queued, aware UTC.
        """

    def record_events(self, events: Sequence[DeviceEvent], *, now: datetime) -> Sequence[str]:
        """Record the events of an MDM server. They are durable when this method returns.

        If it raises an error, each event is recorded with all its effects or not at all. A repetition records the rest.

        Events may arrive before ``record_commands``. Each event counts once, with the time stated in it. Answers to
        commands of other senders never change the state of a device. Of a list of certificates, only those in published
        profiles are recorded.

        Args:
            events: any number of events of any devices.
            now: current time, aware UTC; records that are too old at this time are deleted.

        Returns:
            Enrollment ids of the devices whose enrollment began with these events: an Authenticate and a later sign of
            life are known, in whichever order they arrived. Each epoch of a device is returned once. A device that
            has left again with these events is not returned.

        Raises:
            ValueError: A time has no zone.
        """

    def enrolled_ids(self) -> Sequence[str]:
        """Return the enrollment ids of all enrolled devices, sorted."""

    def devices(self, server: str, *, enrollment_ids: Sequence[str] | None = None) -> Iterator[DeviceRecord]:
        """Yield the records of devices for *server*.

        The records are read in parts, so they are not from one instant, and other processes can write at the same time.

        Args:
            server: name of the server.
            enrollment_ids: enrollment ids of devices: one record each, in this order. None: each device that enrolled
                or left, sorted by enrollment id.
        """

    def counts(
        self, server: str, policy: StatePolicy, *, enrollment_ids: Sequence[str] | None = None
    ) -> Mapping[DeviceState, int]:
        """Return the number of devices in each state. Each state is a key.

        The result is that of ``device_status`` for each record of ``devices``.

        Args:
            server: name of the server.
            policy: the profile, and the settings from which states are computed.
            enrollment_ids: enrollment ids of devices, without duplicates. None: each device that enrolled or left.
        """

    def waiting(self, server: str, revision: int | None, *, enrollment_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the devices that were not sent a revision in their current enrollment, with the epoch of each.

        A device that answered the command in its current enrollment was sent it.

        Args:
            server: name of the server.
            revision: revision of the profile; None if it is not published: the result then has all devices.
            enrollment_ids: enrollment ids of devices. The result is in this order.
        """

    def claim_push(
        self, enrollment_id: str, *, at: datetime, limit: int = 3, window: timedelta = timedelta(days=1)
    ) -> bool:
        """Return whether a device may be sent a command without a request of the user, and count the command.

        At most *limit* claims of a device are within *window*. Concurrent claims are counted one after the other.
        Claims that are older than *window* are deleted.

        Args:
            enrollment_id: enrollment id of the device.
            at: current time, aware UTC. A later claim counts, too: a clock can be set back.
            limit: maximum number of claims.
            window: duration, which ends at *at*. A claim at its start does not count.
        """

    def delete_devices(self, *, left_before: datetime, kept: Collection[str] = ()) -> int:
        """Delete all records of the devices that checked out before this time and were not seen again.

        Afterwards, an event before this time has no effect if its device is unknown and was not sent the command that
        it answers. So a copy of an old event does not restore a device.

        Args:
            left_before: the time, aware UTC.
            kept: enrollment ids of devices whose records stay, because a definition lists them. Without its CheckOut, a
                listed device counts as one that must be sent the profile.

        Returns:
            Number of these devices.
        """


class WatchedServers(Protocol):
    """The servers that have watched certificates. Every failure is a ``WatchError``, or a ``DefinitionError``."""

    def push_certificate(self, url: str, *, api_key: str, topic: str, ca_file: str | None) -> WatchedCertificate | None:
        """Return the push certificate that a NanoMDM server has for a topic, or None if it has none.

        Args:
            url: base URL of the API, without ``/v1``.
            api_key: API key.
            topic: APNs topic.
            ca_file: PEM file with the trusted root certificates; None for those of the system.
        """

    def ca_certificates(self, url: str, *, ca_file: str | None) -> bytes:
        """Return the CA certificates of a SCEP server, in DER or PKCS #7."""


class HttpHandler(Protocol):
    """Answers HTTP requests, independently of servers, sockets and threads."""

    def answer_without_body(self, request: Request) -> Response | None:
        """Return the response to a request that needs no body, or None if the body must be read."""

    def answers(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Return the responses to complete requests, in their order. All requests of a call share one write."""
