"""The observed state of a pair: the versions of its secret, and the certificates that its server presents."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.secret import Label, trusted_label

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ios_mdm.core.connection.handshake import Handshake
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.home import PairIdentity

__all__ = [
    "Announcement",
    "ArmedPromotion",
    "ObservedPair",
    "RecordedGate",
    "Role",
    "ServedCertificate",
    "StoredVersion",
]

_SLOTS = frozenset(Label)


class Role(StrEnum):
    """The last slot that a certificate was seen in. A version with role *main* that is not main is a former main.

    *deleted* is a reserve that was deleted, or a former main that devices no longer need. *kept* is a reserve that was
    offered to devices and left its slot without a request. It stays in the profile until it expires (R35).
    """

    MAIN = "main"
    RESERVE = "reserve"
    DELETED = "deleted"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One version of a pair's secret.

    Args:
        version_id: id of the version.
        ordinal: number of the certificate; None for a version that another program stored.
        labels: staging labels of the version.
        facts: public facts of the certificate; None if their tag is missing or damaged.
        role: last slot that the certificate was seen in; None without facts.
        former_key: KMS key of the version if that is not the key of the secret; None otherwise.
    """

    version_id: str
    ordinal: int | None
    labels: frozenset[str]
    facts: CertificateFacts | None
    role: Role | None = None
    former_key: str | None = None

    @property
    def slots(self) -> frozenset[str]:
        """The labels of slots: all labels except those of offers and of other programs."""
        return self.labels & _SLOTS

    @property
    def is_offered(self) -> bool:
        """Whether the certificate was offered to devices, and this offer has not ended (R35)."""
        return self.ordinal is not None and trusted_label(self.ordinal) in self.labels

    @property
    def is_former(self) -> bool:
        """Whether the certificate was main and is no longer main. A version that is only staged was not main yet."""
        if Label.MAIN in self.labels or self.slots == {Label.STAGED}:
            return False
        return Label.FORMER in self.labels or self.role is Role.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCertificate:
    """The certificate that an endpoint presented in a TLS handshake.

    Args:
        endpoint: endpoint that was checked, ``host:port``.
        sha256: fingerprint of the leaf, 64 hex digits; None if the check failed.
        problem: why the check failed; otherwise empty.
        handshake: properties of the handshake; None if the server did not answer as a TLS server.
    """

    endpoint: str
    sha256: str | None
    problem: str = ""
    handshake: Handshake | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """Record of a version that is written before a run stores the version (R38).

    Args:
        ordinal: number of the certificate.
        sha256: digest of the value, 64 hex digits.
    """

    ordinal: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmedPromotion:
    """Record of a promotion for which a schedule can exist.

    The record is written before the schedule is created. It is removed after the end or deletion of the schedule is
    confirmed.

    Args:
        certificate: ordinal of the certificate that becomes main; 0 if the record is damaged.
        at: time at which the schedule fires, aware UTC; None if the record is damaged.
    """

    certificate: int
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedGate:
    """Record of the last decision of the gate (R46).

    Args:
        certificate: ordinal of the reserve that the decision is about.
        is_open: whether enough devices have this reserve.
        since: time of the decision, aware UTC, whole seconds.
    """

    certificate: int
    is_open: bool
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPair:
    """The state of a pair, read from its secret and from its endpoints.

    Args:
        owner: organization/project/stack in the secret's tag; None if the tag is lost.
        identity: identity of the pair; None if the tag is lost.
        resource_id: id of the resource that owns the pair, 32 random hex digits; None if the pair has no owner.
        profiles: PayloadIdentifier of each profile with certificates of the pair that devices were sent, sorted.
        host: connection address in the secret's tag; None if the tag is lost.
        highest_ordinal: highest certificate number ever recorded or seen; 0 for none.
        recorded_ordinal: highest certificate number in the secret's tag; lower than *highest_ordinal* if the tag is
            out of date, 0 if it is lost.
        main_generation: value of ``generation`` that requested the last new main; None if the tag is lost.
        promoted: ordinal of the certificate that became main last, except the first main; None if none did, or if the
                tag is lost.
        highest_main: highest ordinal of a certificate that became main, as in *promoted*; 0 for none.
        replaced: fingerprint of the main that was replaced last; None if none was, or if the tag is lost.
        sent: ordinals of the certificates in the profile that was last queued for the devices.
        armed: promotion for which a schedule can exist; None if none is recorded.
        gate: last decision of the gate; None if none is recorded, or if the record is damaged.
        announced: version that a run stored last, or was about to store; None if none is recorded.
        reserve_since: when a custom reserve was installed, aware UTC; None if there is none, or if the tag is lost.
        versions: every version with a label or a facts tag, by ordinal.
        tags: all tags of the secret.
        is_deleted: whether the secret is scheduled for deletion.
        arn: ARN of the secret.
        kms_key: as in :class:`SecretDescription`.
        primary_region: as in :class:`SecretDescription`.
        served: certificate that each endpoint presents; empty if no endpoint was checked.
        changed_at: as in :class:`SecretDescription`. No label was moved after this time.
    """

    owner: str | None = None
    identity: PairIdentity | None = None
    resource_id: str | None = None
    profiles: tuple[str, ...] = ()
    host: str | None = None
    highest_ordinal: int = 0
    recorded_ordinal: int = 0
    main_generation: int | None = None
    promoted: int | None = None
    highest_main: int = 0
    replaced: str | None = None
    sent: frozenset[int] = frozenset()
    armed: ArmedPromotion | None = None
    gate: RecordedGate | None = None
    announced: Announcement | None = None
    reserve_since: datetime | None = None
    versions: tuple[StoredVersion, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    is_deleted: bool = False
    arn: str = ""
    kms_key: str | None = None
    primary_region: str | None = None
    served: tuple[ServedCertificate, ...] = ()
    changed_at: datetime | None = field(default=None, compare=False)

    def is_sent(self, ordinal: int | None) -> bool:
        """Return whether devices were sent a profile by which they trust this certificate (R36).

        Devices trust a certificate by its root. So a renewal under a root that they were sent needs no profile (R49).
        A root can be renewed with the same key, and the one that devices have can expire before main. So a certificate
        under another root than main's is trusted only if a sent one is valid at least as long as main.

        Args:
            ordinal: number of the certificate; None if there is none.
        """
        version = None if ordinal is None else self.version_of(ordinal)
        if ordinal in self.sent or version is None or version.facts is None:
            return ordinal in self.sent
        anchor, main = version.facts.anchor, None if self.main is None else self.main.facts
        sent = [one.facts for one in self.versions if one.ordinal in self.sent and one.facts is not None]
        return any(
            one.anchor == anchor and (main is None or main.anchor == anchor or one.not_after >= main.not_after)
            for one in sent
        )

    def is_announced(self, version: StoredVersion) -> bool:
        """Return whether a run announced a certificate with the number of this version (R38)."""
        return self.announced is not None and self.announced.ordinal == version.ordinal

    def was_main(self, version: StoredVersion) -> bool:
        """Return whether a version that has STAGED and no other slot was main before (R38).

        If it was, another program added STAGED to it. A certificate that is stored to become main has a higher number
        than main and each certificate that became main before.
        """
        if version.slots != {Label.STAGED} or version.role is not Role.MAIN or version.ordinal is None:
            return False
        main = 0 if self.main is None else self.main.ordinal or 0
        return version.ordinal <= max(main, self.highest_main)

    def holder(self, label: str) -> StoredVersion | None:
        """Return the version with this label; None if there is none."""
        return next((version for version in self.versions if label in version.labels), None)

    @property
    def main(self) -> StoredVersion | None:
        """The version with the label AWSCURRENT."""
        return self.holder(Label.MAIN)

    @property
    def was_distributed(self) -> bool:
        """Whether devices were sent a profile of this pair, even if the definition no longer has a distribution."""
        return bool(self.profiles or self.sent)

    @property
    def reserve(self) -> StoredVersion | None:
        """The version with the label RESERVE, unless it is main, or was main and an operator rolled it back (R32)."""
        holder = self.holder(Label.RESERVE)
        return None if holder is None or Label.MAIN in holder.labels or holder.is_former else holder

    @property
    def applied_main(self) -> StoredVersion | None:
        """The version that was stored as the next main and became main, until this is recorded; None otherwise.

        An operator might have moved AWSCURRENT back afterwards.
        """
        version, main = self.holder(Label.STAGED), self.main
        if version is None or main is None or version.role is not Role.MAIN or version.ordinal == self.promoted:
            return None
        moved_back = Label.FORMER in version.labels and (version.ordinal or 0) > (main.ordinal or 0)
        return version if (version == main or moved_back) and Label.RESERVE not in version.labels else None

    def version_of(self, ordinal: int) -> StoredVersion | None:
        """Return the version of the certificate with this number; None if there is none."""
        return next((version for version in self.versions if version.ordinal == ordinal), None)
