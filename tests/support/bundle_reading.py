"""Reads bundles, and returns the errors of those that cannot be read."""

from __future__ import annotations

import pytest

from ios_mdm.core.bundle import Bundle, BundleError
from tests.support.bundles import EC, Pair, pem, read_bundle, spki

LEAF = pem("CERTIFICATE", EC.der)
KEY = pem("PRIVATE KEY", EC.pkcs8)


def bundle_error(data: bytes, password: str | None = None) -> BundleError:
    """Return the error for a file."""
    with pytest.raises(BundleError) as raised:
        read_bundle(data, password)
    assert len(str(raised.value).splitlines()) == 1
    return raised.value


def holds(bundle: Bundle, *pairs: Pair) -> bool:
    """Return whether a bundle has the keys of these pairs, in this order."""
    return spki(bundle) == tuple(pair.key.public_key() for pair in pairs)
