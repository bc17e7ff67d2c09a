"""A pair on a secret store in memory, for tests of the pair's use case."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import KnownPair, PairRequest, PairResult, PairView
from ios_mdm.core.pair.definition import AfterDays, IssueMain, IssueReserve, KeyType, NoReserve, PairDefinition, When
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.x509.credential import credential_from_json
from tests.support.memory import MemorySecretStore

if TYPE_CHECKING:
    from ios_mdm.core.pair.facts import CertificateFacts

START = datetime(2040, 1, 1, tzinfo=UTC)
SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
OWNER = "organization/ios-mdm/demo"
NOW = IssueReserve(when=When.NOW, apply=AfterDays(days=30))
KNOWN = KnownPair(home=Home(account="123456789012", region="eu-west-1"))
PAIR_ID = "5a" * 16
FOREIGN = "00000000-0000-4000-8000-000000000000"


@dataclass(slots=True)
class HandClock:
    """A clock that tests set."""

    moment: datetime

    def now(self) -> datetime:
        """Return the time of the clock."""
        return self.moment


def definition(reserve: IssueReserve | NoReserve | None = NOW, *, main_generation: int = 1) -> PairDefinition:
    """Return a definition whose keys are fast to generate."""
    return PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=IssueMain(key=KeyType.EC_P256, generation=main_generation),
        reserve=reserve,
    )


@dataclass(slots=True)
class World:
    """A store, a clock, and the service that uses them."""

    clock: HandClock = field(default_factory=lambda: HandClock(START))
    store: MemorySecretStore = field(init=False)
    service: PairService = field(init=False)
    reports: list[str] = field(default_factory=list)
    user_tags: dict[str, str] = field(default_factory=lambda: {"team": "mobile"})
    owner: str = OWNER
    kms_key: str | None = None

    def __post_init__(self) -> None:
        """Create the store and the service."""
        self.store = MemorySecretStore(clock=self.clock)
        self.service = PairService(self.store, self.clock, report=self.reports.append)

    def request(self, wish: PairDefinition | None = None, *, known: KnownPair | None = None) -> PairRequest:
        """Return a request for the pair of server berlin."""
        return PairRequest(
            definition=wish or definition(),
            secret=SECRET,
            owner=self.owner,
            known=known,
            new_pair_id=PAIR_ID,
            tags=dict(self.user_tags),
            kms_key=self.kms_key,
        )

    def apply(self, wish: PairDefinition | None = None, *, known: KnownPair | None = None) -> PairResult:
        """Bring the pair to its desired state."""
        return self.service.apply(self.request(wish, known=known))

    def look(self, wish: PairDefinition | None = None) -> PairView:
        """Return the observed and desired state of the pair."""
        return self.service.view(self.request(wish))

    def later(self, **period: int) -> None:
        """Move the clock forward."""
        self.clock.moment += timedelta(**period)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of the secret."""
        description = self.store.describe(SECRET)
        assert description is not None
        return dict(description.tags)

    @property
    def pair_id(self) -> str:
        """Return the id of the pair."""
        observed = self.service.observe(SECRET)
        assert observed is not None
        assert observed.identity is not None
        return observed.identity.pair_id

    @property
    def arn(self) -> str:
        """Return the ARN of the secret."""
        description = self.store.describe(SECRET)
        assert description is not None
        return description.arn

    @property
    def labels(self) -> dict[str, int | str]:
        """Return the ordinal of the certificate with each label."""
        description = self.store.describe(SECRET)
        assert description is not None
        names = {version_id(SECRET, ordinal): ordinal for ordinal in range(1, 50)}
        return {label: names.get(key, key) for key, labels in description.labels.items() for label in labels}

    @property
    def known_pair(self) -> KnownPair:
        """Return the pair as the state has it after a run."""
        observed = self.service.observe(SECRET)
        assert observed is not None
        versions = [one for one in observed.versions if self.store.read(SECRET, one.version_id) is not None]
        known = {one.facts.sha256: self.chain(one.facts.ordinal) for one in versions if one.facts}
        return replace(KNOWN, certificates=known)

    def chain(self, ordinal: int) -> str:
        """Return leaf, issuers and root of a certificate, PEM."""
        return credential_from_json(self.value(ordinal)).chain

    def value(self, ordinal: int) -> str:
        """Return the value of a certificate's version."""
        value = self.store.read(SECRET, version_id(SECRET, ordinal))
        assert value is not None
        return value

    def key(self, ordinal: int) -> str:
        """Return the private key of a certificate."""
        return str(json.loads(self.value(ordinal))["tls.key"])

    def facts(self, ordinal: int) -> CertificateFacts:
        """Return the facts of a certificate."""
        observed = self.service.observe(SECRET)
        assert observed is not None
        version = observed.version_of(ordinal)
        assert version is not None
        assert version.facts is not None
        return version.facts

    def move(self, label: str, to: int | None) -> None:
        """Move a label, as an operator does."""
        current = self.labels.get(label)
        self.store.move_label(
            SECRET,
            label,
            to=None if to is None else version_id(SECRET, to),
            current=version_id(SECRET, current) if isinstance(current, int) else current,
        )

    def stored_versions(self) -> list[str]:
        """Return the ids of the versions that were stored, in order."""
        return [call[2] for call in self.store.calls if call[0] == "put"]
