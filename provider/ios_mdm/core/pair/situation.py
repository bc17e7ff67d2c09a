"""The input of a decision: definition, observed pair and time, with the values that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import apply_time, expiry, issued_at
from ios_mdm.core.pair.decision import Gate
from ios_mdm.core.pair.definition import AfterCurrentExpires, InstallReserve, IssueMain, IssueReserve, NoReserve, Slot
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.windows import critical_time

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.definition import ApplyTime, OfferedCertificate, PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion

__all__ = ["Situation", "waiting_reserve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The input of a policy.

    Args:
        definition: definition of the pair.
        observed: observed state of the pair.
        now: current time, aware UTC, whole seconds.
        main: facts of the certificate that is main, or becomes main in this run.
        reserve: version of the waiting reserve; None if there is none.
    """

    definition: PairDefinition
    observed: ObservedPair
    now: datetime
    main: CertificateFacts
    reserve: StoredVersion | None

    @property
    def reserve_request(self) -> IssueReserve | InstallReserve | NoReserve:
        """Settings for the reserve; those of an automatic reserve if the definition has none (R3)."""
        return self.definition.reserve or IssueReserve()

    @property
    def apply_setting(self) -> ApplyTime:
        """Rule for the apply time of the reserve."""
        return AfterCurrentExpires() if isinstance(self.reserve_request, NoReserve) else self.reserve_request.apply

    @property
    def critical_from(self) -> datetime:
        """Time from which a missing reserve is critical (R5)."""
        return critical_time(self.definition, self.main)

    @property
    def apply_at(self) -> datetime | None:
        """Apply time of the waiting reserve; None if no reserve waits, or if its facts are lost."""
        return self._requested_apply_at if self.gate is None else self.gate.apply_at

    @property
    def gate(self) -> Gate | None:
        """Gate before the switch; None if the definition has none, or if it would change nothing (R46).

        A reserve that devices trust by the same root as main needs no gate (R49).
        """
        early, latest = self._requested_apply_at, self._apply_time(AfterCurrentExpires())
        minimum = self.definition.promotion.minimum_coverage
        if minimum is None or early is None or latest is None or early >= latest:
            return None
        assert self.reserve is not None  # noqa: S101 - it has an apply time
        if self.reserve.facts is not None and self.reserve.facts.anchor == self.main.anchor:
            return None
        recorded = self.observed.gate
        is_open = recorded is not None and recorded.is_open and recorded.certificate == self.reserve.ordinal
        return Gate(is_open=is_open, minimum=minimum, early=early, latest=latest)

    @property
    def _requested_apply_at(self) -> datetime | None:
        """Apply time without the gate."""
        # A period cannot be counted from a lost time, so the latest possible apply time is used.
        return self._apply_time(AfterCurrentExpires() if self.reserve_since is None else self.apply_setting)

    def _apply_time(self, apply: ApplyTime) -> datetime | None:
        if self.reserve is None or self.reserve.facts is None:
            return None
        lead = timedelta(minutes=self.definition.promotion.lead_minutes)
        stored_at = self.main.not_before if self.reserve_since is None else self.reserve_since
        return apply_time(apply, lead, self.main, self.reserve.facts, stored_at=stored_at)

    @property
    def is_due(self) -> bool:
        """Whether the apply time of the waiting reserve is reached."""
        return self.apply_at is not None and self.now >= self.apply_at

    @property
    def is_expiring_unapplied(self) -> bool:
        """Whether the waiting reserve expires at or before its apply time. This happens if main is replaced."""
        if self.reserve is None or self.reserve.facts is None or self.apply_at is None:
            return False
        return expiry(self.reserve.facts) <= self.apply_at

    @property
    def main_generation(self) -> int:
        """Value of ``main.issue.generation`` that requested the last new main."""
        wanted, applied = self.definition.main, self.observed.applied_main
        if applied is not None and applied.facts is not None:
            return applied.facts.generation  # its tag is not written yet
        return self.observed.main_generation or (wanted.generation if isinstance(wanted, IssueMain) else 1)

    @property
    def is_unsent(self) -> bool:
        """Whether the pair has devices, and neither the waiting reserve nor its root was sent to them yet.

        A pair has devices if the definition has a distribution, or if a profile of the pair was sent earlier.
        """
        reserve = None if self.reserve is None else self.reserve.ordinal
        has_devices = self.definition.distributed or self.observed.was_distributed
        return has_devices and reserve is not None and not self.observed.is_sent(reserve)

    def was_main(self, sha256: str) -> bool:
        """Return whether the certificate with this fingerprint is a former main."""
        return any(
            version.is_former and version.facts.sha256 == sha256 for version in self.observed.versions if version.facts
        )

    @property
    def reserve_since(self) -> datetime | None:
        """Time at which the waiting reserve was issued or installed; None if unknown."""
        if self.reserve is None or self.reserve.facts is None:
            return None
        return (
            issued_at(self.reserve.facts) if self.reserve.facts.source is Source.ISSUED else self.observed.reserve_since
        )

    def is_new(self, offered: OfferedCertificate) -> bool:
        """Return whether a custom certificate is to be installed: it is neither main nor reserve nor a former main.

        Under another root, main or the reserve counts as new, because devices trust a certificate by its root.
        """
        if self.now > offered.not_after:
            return False  # an expired former main is not recorded for ever, and must not be installed again
        waiting = None if self.reserve is None else self.reserve.facts
        same = [facts for facts in (self.main, waiting) if facts is not None and facts.sha256 == offered.sha256]
        if not same:
            return not self.was_main(offered.sha256)
        return all(facts.root != offered.root for facts in same) and not self._is_withdrawn(offered)

    def is_rechained(self, offered: OfferedCertificate, facts: CertificateFacts) -> bool:
        """Return whether *offered* is the certificate of *facts*, with another chain to the same root."""
        same = (facts.sha256, facts.root) == (offered.sha256, offered.root)
        on_record = bool(facts.chain) and bool(offered.chain)
        changed = same and on_record and facts.chain != offered.chain
        return changed and self.now <= offered.not_after and not self._is_withdrawn(offered)

    def _is_withdrawn(self, offered: OfferedCertificate) -> bool:
        """Return whether this certificate and chain were main after the present main.

        An operator then moved the label back (R32).
        """
        return any(
            (version.facts.sha256, version.facts.chain) == (offered.sha256, offered.chain)
            for version in self.observed.versions
            if version.facts is not None and version.is_former and version.facts.ordinal > self.main.ordinal
        )

    @property
    def staged_main(self) -> int | None:
        """Ordinal of a next main that an earlier run stored and that is not main yet; None if there is none."""
        return staged_main(self.definition, self.observed, self.now)

    @property
    def staged_reserve(self) -> int | None:
        """Ordinal of a reserve that an earlier run stored and that is not in its slot yet; None if there is none."""
        return staged_ordinal(self.observed, Slot.RESERVE, self.now)


def staged_ordinal(observed: ObservedPair, slot: Slot, now: datetime) -> int | None:
    """Return the ordinal of a valid certificate that is stored for this slot and not in it yet; None if there is none.

    A version without facts that no run announced was stored by another program, and is not used (R38).
    """
    staged = observed.holder(Label.STAGED)
    if staged is None or (staged.facts is None and not observed.is_announced(staged)):
        return None
    if staged.slots != {Label.STAGED} or staged.role not in {None, Role(slot)} or observed.was_main(staged):
        return None
    return None if staged.facts is not None and now >= expiry(staged.facts) else staged.ordinal


def staged_main(definition: PairDefinition, observed: ObservedPair, now: datetime) -> int | None:
    """Return the ordinal of a next main that an earlier run stored; None if there is none that fits the definition."""
    ordinal = staged_ordinal(observed, Slot.MAIN, now)
    stored = None if ordinal is None else observed.version_of(ordinal)
    if stored is None or stored.facts is None:
        return ordinal  # the certificate is checked against the definition when its facts are written
    facts, wanted = stored.facts, definition.main
    if isinstance(wanted, IssueMain):
        days = (expiry(facts) - facts.not_before).days
        made_as = (facts.source, facts.generation, days)
        return ordinal if made_as == (Source.ISSUED, wanted.generation, wanted.validity_days) else None
    return ordinal if (facts.sha256, facts.chain) == (wanted.offered.sha256, wanted.offered.chain) else None


def waiting_reserve(observed: ObservedPair) -> StoredVersion | None:
    """Return the version with the label RESERVE, or the reserve that lost this label outside a run; None otherwise."""
    reserve = observed.reserve
    if reserve is not None and reserve.ordinal is not None and reserve.role is not Role.DELETED:
        return reserve
    lost = [
        version
        for version in observed.versions
        if version.role is Role.RESERVE and not version.labels & {Label.MAIN, Label.FORMER}
    ]
    return lost[-1] if lost else None
