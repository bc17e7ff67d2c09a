"""What a decision is made from: the definition, the pair as it was observed, and the moment, seen together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import AfterCurrentExpires, InstallReserve, IssueMain, IssueReserve, NoReserve, Slot
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.moments import apply_moment, expires, issued_at
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import Label

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.definition import ApplyMoment, Offered, PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion

__all__ = ["Situation", "waiting_reserve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A snapshot that policies answer about.

    Args:
        definition: what the user wants.
        observed: the pair as it is.
        now: the moment, aware UTC, whole seconds.
        main: facts of the certificate that is main, or becomes it now.
        reserve: the version that waits to become main; None for none.
    """

    definition: PairDefinition
    observed: ObservedPair
    now: datetime
    main: CertificateFacts
    reserve: StoredVersion | None

    @property
    def requested(self) -> IssueReserve | InstallReserve | NoReserve:
        """What is wanted of a reserve; a silent definition wants an automatic one (R3)."""
        return self.definition.reserve or IssueReserve()

    @property
    def apply(self) -> ApplyMoment:
        """When the reserve is to become main."""
        return AfterCurrentExpires() if isinstance(self.requested, NoReserve) else self.requested.apply

    @property
    def window(self) -> datetime:
        """From when on a missing reserve is critical (R5)."""
        return expires(self.main) - timedelta(days=self.definition.warn_days)

    @property
    def apply_at(self) -> datetime | None:
        """When the waiting reserve becomes main; None where none waits, or its facts are lost."""
        if self.reserve is None or self.reserve.facts is None:
            return None
        lead = timedelta(minutes=self.definition.promotion.lead_minutes)
        if self.came is None:
            # No period can be counted from a moment that is lost: the latest one is safe.
            return apply_moment(AfterCurrentExpires(), lead, self.main, self.reserve.facts, came=self.main.not_before)
        return apply_moment(self.apply, lead, self.main, self.reserve.facts, came=self.came)

    @property
    def is_due(self) -> bool:
        """Whether the apply moment of the waiting reserve has come."""
        return self.apply_at is not None and self.now >= self.apply_at

    @property
    def comes_to_nothing(self) -> bool:
        """Whether the waiting reserve expires before it would be applied: main was replaced while it waited."""
        if self.reserve is None or self.reserve.facts is None or self.apply_at is None:
            return False
        return expires(self.reserve.facts) <= self.apply_at

    @property
    def answered_main(self) -> int:
        """The last request for an issued main that was answered."""
        wanted, applied = self.definition.main, self.observed.applied_main
        if applied is not None and applied.facts is not None:
            return applied.facts.generation  # not recorded yet
        return self.observed.main_generation or (wanted.generation if isinstance(wanted, IssueMain) else 1)

    @property
    def unsent(self) -> bool:
        """Whether the waiting reserve is yet to be sent to the devices that get, or got, the pair's profile."""
        reserve = None if self.reserve is None else self.reserve.ordinal
        has_devices = self.definition.distributed or self.observed.was_distributed
        return has_devices and reserve is not None and reserve not in self.observed.sent

    def was_main(self, sha256: str) -> bool:
        """Return whether the certificate with this fingerprint was main before."""
        return any(
            version.former and version.facts.sha256 == sha256 for version in self.observed.versions if version.facts
        )

    @property
    def came(self) -> datetime | None:
        """When the waiting reserve was issued or installed; None where it is not known."""
        if self.reserve is None or self.reserve.facts is None:
            return None
        return (
            issued_at(self.reserve.facts) if self.reserve.facts.source is Source.ISSUED else self.observed.reserve_since
        )

    def is_new(self, offered: Offered) -> bool:
        """Return whether a custom certificate is to be installed: it is not main, was not, and does not wait for it.

        Under another root it is another one to the devices, even where its leaf is the same.
        """
        if self.now > offered.not_after:
            return False  # one that was main is not on record for ever
        waiting = None if self.reserve is None else self.reserve.facts
        same = [facts for facts in (self.main, waiting) if facts is not None and facts.sha256 == offered.sha256]
        if not same:
            return not self.was_main(offered.sha256)
        return all(facts.root != offered.root for facts in same) and not self._withdrawn(offered)

    def is_rechained(self, offered: Offered, facts: CertificateFacts) -> bool:
        """Return whether a custom certificate that is in a slot is offered with another chain under the same root."""
        same = (facts.sha256, facts.root) == (offered.sha256, offered.root)
        on_record = bool(facts.chain) and bool(offered.chain)
        changed = same and on_record and facts.chain != offered.chain
        return changed and self.now <= offered.not_after and not self._withdrawn(offered)

    def _withdrawn(self, offered: Offered) -> bool:
        """Return whether exactly this was main after the one that is: an operator moved the label back (R32)."""
        return any(
            (version.facts.sha256, version.facts.chain) == (offered.sha256, offered.chain)
            for version in self.observed.versions
            if version.facts is not None and version.former and version.facts.ordinal > self.main.ordinal
        )

    @property
    def begun_main(self) -> int | None:
        """The ordinal of the main that an earlier run has stored and not made main yet."""
        return begun_main(self.definition, self.observed, self.now)

    @property
    def begun_reserve(self) -> int | None:
        """The same for the reserve."""
        return begun(self.observed, Slot.RESERVE, self.now)


def begun(observed: ObservedPair, slot: Slot, now: datetime) -> int | None:
    """Return the ordinal of a certificate that is stored for this slot and not in it yet; None for none of use.

    A version without facts that no run announced was stored by another program, and is not used (R38).
    """
    staged = observed.holder(Label.STAGED)
    if staged is None or (staged.facts is None and not observed.is_announced(staged)):
        return None
    if staged.slots != {Label.STAGED} or staged.role not in {None, Role(slot)} or observed.was_main(staged):
        return None
    return None if staged.facts is not None and now >= expires(staged.facts) else staged.ordinal


def begun_main(definition: PairDefinition, observed: ObservedPair, now: datetime) -> int | None:
    """Return the ordinal of a main that an earlier run has stored; None if the definition wants another one."""
    ordinal = begun(observed, Slot.MAIN, now)
    stored = None if ordinal is None else observed.numbered(ordinal)
    if stored is None or stored.facts is None:
        return ordinal  # it is held against the definition when its facts are written
    facts, wanted = stored.facts, definition.main
    if isinstance(wanted, IssueMain):
        days = (expires(facts) - facts.not_before).days
        made_as = (facts.source, facts.generation, days)
        return ordinal if made_as == (Source.ISSUED, wanted.generation, wanted.validity_days) else None
    return ordinal if (facts.sha256, facts.chain) == (wanted.offered.sha256, wanted.offered.chain) else None


def waiting_reserve(observed: ObservedPair) -> StoredVersion | None:
    """Return the reserve: the version labelled so, or the one that lost its label out of band."""
    reserve = observed.reserve
    if reserve is not None and reserve.ordinal is not None and reserve.role is not Role.DELETED:
        return reserve
    lost = [
        version
        for version in observed.versions
        if version.role is Role.RESERVE and not version.labels & {Label.MAIN, Label.FORMER}
    ]
    return lost[-1] if lost else None
