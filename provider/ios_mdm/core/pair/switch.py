"""The switch that AWS performs automatically: when the reserve becomes main, and when an alarm is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.windows import critical_time
from ios_mdm.core.times import shifted_time

if TYPE_CHECKING:
    from ios_mdm.core.pair.decision import DesiredState, Gate
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair

__all__ = ["OVERDUE_AFTER", "Alarm", "Promote", "Switch", "switch"]

OVERDUE_AFTER = timedelta(days=3)
"""Time from a change that is due to the alarm about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """A planned promotion.

    Args:
        at: the apply time of a reserve, or the start of the validity of a next main.
        certificate: ordinal of the reserve, or of the next main.
        version: version id of this certificate.
        former_version: version id of the main that it replaces.
        gate: gate that decides *at*; None if there is none.
    """

    at: datetime
    certificate: int
    version: str
    former_version: str
    gate: Gate | None = None

    def with_gate(self, *, is_open: bool) -> Promote:
        """Return the promotion after another decision of its gate; the same promotion if it has none."""
        if self.gate is None or self.gate.is_open == is_open:
            return self
        gate = replace(self.gate, is_open=is_open)
        return replace(self, gate=gate, at=gate.apply_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A message that AWS sends unless a run cancels it in time.

    Args:
        at: time at which the message is sent, aware UTC.
        message: text of the message: the missing change, and what to do.
    """

    at: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The planned promotions and alarms of a pair. They depend on the pair alone, not on the time of the run.

    Args:
        promote: promotion of the reserve, by a schedule, or by a run if schedules are off; None if there is no reserve,
            or if promotion is on hold.
        replace: promotion of the next main (``main.replaceNow``), by a run after devices were sent it; None if there is
            none, or if promotion is on hold. *promote* stays armed until then.
        overdue: alarm if the next change is three days late; None if no change is automatic, or if schedules are off.
        expiry: alarm before the last certificate of the pair expires; None if schedules are off.
    """

    promote: Promote | None = None
    replace: Promote | None = None
    overdue: Alarm | None = None
    expiry: Alarm | None = None


def switch(definition: PairDefinition, desired: DesiredState, observed: ObservedPair) -> Switch:
    """Return the planned promotions and alarms of a pair.

    Args:
        definition: definition of the pair.
        desired: desired state, decided from *observed*, without pending requests.
        observed: observed state of the pair.
    """
    main = observed.version_of(desired.main)
    if main is None or main.facts is None:
        return Switch()
    found = _scheduled_switch(definition, desired, observed, main.version_id, main.facts)
    if not definition.promotion.schedule:
        found = Switch(promote=found.promote)
    return replace(found, replace=_replacement(definition, desired, observed, main.version_id))


def _replacement(
    definition: PairDefinition, desired: DesiredState, observed: ObservedPair, former_version: str
) -> Promote | None:
    staged = None if desired.next_main is None else observed.version_of(desired.next_main)
    if staged is None or staged.facts is None or definition.promotion.hold:
        return None
    return Promote(
        at=staged.facts.not_before,
        certificate=staged.facts.ordinal,
        version=staged.version_id,
        former_version=former_version,
    )


def _scheduled_switch(
    definition: PairDefinition, desired: DesiredState, observed: ObservedPair, main_version: str, main: CertificateFacts
) -> Switch:
    reserve = None if desired.reserve is None else observed.version_of(desired.reserve)
    if reserve is None or reserve.facts is None or desired.apply_at is None:
        due = desired.reserve_at
        return Switch(
            overdue=None if due is None else _overdue(definition, due, "a reserve was to be issued"),
            expiry=_expiry(definition, main),
        )
    # A certificate that is not valid yet is never promoted (R32).
    at = max(desired.apply_at, reserve.facts.not_before)
    usable = at < expiry(reserve.facts) and not definition.promotion.hold
    promote = Promote(
        at=at,
        certificate=reserve.facts.ordinal,
        version=reserve.version_id,
        former_version=main_version,
        gate=_usable_gate(desired.gate, reserve.facts),
    )
    due = at if desired.gate is None else max(desired.gate.latest, reserve.facts.not_before)
    return Switch(
        promote=promote if usable else None,
        overdue=_overdue(definition, due, f"certificate {reserve.facts.ordinal} was to become main"),
        # If the successor takes over automatically, the user has to act before the successor expires.
        expiry=_expiry(definition, reserve.facts if usable else main),
    )


def _usable_gate(gate: Gate | None, reserve: CertificateFacts) -> Gate | None:
    """Return the gate with times at which the reserve is valid; None if the reserve expires before the later time."""
    if gate is None or gate.latest >= expiry(reserve):
        return None
    early, latest = (max(one, reserve.not_before) for one in (gate.early, gate.latest))
    return replace(gate, early=early, latest=latest)


def _overdue(definition: PairDefinition, due: datetime, event: str) -> Alarm:
    return Alarm(
        at=shifted_time(due, OVERDUE_AFTER),
        message=f"{definition.name}: {event} on {due:%Y-%m-%d %H:%M} UTC, but no `pulumi up` has succeeded since: find "
        f"out why the pipeline does not run, run `pulumi up`, and check {definition.host} with `ios-mdm status`",
    )


def _expiry(definition: PairDefinition, last: CertificateFacts) -> Alarm:
    return Alarm(
        at=critical_time(definition, last),
        message=f"{definition.name}: certificate {last.ordinal} for {definition.host} expires on "
        f"{expiry(last):%Y-%m-%d %H:%M} UTC, and no successor is known: run `pulumi up`. Without a successor, every "
        "device loses its connection at this time",
    )
