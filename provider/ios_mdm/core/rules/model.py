"""What a custom certificate is judged by, and what the judgement consists of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.x509.names import named
from ios_mdm.core.x509.signatures import is_self_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from cryptography import x509

    from ios_mdm.core.x509.chain import Candidate

__all__ = ["Check", "Context", "Finding", "Outcome", "Remark", "Report", "Rule", "Violation", "violation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a certificate is held against.

    Args:
        host: the connection address without its port, A-labels.
        now: the moment of judgement, aware UTC.
        slot: that the certificate is for.
        apply_at: when a reserve becomes main; None where that is not known.
        current: the chain of the certificate that is main now, from the leaf upwards; its root may be left out.
        issued: whether that one is an issued certificate; R24 is then not applicable.
        root: the root that the chain must end in, where it is known by itself; it counts before that of *current*.
        trust: certificates that may complete the chain.
    """

    host: str
    now: datetime
    slot: Slot = Slot.MAIN
    apply_at: datetime | None = None
    current: tuple[x509.Certificate, ...] = ()
    issued: bool = False
    root: x509.Certificate | None = None
    trust: tuple[x509.Certificate, ...] = ()

    @property
    def wanted_root(self) -> x509.Certificate | None:
        """The root that the chain must end in; None where none is known, or none is asked for."""
        if self.root is not None or self.issued or not self.current:
            return self.root
        top = self.current[-1]
        return top if is_self_signed(top) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that is broken.

    Args:
        code: of the requirement, the same every time.
        subject: of the certificate that breaks it, or ``the file``.
        found: what is there.
        required: what should be.
        message: a sentence that says both, and what to do next.
    """

    code: str
    subject: str
    found: str
    required: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a person should know about a rule that is not broken.

    Args:
        message: a line.
        applicable: False where the rule was not held against the certificate, for the reason that *message* gives.
        told: False where the checklist alone needs to say it.
    """

    message: str
    applicable: bool = True
    told: bool = True


Finding = Violation | Remark


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: its requirement, what it asks for in a few words, and the function that finds what breaks it."""

    requirement: str
    title: str
    findings: Callable[[Candidate, Context], Iterator[Finding]]


class Outcome(StrEnum):
    """How a rule came out."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A rule that was held against a certificate.

    Args:
        requirement: its id, such as ``R19``.
        title: what it asks for.
        violations: what breaks it.
        remarks: what else there is to say.
        notices: those of the remarks that are worth reading without the checklist.
        applicable: False where it was not held against the certificate.
    """

    requirement: str
    title: str
    violations: tuple[Violation, ...] = ()
    remarks: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    applicable: bool = True

    @property
    def outcome(self) -> Outcome:
        """How it came out."""
        if self.violations:
            return Outcome.FAILED
        return Outcome.PASSED if self.applicable else Outcome.NOT_APPLICABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The judgement of a certificate.

    Args:
        checklist: every rule, in the order of the requirements.
        notices: what a person should know and need not act on, a line each.
    """

    checklist: tuple[Check, ...]
    notices: tuple[str, ...] = field(default=())

    @property
    def violations(self) -> tuple[Violation, ...]:
        """All that is broken, at once."""
        return tuple(violation for check in self.checklist for violation in check.violations)

    @property
    def valid(self) -> bool:
        """Whether nothing is."""
        return not self.violations


def violation(code: str, certificate: x509.Certificate, found: str, required: str, remedy: str) -> Violation:
    """Return what is wrong with a certificate, its sentence put together from the parts."""
    return Violation(
        code=code,
        subject=named(certificate),
        found=found,
        required=required,
        message=f"{named(certificate)} has {found}; required: {required}. {remedy}",
    )
