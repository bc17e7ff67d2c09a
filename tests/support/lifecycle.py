"""Definitions and observed pairs for tests of the decisions in core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from ios_mdm.core.pair.definition import (
    AfterCurrentExpires,
    AfterDays,
    AtTime,
    InstallReserve,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    PairDefinition,
    Promotion,
    When,
)
from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.observed import ObservedPair, Role, StoredVersion
from ios_mdm.core.pair.secret import Label

START = datetime(2040, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
END = START - 5 * MINUTE + 397 * DAY
"""The first time at which a main that was issued at START is no longer valid."""

LEAD = timedelta(minutes=1440)


def definition(
    reserve: IssueReserve | InstallReserve | NoReserve | None = None,
    *,
    main: IssueMain | None = None,
    confirm: str | None = None,
    lead_minutes: int = 1440,
    hold: bool = False,
) -> PairDefinition:
    """Return a definition of the server berlin."""
    return PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=main or IssueMain(key=KeyType.EC_P256),
        reserve=reserve,
        confirm=confirm,
        promotion=Promotion(lead_minutes=lead_minutes, hold=hold),
    )


def facts(
    ordinal: int,
    *,
    issued: datetime = START,
    days: int = 397,
    source: Source = Source.ISSUED,
    generation: int = 1,
) -> CertificateFacts:
    """Return the facts of a certificate that was issued at *issued*."""
    return CertificateFacts(
        ordinal=ordinal,
        source=source,
        generation=generation,
        not_before=issued - 5 * MINUTE,
        not_after=issued - 5 * MINUTE + days * DAY - SECOND,
        sha256=f"{ordinal:064x}",
        root=f"{ordinal:064x}",
    )


def version(known: CertificateFacts, role: Role | None, *labels: Label) -> StoredVersion:
    """Return a version that holds this certificate."""
    return StoredVersion(
        version_id=version_id("ios-mdm/berlin", known.ordinal),
        ordinal=known.ordinal,
        labels=frozenset(labels),
        facts=known,
        role=role,
    )


def pair(*versions: StoredVersion, main_generation: int = 1) -> ObservedPair:
    """Return a pair with these versions."""
    highest = max(version.ordinal or 0 for version in versions)
    return ObservedPair(
        owner="o/p/s",
        host="mdm.example.com",
        highest_ordinal=highest,
        recorded_ordinal=highest,
        main_generation=main_generation,
        versions=versions,
    )


def main(known: CertificateFacts | None = None) -> StoredVersion:
    """Return the main certificate."""
    return version(known or facts(1), Role.MAIN, Label.MAIN)


def reserve(known: CertificateFacts | None = None) -> StoredVersion:
    """Return the reserve."""
    return version(known or facts(2), Role.RESERVE, Label.RESERVE)


APPLIES = st.one_of(
    st.just(AfterCurrentExpires()),
    st.integers(1, 400).map(lambda days: AfterDays(days=days)),
    st.integers(0, 900).map(lambda days: AtTime(time=START + days * DAY)),
)

WINDOWS = st.none() | st.integers(1, 200)

RESERVES = st.one_of(
    st.none(),
    st.just(NoReserve()),
    st.builds(IssueReserve, when=st.sampled_from(When), before_days=WINDOWS, apply=APPLIES),
)

DEFINITIONS = st.builds(
    PairDefinition,
    name=st.just("berlin"),
    host=st.just("mdm.example.com"),
    main=st.builds(IssueMain, key=st.just(KeyType.EC_P256), validity_days=st.integers(2, 824)),
    reserve=RESERVES,
    warn_days=st.none() | st.integers(1, 60),
    promotion=st.builds(Promotion, lead_minutes=st.integers(0, 43200), hold=st.booleans()),
)
