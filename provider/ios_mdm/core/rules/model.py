"""Inputs of the rules for a custom certificate, and their report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.x509.names import display_name
from ios_mdm.core.x509.signatures import is_self_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from cryptography import x509

    from ios_mdm.core.x509.chain import Candidate

__all__ = ["Check", "Context", "Finding", "Outcome", "Remark", "Report", "Rule", "Violation", "violation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Facts that the rules check a certificate against.

    Args:
        host: connection address without its port, in A-labels.
        now: time of the check, aware UTC.
        slot: slot of the pair that the certificate is for.
        apply_at: apply time of a reserve, aware UTC; None if unknown.
        current: chain of the current main certificate, leaf first; the root may be missing.
        issued: whether the current main was issued by the provider; if so, R24 does not apply.
        root: root that the chain must end in, if it is known independently of *current*; has precedence over the root
            of *current*.
        trust: additional certificates that may complete the chain.
        public_roots: returns the roots of public CAs, for the advice of violations.
        is_public_root: returns whether a certificate is a public root.
    """

    host: str
    now: datetime
    slot: Slot = Slot.MAIN
    apply_at: datetime | None = None
    current: tuple[x509.Certificate, ...] = ()
    issued: bool = False
    root: x509.Certificate | None = None
    trust: tuple[x509.Certificate, ...] = ()
    public_roots: Callable[[], Sequence[x509.Certificate]] = tuple
    is_public_root: Callable[[x509.Certificate], bool] = lambda _certificate: False

    @property
    def wanted_root(self) -> x509.Certificate | None:
        """The root that the chain must end in, or None if it is unknown or any root is accepted."""
        if self.root is not None or self.issued or not self.current:
            return self.root
        top = self.current[-1]
        return top if is_self_signed(top) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A broken rule.

    Args:
        code: stable code of the violation, such as ``san-mismatch``.
        subject: name of the certificate that breaks the rule, or ``the file``.
        found: property that breaks the rule, a noun phrase.
        required: property that the rule requires, a noun phrase.
        message: message with *subject*, *found*, *required* and the remedy.
    """

    code: str
    subject: str
    found: str
    required: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A remark about a rule that is not broken.

    Args:
        message: one line.
        is_applicable: False if the rule does not apply to the certificate; *message* gives the reason.
        is_notice: False if the remark is for the checklist only.
    """

    message: str
    is_applicable: bool = True
    is_notice: bool = True


Finding = Violation | Remark


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: its requirement id, a short title, and the function that yields its violations and remarks."""

    requirement: str
    title: str
    findings: Callable[[Candidate, Context], Iterator[Finding]]


class Outcome(StrEnum):
    """Outcome of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of one rule for a certificate.

    Args:
        requirement: id of the requirement, such as ``R19``.
        title: title of the rule.
        violations: violations of the rule.
        remarks: remarks about the rule, one line each.
        notices: remarks that are also shown without the checklist.
        is_applicable: False if the rule does not apply to the certificate.
    """

    requirement: str
    title: str
    violations: tuple[Violation, ...] = ()
    remarks: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    is_applicable: bool = True

    @property
    def outcome(self) -> Outcome:
        """Outcome of the rule."""
        if self.violations:
            return Outcome.FAILED
        return Outcome.PASSED if self.is_applicable else Outcome.NOT_APPLICABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Result of all rules for a certificate.

    Args:
        checklist: result of every rule, in the order of the requirements.
        notices: notices that need no action, one line each.
    """

    checklist: tuple[Check, ...]
    notices: tuple[str, ...] = field(default=())

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The violations of all rules."""
        return tuple(violation for check in self.checklist for violation in check.violations)

    @property
    def is_valid(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations


def violation(code: str, certificate: x509.Certificate, found: str, required: str, remedy: str) -> Violation:
    """Return a violation, with a message composed of its parts."""
    return Violation(
        code=code,
        subject=display_name(certificate),
        found=found,
        required=required,
        message=f"{display_name(certificate)} has {found}; required: {required}. {remedy}",
    )
