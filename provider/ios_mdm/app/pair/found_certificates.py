"""Checks a certificate that is found in a pair's secret without a facts tag (R38)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ios_mdm.core.bundle import BundleError, read_bundle
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.layout import facts_tag
from ios_mdm.core.rules import Context, best_judgment
from ios_mdm.core.x509.details import details
from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.core.x509.issuing import is_issued
from ios_mdm.core.x509.pem import chain
from ios_mdm.public_roots import public_roots

if TYPE_CHECKING:
    from datetime import datetime

    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import StoredVersion
    from ios_mdm.core.x509.values import Credential

__all__ = ["found_certificate_problem", "unknown_version_message", "value_digest", "way_back"]


def value_digest(value: str) -> str:
    """Return the SHA-256 of a secret's value, 64 hex digits. It is public: a value contains a private key."""
    return hashlib.sha256(value.encode()).hexdigest()


def found_certificate_problem(
    credential: Credential, host: str, now: datetime, *, main: CertificateFacts | None
) -> str | None:
    """Return why devices must not trust a certificate without a facts tag; None if they can.

    A run announced the certificate, but its slot and the definition at that time, with its apply time, are unknown.
    A reserve is checked against main: it expires later, and has the root of a custom main. If main is unknown, because
    main has no facts tag yet or another program stored it, a reserve cannot be checked against main.

    Args:
        credential: the certificate with its key and root.
        host: connection address without its port.
        now: current time, aware UTC, whole seconds.
        main: facts of the main that the certificate is a reserve of; None if it is not a reserve, or main is unknown.
    """
    if is_issued(chain(credential.chain)) and details(credential.certificate).sans == (host,):
        return None
    (root,) = chain(credential.root)
    if main is not None and main.source is Source.INSTALLED and root_digest(root) != main.root:
        return f"root-mismatch: its root {fingerprint(root)} is not the root of main, which is a custom certificate"
    parts = (credential.certificate, credential.private_key, credential.root)
    # Devices are sent the stored root. The chain could also lead to another root of the same name.
    context = Context(
        host=host,
        now=now,
        slot=Slot.MAIN if main is None else Slot.RESERVE,
        apply_at=None if main is None else expiry(main),
        root=root,
        public_roots=public_roots,
    )
    try:
        bundle = read_bundle("".join(dict.fromkeys(parts)).encode(), None)
        found = best_judgment(bundle, context).report
    except BundleError as error:
        return str(error)
    return None if found.is_valid else "; ".join(one.message for one in found.violations)


def unknown_version_message(secret: str, version: StoredVersion, problem: str) -> str:
    """Return the error message for a version in a slot that has no facts tag and must not be used."""
    return (
        f"secret {secret}: version {version.version_id} (certificate {version.ordinal}) has a label of the pair, but "
        f"no facts tag: {problem}. If another run creates this pair now, run again after it. Otherwise another program "
        f"may have stored the version with PutSecretValue: {way_back(secret, version)}. If it is the pair's "
        "certificate, restore its tag "
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
