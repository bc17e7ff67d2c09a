"""The definition of one server's pair. ``ios_mdm.settings`` reads it from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.facts import trust_anchor

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "MAX_VALIDITY_DAYS",
    "AfterCurrentExpires",
    "AfterDays",
    "ApplyTime",
    "AtTime",
    "InstallMain",
    "InstallReserve",
    "IssueMain",
    "IssueReserve",
    "KeyType",
    "NoReserve",
    "OfferedCertificate",
    "PairDefinition",
    "Promotion",
    "Slot",
    "When",
]

MAX_VALIDITY_DAYS = 824
"""Longest validity of an issued certificate, in days.

Apple refuses more than 825 days (103769) and counts any excess as one more day. One day is kept as a margin.
"""


class Slot(StrEnum):
    """The two slots of a pair."""

    MAIN = "main"
    RESERVE = "reserve"


class KeyType(StrEnum):
    """Type and size of the key of an issued certificate."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"


class When(StrEnum):
    """When a reserve is issued (R2, R3)."""

    AUTO = "auto"
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueMain:
    """Settings for an issued main certificate (R1).

    Args:
        validity_days: notAfter - notBefore, in days; at most 824 (Apple 103769).
        key: type and size of the key.
        generation: the user's request counter; a higher number requests a new main (R13).
    """

    validity_days: int = 397
    key: KeyType = KeyType.RSA_4096
    generation: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedCertificate:
    """A custom certificate that the definition offers: the public facts of its file.

    Args:
        sha256: fingerprint of the leaf, 64 hex digits.
        root: digest of the root, as in :class:`ios_mdm.core.pair.facts.CertificateFacts`.
        not_before: start of validity, aware UTC.
        not_after: end of validity, inclusive, aware UTC.
        chain: digest of the leaf and its issuers, as in :class:`ios_mdm.core.pair.facts.CertificateFacts`.
    """

    sha256: str
    root: str
    not_before: datetime
    not_after: datetime
    chain: str = ""

    @property
    def anchor(self) -> str:
        """Digest of what devices trust the certificate by, as in :func:`ios_mdm.core.pair.facts.trust_anchor`."""
        return trust_anchor(self.sha256, self.root, self.chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallMain:
    """Main is a custom certificate (R1).

    Args:
        offered: certificate that the definition offers as main.
    """

    offered: OfferedCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterCurrentExpires:
    """The reserve is applied at main's expiry minus the lead (R6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterDays:
    """The reserve is applied this number of days after it was issued or installed (R7)."""

    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTime:
    """The reserve is applied at this time, aware UTC."""

    time: datetime


ApplyTime = AfterCurrentExpires | AfterDays | AtTime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReserve:
    """Settings for an issued reserve (R2, R3, R6-R10).

    Args:
        when: ``auto``: a reserve is issued *before_days* before main expires; ``now``: whenever the pair has none.
        before_days: number of days before main's expiry; None for a third of main's validity, at most 60 days (R49).
        apply: rule for the apply time.
        validity_days: validity in days; None for main's validity.
        key: type and size of the key; None for main's.
        generation: the user's request counter; a higher number deletes the reserve and issues another one (R10).
    """

    when: When = When.AUTO
    before_days: int | None = None
    apply: ApplyTime = field(default_factory=AfterCurrentExpires)
    validity_days: int | None = None
    key: KeyType | None = None
    generation: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallReserve:
    """The reserve is a custom certificate (R2, R4, R6, R7).

    Args:
        offered: certificate that the definition offers as the reserve.
        apply: rule for the apply time.
    """

    offered: OfferedCertificate
    apply: ApplyTime = field(default_factory=AfterCurrentExpires)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReserve:
    """The definition requests that the pair has no reserve. An existing reserve is deleted (R10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """Settings for the promotion of the reserve (R6, R11).

    Args:
        lead_minutes: lead: minutes from the apply time to main's expiry.
        hold: whether promotion is on hold: no certificate is promoted.
        schedule: whether schedules in AWS promote the reserve. Without them, a run at the apply time promotes it.
        minimum_coverage: percentage of the devices that must have the reserve before it is applied earlier than the
            lead before main's expiry (R46); None for no such condition.
    """

    lead_minutes: int = 1440
    hold: bool = False
    schedule: bool = True
    minimum_coverage: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDefinition:
    """Definition of one server's pair.

    Args:
        name: name of the server, unique in the stack.
        host: connection address without its port: an A-label DNS name (RFC 5890).
        main: settings for the main certificate.
        replace_main: whether a valid main is replaced now.
        confirm_main: SHA-256 fingerprint (hex) of the main that is replaced then; None if the definition has none.
        distrust: SHA-256 fingerprints (64 hex digits) of certificates that devices must no longer trust. With
            *replace_main*, a main among them is replaced before its successor is sent to the devices.
        reserve: settings for the reserve; None if the definition has none. A reserve is then issued automatically if
            main is issued, and an existing reserve is kept (R10).
        confirm: SHA-256 fingerprint (hex) of a reserve, to confirm its deletion (R10); None if the definition has none.
        devices: number of devices, for messages; None if unknown.
        distributed: whether devices get the certificates in a profile before a switch.
        warn_days: number of days before main's expiry from which a missing reserve is critical (R5); None for a sixth
            of main's validity, at most 30 days (R49).
        promotion: settings for the promotion of the reserve.
    """

    name: str
    host: str
    main: IssueMain | InstallMain = field(default_factory=IssueMain)
    replace_main: bool = False
    confirm_main: str | None = None
    distrust: frozenset[str] = frozenset()
    reserve: IssueReserve | InstallReserve | NoReserve | None = None
    confirm: str | None = None
    devices: int | None = None
    distributed: bool = False
    warn_days: int | None = None
    promotion: Promotion = field(default_factory=Promotion)

    @property
    def issue(self) -> IssueMain:
        """Settings for an issued main; the defaults if the definition offers a custom main."""
        return self.main if isinstance(self.main, IssueMain) else IssueMain()
