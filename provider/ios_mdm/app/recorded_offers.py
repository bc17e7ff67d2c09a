"""Records of the custom certificates of a pair in the state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ios_mdm.core.pair.definition import OfferedCertificate, Slot

__all__ = ["RecordedOffer", "RecordedOffers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedOffer:
    """Record of one custom certificate in the state. All of it is public.

    Args:
        offered: facts of the certificate.
        root: PEM of the root; empty if the chain has none.
    """

    offered: OfferedCertificate
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedOffers:
    """Records of the custom certificates of a pair in the state.

    Args:
        offers: custom certificates that the definition offers, by slot.
        roots: PEM of the roots in use that no file of the definition contains any more, by digest.
    """

    offers: Mapping[Slot, RecordedOffer] = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)

    @property
    def offered_certificates(self) -> Mapping[Slot, OfferedCertificate]:
        """The facts of each offer, by slot."""
        return {slot: one.offered for slot, one in self.offers.items()}

    @property
    def known_roots(self) -> Mapping[str, str]:
        """PEM of the roots of the offers and of the roots in use, by digest."""
        return {**self.roots, **{one.offered.root: one.root for one in self.offers.values() if one.root}}

    def with_roots(self, before: RecordedOffers, used: Iterable[str]) -> RecordedOffers:
        """Return a copy with the roots in use that only *before* has.

        Args:
            before: records in the state before this run.
            used: digests of the roots of the custom certificates that are main or reserve.
        """
        missing = set(used) - self.known_roots.keys()
        kept = {digest: pem for digest, pem in sorted(before.known_roots.items()) if digest in missing}
        return replace(self, roots=kept)
