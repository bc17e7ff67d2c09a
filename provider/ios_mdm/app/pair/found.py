"""Checks a certificate that is found in a pair's secret without a facts tag (R38)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ios_mdm.core.bundle import BundleError, read_bundle
from ios_mdm.core.pair.layout import facts_tag
from ios_mdm.core.rules import Context, judged
from ios_mdm.core.x509.details import details
from ios_mdm.core.x509.issuing import is_issued
from ios_mdm.core.x509.pem import chain

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.observed import StoredVersion
    from ios_mdm.core.x509.values import Credential

__all__ = ["problem_of_found", "unknown_version", "value_digest", "way_back"]


def value_digest(value: str) -> str:
    """Return the SHA-256 of a secret's value, 64 hex digits. It is public: a value contains a private key."""
    return hashlib.sha256(value.encode()).hexdigest()


def problem_of_found(credential: Credential, host: str, now: datetime) -> str | None:
    """Return why devices must not trust a certificate without a facts tag; None if they can.

    A run announced the certificate, but its slot and the definition at that time are unknown.

    Args:
        credential: the certificate with its key and root.
        host: connection address without its port.
        now: current time, aware UTC, whole seconds.
    """
    if is_issued(chain(credential.chain)) and details(credential.certificate).sans == (host,):
        return None
    parts = (credential.certificate, credential.private_key, credential.root)
    try:
        bundle = read_bundle("".join(dict.fromkeys(parts)).encode(), None)
        found = judged(bundle, Context(host=host, now=now)).report
    except BundleError as error:
        return str(error)
    return None if found.valid else "; ".join(one.message for one in found.violations)


def unknown_version(secret: str, version: StoredVersion, problem: str) -> str:
    """Return the error message for a version in a slot that has no facts tag and must not be used."""
    return (
        f"secret {secret}: version {version.version_id} (certificate {version.ordinal}) has a label of the pair, but "
        f"no facts tag: {problem}. Another program may have stored it with PutSecretValue. "
        f"{way_back(secret, version)}. If it is the pair's certificate, restore its tag "
        f"`{facts_tag(version.version_id)}` from a replica or a backup"
    )


def way_back(secret: str, version: StoredVersion) -> str:
    """Return the remedy for a version that must not be used: its labels are moved to the versions that had them."""
    labels = sorted(version.slots)
    names = f"label {labels[0]} back" if len(labels) == 1 else f"labels {' and '.join(labels)} back, each"
    stage = labels[0] if len(labels) == 1 else "<label>"
    return (
        f"Move the {names} with `aws secretsmanager update-secret-version-stage --secret-id {secret} --version-stage "
        f"{stage} --remove-from-version-id {version.version_id} --move-to-version-id <version id>`"
    )
