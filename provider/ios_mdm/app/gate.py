"""Evaluates the gate before a switch: whether enough devices have the reserve (R46)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.ledger.gate import gate_coverage
from ios_mdm.core.ledger.overdue import silence_limit
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.pair.layout import GATE_TAG, gate_value, observed_pair
from ios_mdm.core.pair.observed import RecordedGate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.ledger.gate import GateCoverage
    from ios_mdm.core.ledger.overdue import LedgerRules
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.switch import Promote
    from ios_mdm.ports import Clock, Ledger, SecretStore

__all__ = ["GateDecision", "GateService"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """Decision of the gate.

    Args:
        is_open: whether enough devices have the reserve.
        is_recorded: whether the pair's secret has this decision.
        coverage: the numbers of the decision.
        promote: the promotion after this decision.
    """

    is_open: bool
    is_recorded: bool
    coverage: GateCoverage
    promote: Promote

    @property
    def text(self) -> str:
        """The decision, its numbers, and the time of the switch, as a text for the user."""
        gate = self.promote.gate
        required = "" if gate is None else f", {gate.minimum} % are required"
        state = "open" if self.is_open else "closed"
        return (
            f"the gate is {state}: {self.coverage.text}{required}. Certificate {self.promote.certificate} becomes main "
            f"on {self.promote.at:%Y-%m-%d %H:%M} UTC"
        )


class GateService:
    """Evaluates gates, and records their decisions in the secrets of pairs.

    The record is read by runs that cannot use the ledger, and by previews.

    Args:
        ledger: the ledger.
        store: stores the pairs.
        clock: returns the time of a decision.
        rules: settings of the ledger.
        ignored_silent_days: number of days after which a silent device is not counted; None to count it always.
        report: receives each line of progress.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: SecretStore,
        clock: Clock,
        *,
        rules: LedgerRules,
        ignored_silent_days: int | None,
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._rules = rules
        self._ignored_silent_days = ignored_silent_days
        self._report = report

    def decision(
        self,
        request: SwitchRequest,
        observed: ObservedPair,
        enrollment_ids: Sequence[str] | None,
        *,
        shortest: timedelta = timedelta(),
    ) -> GateDecision | None:
        """Return the decision of the gate now; None if the switch has no gate. Writes nothing.

        Args:
            request: request for the switch.
            observed: observed state of the pair.
            enrollment_ids: enrollment ids of the devices; None for all devices of the ledger.
            shortest: shortest time between two different decisions. Before it has passed, the recorded one stays.

        Raises:
            DeliveryError: The ledger cannot be used.
        """
        promote = request.switch.promote
        if promote is None or promote.gate is None:
            return None
        coverage = self._coverage(request.server, enrollment_ids)
        is_open, recorded = coverage.is_met(promote.gate.minimum), observed.gate
        known = None if recorded is None or recorded.certificate != promote.certificate else recorded
        if known is not None and self._clock.now() - known.since < shortest:
            is_open = known.is_open
        return GateDecision(
            is_open=is_open,
            is_recorded=known is not None and known.is_open == is_open,
            coverage=coverage,
            promote=promote.with_gate(is_open=is_open),
        )

    def record_decision(
        self, request: SwitchRequest, enrollment_ids: Sequence[str] | None, *, shortest: timedelta = timedelta()
    ) -> SwitchRequest:
        """Evaluate the gate, record another decision, and return the request for the switch after this decision.

        Args:
            request: request for the switch.
            enrollment_ids: enrollment ids of the devices; None for all devices of the ledger.
            shortest: shortest time between two different decisions.

        Raises:
            DeliveryError: The ledger cannot be used.
            StoreError: Secrets Manager does not answer or refuses.
        """
        promote = request.switch.promote
        if promote is None or promote.gate is None:
            return request
        description = self._store.describe(request.secret)
        observed = None if description is None else observed_pair(request.secret, description)
        if observed is None or observed.arn != request.secret_arn:
            return request
        decision = self.decision(request, observed, enrollment_ids, shortest=shortest)
        if decision is None:
            return request
        if not decision.is_recorded:
            record = RecordedGate(certificate=promote.certificate, is_open=decision.is_open, since=self._clock.now())
            self._store.tag(request.secret, {GATE_TAG: gate_value(record)})
            self._report(decision.text)
        return replace(request, switch=replace(request.switch, promote=decision.promote))

    def _coverage(self, server: str, enrollment_ids: Sequence[str] | None) -> GateCoverage:
        now = self._clock.now()
        policy = self._rules.policy(self._ledger.publication(server), now)
        days = self._ignored_silent_days
        silent_before = NEVER if days is None else silence_limit(now, days)
        counts = self._ledger.counts(
            server, replace(policy, silent_before=silent_before), enrollment_ids=enrollment_ids
        )
        return gate_coverage(counts, is_proof_configured=self._rules.is_proof_configured)
