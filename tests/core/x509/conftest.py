"""Pairs for tests of handshakes and forgeries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.pair.definition import KeyType
from tests.support.x509_pairs import pair_of

if TYPE_CHECKING:
    from tests.support.tls_clients import Pair


@pytest.fixture(scope="module", params=[KeyType.EC_P256, KeyType.RSA_4096], ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Return a pair of 2041 for each type of key."""
    return pair_of(request.param)


@pytest.fixture(scope="module")
def small_pair() -> Pair:
    """Return a pair of 2041 with EC keys, for tests that do not depend on the type of key."""
    return pair_of(KeyType.EC_P256)
