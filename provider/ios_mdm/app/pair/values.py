"""Request and result types of the use cases of one pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from ios_mdm.core.pair.definition import IssueReserve
from ios_mdm.core.pair.home import PairIdentity
from ios_mdm.core.pair.lifecycle import foreseen_facts
from ios_mdm.core.pair.steps import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ios_mdm.core.pair.decision import DesiredState
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.home import Home
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.steps import Step
    from ios_mdm.core.pair.switch import Switch
    from ios_mdm.core.x509.values import CertificateDetails

__all__ = ["KnownPair", "PairRequest", "PairResult", "PairView", "PublicCertificate", "random_id"]


def random_id() -> str:
    """Return a random id of a pair or of a resource, 32 hex digits."""
    return uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPair:
    """A pair as the state has it.

    If only a part of the state is available, all fields except *home* are None or empty.

    Args:
        home: account and region that the pair was created in.
        arn: ARN of the pair's secret.
        main: SHA-256 fingerprint of the main certificate, 64 hex digits.
        number: ordinal of the main certificate.
        owner: organization/project/stack of the last run; the stack may have another name now.
        pair_id: id of the pair, 32 hex digits.
        resource_id: id of this resource, 32 hex digits.
        former_resource_id: id of the resource that the last run took the pair over from, 32 hex digits; None if it took
            over none, or if a later run has confirmed the take-over.
        certificates: PEM of leaf, issuers and root of the pair's certificates, by the SHA-256 fingerprint of the leaf,
            64 hex digits.
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
    """The definition of one server's pair, and the place of the pair in AWS.

    Args:
        definition: definition of the pair.
        secret: name of the pair's secret.
        owner: organization/project/stack.
        take_over: id of the pair to take over from another resource; None to take over none.
        known: the pair in the state; None if the state does not have it.
        new_pair_id: id for a pair that is new, or whose record of the id is lost.
        new_resource_id: id of a resource that is created with this request, recorded when the pair is complete; None
            if none is created.
        tags: tags of the user for the secret.
        kms_key: id, ARN or alias of the key that encrypts the secret; None for the account's default key.
        allowed_accounts: AWS accounts that the pair may be in; empty for any.
        moved_from: ARN of the secret that the pair was moved or restored from; None if it was not.
        lost_main: SHA-256 fingerprint of the main of a lost pair that a new one replaces; None for none.
        endpoints: ``host:port`` of each endpoint whose certificate is checked; empty for none.
    """

    definition: PairDefinition
    secret: str
    owner: str
    take_over: str | None = None
    known: KnownPair | None = None
    new_pair_id: str = field(default_factory=random_id)
    new_resource_id: str | None = None
    tags: Mapping[str, str]
    kms_key: str | None = None
    allowed_accounts: tuple[str, ...] = ()
    moved_from: str | None = None
    lost_main: str | None = None
    endpoints: tuple[str, ...] = ()

    def setting(self, observed: ObservedPair | None, home: Home | None) -> Setting:
        """Return the settings that the secret should record in addition to its certificates.

        Args:
            observed: observed state of the pair; None if its secret does not exist.
            home: account and region of the secret; None if they were not checked.
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
        """Return the id of the pair: the id that the secret records, else the id in the state, else a new id."""
        known = self.known
        if observed is None:
            return self.new_pair_id
        if observed.identity is not None:
            return observed.identity.pair_id
        is_known = known is not None and known.arn == observed.arn
        return known.pair_id if known is not None and known.pair_id is not None and is_known else self.new_pair_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """Observed and desired state of a pair.

    Args:
        observed: observed state; None if the secret does not exist.
        desired: desired state.
        step: next effect; None if the pair is in its desired state.
        now: time of the decision, aware UTC, whole seconds.
        home: account and region of the secret; None if they were not checked.
    """

    observed: ObservedPair | None
    desired: DesiredState
    step: Step | None
    now: datetime
    home: Home | None = None

    @property
    def main(self) -> CertificateFacts | None:
        """The facts of the certificate that is main after the run, as far as they are known; None if they are lost."""
        ordinal = self.desired.next_main or self.desired.main
        stored = None if self.observed is None else self.observed.version_of(ordinal)
        if stored is not None and stored.facts is not None:
            return stored.facts
        asked = [request for request in self.desired.requests if request.ordinal == ordinal]
        return foreseen_facts(asked[0], self.now) if asked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCertificate:
    """The public part of a certificate of a pair.

    Args:
        facts: facts of the certificate, as in its tag.
        details: details to show to the user (R14).
        pem: PEM of leaf, issuers and root.
    """

    facts: CertificateFacts
    details: CertificateDetails
    pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """A pair in its desired state.

    Args:
        view: observed and desired state of the pair.
        certificates: main, reserve and the former mains that devices still trust, by ordinal.
        switch: planned promotions and alarms of the pair.
    """

    view: PairView
    certificates: Mapping[int, PublicCertificate]
    switch: Switch
