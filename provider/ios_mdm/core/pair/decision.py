"""The desired state of a pair: phase, certificates, requests and notices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.definition import KeyType, OfferedCertificate, Slot

__all__ = [
    "DesiredState",
    "Gate",
    "GuardReason",
    "GuardedCertificate",
    "InstallRequest",
    "IssueRequest",
    "Notice",
    "Phase",
    "Request",
    "Severity",
    "coverage_text",
]


class Phase(StrEnum):
    """Phase of a pair's life."""

    STEADY = "steady"
    OVERLAP = "overlap"
    OVERDUE = "overdue"
    EXPIRING = "expiring"
    CONNECTION_LOST = "connection-lost"


class Severity(StrEnum):
    """Severity of a notice, in ascending order."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message of a policy for the user.

    Args:
        reason: code of the reason, such as ``no-reserve``; it is stable.
        severity: severity of the notice.
        message: text of the notice: the fact, and what to do next.
        due: time that the notice is about, aware UTC, from which its display derives local time and days left; None if
            the notice has no such time.
    """

    reason: str
    severity: Severity
    message: str
    due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRequest:
    """A certificate that is to be issued.

    Args:
        ordinal: number of the certificate in its pair.
        slot: slot that the certificate is for.
        key: type and size of the key.
        validity_days: validity in days.
        generation: value of ``generation`` in the definition that requests the certificate.
    """

    ordinal: int
    slot: Slot
    key: KeyType
    validity_days: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
    """A custom certificate that is to be installed.

    Args:
        ordinal: number of the certificate in its pair.
        slot: slot that the certificate is for.
        offered: public facts of the certificate.
        generation: always 1, because another file is another certificate.
    """

    ordinal: int
    slot: Slot
    offered: OfferedCertificate
    generation: int = 1


Request = IssueRequest | InstallRequest


class GuardReason(StrEnum):
    """Reason why a certificate that is in no slot stays in the profile (R35)."""

    OFFERED = "offered"
    """The certificate was offered to devices, and its deletion was not requested."""
    PRESENTED = "presented"
    """An endpoint presents the certificate."""
    ARMED = "armed"
    """A schedule can still make the certificate main."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedCertificate:
    """A certificate that stays in the profile although it is neither main nor reserve nor a former main.

    Args:
        ordinal: number of the certificate in its pair.
        reason: first reason that applies.
        endpoints: endpoints that present the certificate, each ``host:port``.
    """

    ordinal: int
    reason: GuardReason
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The gate before a switch: the reserve is applied early only if enough devices have it (R46).

    Args:
        is_open: whether enough devices have the reserve, by the last recorded decision.
        minimum: percentage of the devices that must have the reserve.
        early: apply time of the reserve while the gate is open, aware UTC.
        latest: apply time of the reserve while the gate is closed: main's expiry minus the lead, aware UTC.
    """

    is_open: bool
    minimum: int
    early: datetime
    latest: datetime

    @property
    def apply_at(self) -> datetime:
        """Apply time of the reserve, aware UTC."""
        return self.early if self.is_open else self.latest


def coverage_text(minimum: int) -> str:
    """Return the condition of a gate, after "at least" or "until". The pair does not know whether proof is configured.

    Args:
        minimum: percentage of the devices.
    """
    return f"{minimum} % of the devices have proved the reserve (acknowledged it, if distribution.proof is not set)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """Desired state of a pair.

    Args:
        phase: phase of the pair in this state.
        main: ordinal of the main certificate.
        next_main: ordinal of the certificate that replaces main after devices were sent it (``main.replaceNow``); None
            if main is not replaced, or is replaced at once.
        reserve: ordinal of the reserve; None if the pair has none.
        formers: ordinals of former mains that devices must still trust (R17), ascending.
        requests: certificates of this state that are still to be issued or installed.
        reason: why the pair has this phase; the text is the same as long as the decision is.
        apply_at: apply time of the reserve, aware UTC; None if there is no reserve, or if it is not stored yet.
        gate: gate before the apply time; None if the definition has none, or if the reserve is applied late anyway.
        reserve_at: time at which a reserve is issued automatically, aware UTC; None if there is a reserve, or if no
            reserve is issued automatically.
        notices: notices for the user.
        guarded: certificates in no slot that devices must still trust (R35), ascending.
        withdrawn: ordinals of certificates whose offer to devices has ended, so that their label is removed.
    """

    phase: Phase
    main: int
    next_main: int | None = None
    reserve: int | None
    formers: tuple[int, ...]
    requests: tuple[Request, ...]
    reason: str
    apply_at: datetime | None
    gate: Gate | None = None
    reserve_at: datetime | None = None
    notices: tuple[Notice, ...] = ()
    guarded: tuple[GuardedCertificate, ...] = ()
    withdrawn: tuple[int, ...] = ()

    @property
    def trusted_ordinals(self) -> tuple[int, ...]:
        """Ordinals of the certificates that devices must trust (R15, R17, R35), ascending."""
        slots = (self.main, self.next_main, self.reserve, *self.formers, *(one.ordinal for one in self.guarded))
        return tuple(sorted({ordinal for ordinal in slots if ordinal is not None}))
