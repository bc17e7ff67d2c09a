"""Reads the public chains of a pair from its secret for a delivery. The state has only their digests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.ports import SecretStore

__all__ = ["chain_sha256", "stored_chains"]


def chain_sha256(chain: str) -> str:
    """Return the SHA-256 of a PEM chain, 64 hex digits."""
    return hashlib.sha256(chain.encode()).hexdigest()


def stored_chains(store: SecretStore, secret: str, digests: Mapping[int, str]) -> Mapping[int, str]:
    """Return the PEM chains of certificates, by ordinal, after comparing them with their digests.

    Args:
        store: stores the pairs.
        secret: name of the pair's secret.
        digests: :func:`chain_sha256` of each chain, by ordinal.

    Raises:
        StoreError: A version does not exist, or has another chain.
    """
    found: dict[int, str] = {}
    for ordinal, digest in digests.items():
        version = version_id(secret, ordinal)
        value = store.read(secret, version)
        if value is None:
            raise StoreError(f"secret {secret}: certificate {ordinal} (version {version}) no longer exists: run again")
        chain = credential_from_json(value, where=f"secret {secret}, version {version}").chain
        if chain_sha256(chain) != digest:
            raise StoreError(
                f"secret {secret}: version {version} does not hold the chain that was checked for certificate "
                f"{ordinal}. Nothing was sent: run again"
            )
        found[ordinal] = chain
    return found
