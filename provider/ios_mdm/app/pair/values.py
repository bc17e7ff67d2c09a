"""Request and result types of the use cases of one pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from ios_mdm.core.pair.definition import IssueReserve
from ios_mdm.core.pair.home import PairIdentity
from ios_mdm.core.pair.lifecycle import foreseen
from ios_mdm.core.pair.steps import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ios_mdm.core.pair.decision import Desired
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.home import Home
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.steps import Step
    from ios_mdm.core.pair.switch import Switch
    from ios_mdm.core.x509.values import CertificateDetails

__all__ = ["Known", "PairRequest", "PairResult", "PairView", "PublicCertificate", "random_id"]


def random_id() -> str:
    """Return a random id, 32 hex digits: of a pair, or of a resource."""
    return uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the state knows of a pair.

    Args:
        home: the account and region that it was made in.
        arn: of its secret; None if this part of the state is not at hand.
        main: SHA-256 fingerprint of its main certificate, 64 hex digits; None as above.
        number: of its main certificate; None as above.
        owner: organization/project/stack of the last run; it differs if the stack was renamed since; None as above.
        pair_id: 32 hex digits; None as above.
        resource_id: of this resource, 32 hex digits; None as above.
        former_resource_id: of the resource that the last run took the pair over from, 32 hex digits; None if it took
            over none, or a run has seen the take-over since.
        certificates: PEM of leaf, issuers and root of the pair's certificates, by the SHA-256 fingerprint of the leaf,
            64 hex digits; empty as above.
    """

    home: Home
    arn: str | None = None
    main: str | None = None
    number: int | None = None
    owner: str | None = None
    pair_id: str | None = None
    resource_id: str | None = None
    former_resource_id: str | None = None
    certificates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRequest:
    """One server's pair, and where it is kept.

    Args:
        definition: what the user wants.
        secret: name of the pair's secret.
        owner: organization/project/stack.
        take_over: id of the pair to take over from another resource; None to take over none.
        known: what the state knows of the pair; None if the state does not have it.
        new_pair_id: id that the pair gets if it is new, or if the record of its id is lost.
        new_resource_id: id of a resource that is created with this request, recorded when the pair is complete; None
            if none is created.
        tags: the user's own, for the secret.
        kms_key: id, ARN or alias of the key that encrypts the secret; None for the account's default.
        allowed_accounts: the only AWS accounts that the pair may be in; empty for any.
        moved_from: ARN of the secret that the pair was moved or restored from; None if it was not.
        lost_main: SHA-256 fingerprint of the main of a lost pair that a new one replaces; None for none.
        endpoints: ``host:port`` of each endpoint whose certificate is checked; empty for none.
    """

    definition: PairDefinition
    secret: str
    owner: str
    take_over: str | None = None
    known: Known | None = None
    new_pair_id: str = field(default_factory=random_id)
    new_resource_id: str | None = None
    tags: Mapping[str, str]
    kms_key: str | None = None
    allowed_accounts: tuple[str, ...] = ()
    moved_from: str | None = None
    lost_main: str | None = None
    endpoints: tuple[str, ...] = ()

    def setting(self, observed: ObservedPair | None, home: Home | None) -> Setting:
        """Return what the secret should have in addition to its certificates.

        Args:
            observed: the pair; None if its secret does not exist.
            home: the account and region of the secret; None if it was not checked.
        """
        reserve = self.definition.reserve
        return Setting(
            owner=self.owner,
            host=self.definition.host,
            tags=self.tags,
            main_generation=self.definition.issue.generation,
            reserve_generation=reserve.generation if isinstance(reserve, IssueReserve) else 1,
            kms_key=self.kms_key,
            identity=None
            if home is None
            else PairIdentity(pair_id=self._pair_id(observed), home=home, secret=self.secret),
            resource_id=None if self.known is None else self.known.resource_id,
        )

    def _pair_id(self, observed: ObservedPair | None) -> str:
        """Return the id of the pair: the recorded one, else the one in the state, else a new one."""
        known = self.known
        if observed is None:
            return self.new_pair_id
        if observed.identity is not None:
            return observed.identity.pair_id
        is_known = known is not None and known.arn == observed.arn
        return known.pair_id if known is not None and known.pair_id is not None and is_known else self.new_pair_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A pair as it is and as it should be.

    Args:
        observed: as it is, None where its secret does not exist.
        desired: as it should be.
        step: the next effect; None where nothing is to be done.
        now: the time of the decision.
        home: the account and region of the secret; None if it was not checked.
    """

    observed: ObservedPair | None
    desired: Desired
    step: Step | None
    now: datetime
    home: Home | None = None

    @property
    def main(self) -> CertificateFacts | None:
        """The facts of the certificate that will be main after the run, as far as they are known; None if lost."""
        ordinal = self.desired.next_main or self.desired.main
        stored = None if self.observed is None else self.observed.numbered(ordinal)
        if stored is not None and stored.facts is not None:
            return stored.facts
        asked = [request for request in self.desired.requests if request.ordinal == ordinal]
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
