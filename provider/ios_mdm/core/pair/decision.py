"""The values that a decision about a pair is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.definition import KeyType, Offered, Slot

__all__ = ["Desired", "Guarded", "InstallRequest", "IssueRequest", "Notice", "Phase", "Request", "Severity", "Why"]


class Phase(StrEnum):
    """Where a pair is in its life."""

    STEADY = "steady"
    OVERLAP = "overlap"
    OVERDUE = "overdue"
    EXPIRING = "expiring"
    CONNECTION_LOST = "connection-lost"


class Severity(StrEnum):
    """How much a notice should worry."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a person should know: what a policy answers.

    Args:
        reason: in a word, the same every time.
        severity: how much it should worry.
        message: what it is, and what to do next.
        due: the moment that it is about, for whoever shows it to add local time and the days left.
    """

    reason: str
    severity: Severity
    message: str
    due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRequest:
    """A certificate that should be and is not yet.

    Args:
        ordinal: its number.
        slot: that it is for.
        key: type and size.
        validity_days: for how many days.
        generation: of the request that it answers.
    """

    ordinal: int
    slot: Slot
    key: KeyType
    validity_days: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
    """A custom certificate that should be in the pair and is not yet.

    Args:
        ordinal: its number.
        slot: that it is for.
        offered: the certificate.
        generation: always 1: another file is another certificate.
    """

    ordinal: int
    slot: Slot
    offered: Offered
    generation: int = 1


Request = IssueRequest | InstallRequest


class Why(StrEnum):
    """Why a certificate that is in no slot stays in the profile (R35)."""

    OFFERED = "offered"
    """It was offered to devices, and its deletion was not requested."""
    PRESENTED = "presented"
    """An endpoint presents it."""
    ARMED = "armed"
    """A schedule may still make it main."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A certificate that stays in the profile although it is neither main nor reserve nor a former main.

    Args:
        ordinal: its number.
        why: the first reason that applies.
        endpoints: the endpoints that present it, ``host:port``.
    """

    ordinal: int
    why: Why
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What a pair should be.

    Args:
        phase: where in its life the pair then is.
        main: ordinal of the main certificate.
        next_main: ordinal of the certificate that replaces main once devices were sent it (``main.replaceNow``); None
            if main is not replaced, or is replaced at once.
        reserve: ordinal of the reserve, None for none.
        formers: ordinals of former mains that devices must still trust (R17), ascending.
        requests: certificates among these that are still to be issued or installed.
        reason: why, in words that stay the same while the decision does.
        apply_at: when the reserve becomes main; None without a reserve, or before it exists.
        reserve_at: when a reserve will be issued by itself; None where there is one, or none will be.
        notices: what a person should know now.
        guarded: certificates in no slot that devices must still trust (R35), in ascending order.
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
    reserve_at: datetime | None = None
    notices: tuple[Notice, ...] = ()
    guarded: tuple[Guarded, ...] = ()
    withdrawn: tuple[int, ...] = ()

    @property
    def trusted(self) -> tuple[int, ...]:
        """Ordinals of the certificates that belong on the devices (R15, R17, R35), ascending."""
        slots = (self.main, self.next_main, self.reserve, *self.formers, *(one.ordinal for one in self.guarded))
        return tuple(sorted({ordinal for ordinal in slots if ordinal is not None}))
