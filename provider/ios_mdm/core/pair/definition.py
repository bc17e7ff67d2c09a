"""What the user asks for: the definition of one server's pair, as values (the YAML side is ``ios_mdm.settings``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "LONGEST_VALIDITY_DAYS",
    "AfterCurrentExpires",
    "AfterDays",
    "ApplyMoment",
    "At",
    "InstallMain",
    "InstallReserve",
    "IssueMain",
    "IssueReserve",
    "KeyType",
    "NoReserve",
    "Offered",
    "PairDefinition",
    "Promotion",
    "Slot",
    "When",
]

LONGEST_VALIDITY_DAYS = 824
"""Apple refuses more than 825 days (103769) and counts any excess as one more day: one day to spare."""


class Slot(StrEnum):
    """The two places of a pair that a certificate can be for."""

    MAIN = "main"
    RESERVE = "reserve"


class KeyType(StrEnum):
    """The key of an issued certificate."""

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
    """How an issued main certificate is made (R1).

    Args:
        validity_days: notAfter - notBefore, in days; 824 at most (Apple 103769).
        key: type and size of the key.
        generation: the user's request counter; raising it asks for a new main (R13).
    """

    validity_days: int = 397
    key: KeyType = KeyType.RSA_4096
    generation: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A custom certificate that the definition offers: the public facts of its file.

    Args:
        sha256: fingerprint of the leaf, 64 hex digits.
        root: SHA-256 over its root's subject and key, as :class:`ios_mdm.core.pair.facts.CertificateFacts` has it.
        not_before: start of validity, aware UTC.
        not_after: end of validity, inclusive.
        chain: digest of the leaf with all above it, as :class:`ios_mdm.core.pair.facts.CertificateFacts` has it.
    """

    sha256: str
    root: str
    not_before: datetime
    not_after: datetime
    chain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallMain:
    """Main is a custom certificate (R1).

    Args:
        offered: the one that the definition offers.
    """

    offered: Offered


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterCurrentExpires:
    """The reserve is applied when main expires, less the lead (R6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterDays:
    """The reserve is applied this many days after it was issued or installed (R7)."""

    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """The reserve is applied at this moment."""

    moment: datetime


ApplyMoment = AfterCurrentExpires | AfterDays | At


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReserve:
    """How an issued reserve is made, and when it is applied (R2, R3, R6-R10).

    Args:
        when: ``auto``: *before_days* before main expires; ``now``: a reserve is held at all times.
        before_days: days before main's expiry at which an automatic reserve is issued.
        apply: when the reserve becomes main.
        validity_days: in days; None takes main's.
        key: None takes main's.
        generation: the user's request counter; raising it deletes and issues again (R10).
    """

    when: When = When.AUTO
    before_days: int = 60
    apply: ApplyMoment = field(default_factory=AfterCurrentExpires)
    validity_days: int | None = None
    key: KeyType | None = None
    generation: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallReserve:
    """The reserve is a custom certificate (R2, R4, R6, R7).

    Args:
        offered: the one that the definition offers.
        apply: when the reserve becomes main.
    """

    offered: Offered
    apply: ApplyMoment = field(default_factory=AfterCurrentExpires)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReserve:
    """No reserve, on purpose; one that exists is deleted (R10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """How the switch is made (R6, R11).

    Args:
        lead_minutes: how long before main's expiry the reserve is applied.
        hold: True promotes nothing.
        schedule: False makes no schedule: a run at the apply time promotes.
    """

    lead_minutes: int = 1440
    hold: bool = False
    schedule: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDefinition:
    """One server's pair as the user wants it.

    Args:
        name: of the server, unique in the stack.
        host: the connection address without its port: an A-label DNS name (RFC 5890).
        main: how main comes to be.
        replace_main: put another main in the place of a valid one, now.
        confirm_main: SHA-256 fingerprint (hex) of the main that goes then.
        distrust: SHA-256 fingerprints (64 hex digits) of certificates whose keys are not to be trusted any more. A
            main among them is replaced before its successor was sent to the devices.
        reserve: None where the definition is silent: automatic where main is issued, and never a deletion (R10).
        confirm: SHA-256 fingerprint (hex) of a reserve whose deletion R10 wants confirmed.
        devices: how many devices there are, for messages; None where that is not known.
        distributed: whether devices get the certificates in a profile before a switch.
        warn_days: days before main's expiry from which a missing reserve is critical (R5).
        promotion: how the switch is made.
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
    warn_days: int = 30
    promotion: Promotion = field(default_factory=Promotion)

    @property
    def issue(self) -> IssueMain:
        """How a main is issued here; the defaults where the definition offers a custom one."""
        return self.main if isinstance(self.main, IssueMain) else IssueMain()
