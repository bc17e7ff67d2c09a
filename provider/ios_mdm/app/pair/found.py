"""Checks a certificate that is found in a pair's secret without a facts tag (R38)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ios_mdm.core.bundle import BundleError, read_bundle
from ios_mdm.core.rules import Context, judged
from ios_mdm.core.x509.details import details
from ios_mdm.core.x509.issuing import is_issued
from ios_mdm.core.x509.pem import chain

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.x509.values import Credential

__all__ = ["problem_of_found", "unknown_version", "value_digest"]


def value_digest(value: str) -> str:
    """Return the SHA-256 of a secret's value, 64 hex digits. It is public: a value contains a private key."""
    return hashlib.sha256(value.encode()).hexdigest()


def problem_of_found(credential: Credential, host: str, now: datetime) -> str | None:
    """Return why devices must not trust a certificate that was found; None if they may.

    A run announced it, but its slot and the definition that it was stored for are unknown.

    Args:
        credential: the certificate with its key and root.
        host: connection address without its port.
        now: aware UTC, whole seconds.
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


def unknown_version(secret: str, version: str, ordinal: int, problem: str) -> str:
    """Return the error message for a version that was found in a slot and must not be used."""
    return (
        f"secret {secret}: version {version} (certificate {ordinal}) has a label of the pair, but no facts tag: "
        f"{problem}. Another program may have stored it with PutSecretValue. Move the label back with `aws "
        "secretsmanager update-secret-version-stage`. If it is the pair's certificate, restore its tag "
        f"`ios-mdm:certificate:{version}` from a replica or a backup"
    )
