"""Request and result types of the use cases of one pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import IssueReserve
from ios_mdm.core.pair.lifecycle import foreseen
from ios_mdm.core.pair.steps import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ios_mdm.core.pair.decision import Desired
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.steps import Step
    from ios_mdm.core.pair.switch import Switch
    from ios_mdm.core.x509.values import CertificateDetails

__all__ = ["PairRequest", "PairResult", "PairView", "PublicCertificate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRequest:
    """One server's pair, and where it is kept.

    Args:
        definition: what the user wants.
        secret: name of the pair's secret.
        owner: organization/project/stack.
        take_over: adopt a secret that another stack owns.
        known: True where Pulumi's state knows the pair already: its secret is then ours even without an owner tag.
        tags: the user's own, for the secret.
        kms_key: id, ARN or alias of the key that encrypts the secret; None for the account's default.
        endpoints: ``host:port`` of each endpoint whose certificate is checked; empty for none.
    """

    definition: PairDefinition
    secret: str
    owner: str
    take_over: bool = False
    known: bool = False
    tags: Mapping[str, str]
    kms_key: str | None = None
    endpoints: tuple[str, ...] = ()

    @property
    def setting(self) -> Setting:
        """What the secret is to carry beside its certificates."""
        reserve = self.definition.reserve
        return Setting(
            owner=self.owner,
            host=self.definition.host,
            tags=self.tags,
            main_generation=self.definition.issue.generation,
            reserve_generation=reserve.generation if isinstance(reserve, IssueReserve) else 1,
            kms_key=self.kms_key,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A pair as it is and as it should be.

    Args:
        observed: as it is, None where its secret does not exist.
        desired: as it should be.
        step: the next effect; None where nothing is to be done.
        now: the moment of the decision.
    """

    observed: ObservedPair | None
    desired: Desired
    step: Step | None
    now: datetime

    @property
    def main(self) -> CertificateFacts | None:
        """What will be main when nothing is left to be done, as far as it is known; None where its facts are lost."""
        stored = None if self.observed is None else self.observed.numbered(self.desired.main)
        if stored is not None and stored.facts is not None:
            return stored.facts
        asked = [request for request in self.desired.requests if request.ordinal == self.desired.main]
        return foreseen(asked[0], self.now) if asked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCertificate:
    """The public part of a certificate of a pair.

    Args:
        facts: its tag's content.
        details: what R14 shows.
        pem: leaf, issuers and root.
    """

    facts: CertificateFacts
    details: CertificateDetails
    pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """A pair that is what it should be.

    Args:
        view: of it.
        certificates: main, reserve and the former mains that devices still trust, by ordinal.
        switch: what should happen to it with nobody running anything.
    """

    view: PairView
    certificates: Mapping[int, PublicCertificate]
    switch: Switch
