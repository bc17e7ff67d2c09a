"""Pairs of issued certificates for tests with other verifiers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from ios_mdm.core.pair.definition import KeyType
from tests.support.tls_clients import Pair, made_pair
from tests.support.verifiers import OWN_CLOCK

NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
UNTIL_BOTH_ARE_VALID = timedelta(days=350)
"""Time from the issue of main to shortly before the switch."""


@cache
def pair_of(kind: KeyType, *, present: bool = False) -> Pair:
    """Return a pair that is valid in 2042, or now if *present*, for clients that use the machine's clock."""
    return made_pair(kind, datetime.now(UTC).replace(microsecond=0) - UNTIL_BOTH_ARE_VALID if present else NOW)


def pair_for(verifier: str, kind: KeyType = KeyType.EC_P256) -> Pair:
    """Return a pair for a verifier, with EC keys for tests that do not depend on the type of key."""
    return pair_of(kind, present=verifier in OWN_CLOCK)
