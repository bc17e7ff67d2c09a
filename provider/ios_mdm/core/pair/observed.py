"""A pair as it was observed: the versions of its secret, and the certificates that its server presents."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.secret import Label, trusted_label

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.home import PairIdentity

__all__ = ["Announcement", "ArmedPromotion", "ObservedPair", "Role", "Served", "StoredVersion"]

_SLOTS = frozenset(Label)


class Role(StrEnum):
    """The last slot that a certificate was seen in. A version with role *main* that is not main is a former main.

    *deleted* is a reserve that was deleted, or a former main that devices need no more. *kept* is a reserve that was
    offered to devices and left its slot without a request: it stays in the profile until it expires (R35).
    """

    MAIN = "main"
    RESERVE = "reserve"
    DELETED = "deleted"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One version of a pair's secret.

    Args:
        version_id: of the secret's version.
        ordinal: of the certificate; None for a version that is not of our making.
        labels: the staging labels on it.
        facts: None where its tag is missing or unreadable.
        role: the last slot it was seen in; None without facts.
        former_key: KMS key that it stays encrypted with although the secret has another; None if there is none.
    """

    version_id: str
    ordinal: int | None
    labels: frozenset[str]
    facts: CertificateFacts | None
    role: Role | None = None
    former_key: str | None = None

    @property
    def slots(self) -> frozenset[str]:
        """The labels without those of offers and of other programs. They show where the certificate is in its life."""
        return self.labels & _SLOTS

    @property
    def is_offered(self) -> bool:
        """Whether the certificate was offered to devices, and this offer has not ended (R35)."""
        return self.ordinal is not None and trusted_label(self.ordinal) in self.labels

    @property
    def former(self) -> bool:
        """Whether it has been main and is not any more; one that is only staged is on its way."""
        if Label.MAIN in self.labels or self.slots == {Label.STAGED}:
            return False
        return Label.FORMER in self.labels or self.role is Role.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a server was seen to present in a TLS handshake.

    Args:
        endpoint: that was looked at, ``host:port``.
        sha256: fingerprint of the leaf, 64 hex digits; None where it could not be looked at.
        problem: why it could not, else empty.
    """

    endpoint: str
    sha256: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """The version that a run stores next, recorded before it is stored (R38).

    Args:
        ordinal: of its certificate.
        sha256: digest of the value, 64 hex digits.
    """

    ordinal: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmedPromotion:
    """A promotion for which a schedule may exist: recorded before it is made, until its deletion or end is confirmed.

    Args:
        certificate: ordinal of the certificate that becomes main; 0 if the record is damaged.
        at: when the schedule fires, aware UTC; None if the record is damaged.
    """

    certificate: int
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPair:
    """A pair's secret, read as what it means.

    Args:
        owner: organization/project/stack that the secret says it belongs to.
        identity: which pair it is; None if the record is lost.
        resource_id: 32 hex digits, random, of the resource that owns the pair; None if it has no owner.
        profiles: PayloadIdentifier of each profile with certificates of the pair that devices were sent, sorted.
        host: connection address that the pair was made for.
        highest_ordinal: highest certificate number ever recorded or seen; 0 for none.
        recorded_ordinal: what the tag says of it; lower than *highest_ordinal* where the tag lags or is lost.
        main_generation: the last request for a main certificate that was answered; None where the tag is lost.
        promoted: ordinal of the certificate that became main last; None where none did, or the tag is lost.
        replaced: fingerprint of the main that was replaced last; None where none was, or the tag is lost.
        sent: ordinals of the certificates in the profile that was last queued for the devices.
        armed: the promotion for which a schedule may exist; None if none is recorded.
        announced: the version that a run stored last, or was about to store; None if none is recorded.
        reserve_since: when a custom reserve was installed, aware UTC; None where there is none, or the tag is lost.
        versions: every labelled version, and every version with a facts tag, by ordinal.
        tags: all tags as they are.
        deleted: True while the secret waits in its recovery window.
        arn: of the secret.
        kms_key: as in :class:`SecretDescription`.
        primary_region: as in :class:`SecretDescription`.
        served: what the server presents, one entry an endpoint; empty where nobody looked.
        changed_at: as in :class:`SecretDescription`. Every move of a label was at this time or earlier.
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
    replaced: str | None = None
    sent: frozenset[int] = frozenset()
    armed: ArmedPromotion | None = None
    announced: Announcement | None = None
    reserve_since: datetime | None = None
    versions: tuple[StoredVersion, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    deleted: bool = False
    arn: str = ""
    kms_key: str | None = None
    primary_region: str | None = None
    served: tuple[Served, ...] = ()
    changed_at: datetime | None = field(default=None, compare=False)

    def is_announced(self, version: StoredVersion) -> bool:
        """Return whether a run announced a certificate of this number before it was stored (R38)."""
        return self.announced is not None and self.announced.ordinal == version.ordinal

    def was_main(self, version: StoredVersion) -> bool:
        """Return whether a version that has STAGED and no other slot was main before (R38).

        Another program put STAGED on it. A certificate that is stored to become main has a higher number than main, and
        than each certificate that became main before.
        """
        if version.slots != {Label.STAGED} or version.role is not Role.MAIN or version.ordinal is None:
            return False
        main = 0 if self.main is None else self.main.ordinal or 0
        return version.ordinal <= max(main, self.promoted or 0)

    def holder(self, label: str) -> StoredVersion | None:
        """Return the version that *label* is on, or None."""
        return next((version for version in self.versions if label in version.labels), None)

    @property
    def main(self) -> StoredVersion | None:
        """The version labelled AWSCURRENT."""
        return self.holder(Label.MAIN)

    @property
    def was_distributed(self) -> bool:
        """Whether devices were sent a profile of this pair, also if the definition has no distribution any more."""
        return bool(self.profiles or self.sent)

    @property
    def reserve(self) -> StoredVersion | None:
        """The version labelled RESERVE, unless it is main already, or was and an operator rolled it back (R32)."""
        holder = self.holder(Label.RESERVE)
        return None if holder is None or Label.MAIN in holder.labels or holder.former else holder

    @property
    def applied_main(self) -> StoredVersion | None:
        """The version that was stored as the next main and became main, until this is recorded; None otherwise.

        An operator may have moved AWSCURRENT back since.
        """
        version, main = self.holder(Label.STAGED), self.main
        if version is None or main is None or version.role is not Role.MAIN or version.ordinal == self.promoted:
            return None
        moved_back = Label.FORMER in version.labels and (version.ordinal or 0) > (main.ordinal or 0)
        return version if (version == main or moved_back) and Label.RESERVE not in version.labels else None

    def numbered(self, ordinal: int) -> StoredVersion | None:
        """Return the version of the certificate with this *ordinal*, or None."""
        return next((version for version in self.versions if version.ordinal == ordinal), None)
