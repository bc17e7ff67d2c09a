"""Pairs of issued certificates that verifiers are asked about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from ios_mdm.core.pair.definition import KeyType
from tests.support.tls_clients import Pair, made_pair
from tests.support.verifiers import OWN_CLOCK

NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
UNTIL_BOTH_ARE_VALID = timedelta(days=350)
"""From the issue of main to a moment before the switch."""


@cache
def pair_of(kind: KeyType, *, present: bool = False) -> Pair:
    """Return a pair that is valid in 2042, or *present*: now, for clients that have the machine's clock."""
    return made_pair(kind, datetime.now(UTC).replace(microsecond=0) - UNTIL_BOTH_ARE_VALID if present else NOW)


def pair_for(verifier: str, kind: KeyType = KeyType.EC_P256) -> Pair:
    """Return a pair that a verifier can be asked about; with EC keys for what does not depend on the key."""
    return pair_of(kind, present=verifier in OWN_CLOCK)
