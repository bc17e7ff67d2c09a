"""Warnings about labels that the pair does not use (R38)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.secret import TRUSTED_PREFIX, Label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion

__all__ = ["label_notices"]

_ROTATION = "AWSPENDING"
"""Label of a version that an unfinished rotation by Secrets Manager has stored."""


def label_notices(observed: ObservedPair) -> tuple[Notice, ...]:
    """Return a warning for each label that another program has set on a version that is not part of the pair.

    AWSPENDING causes a warning on every version. Other labels on versions of the pair have no effect.
    """
    return tuple(_notice(observed.arn, version, label) for version, label in _other_labels(observed))


def _other_labels(observed: ObservedPair) -> Iterator[tuple[StoredVersion, str]]:
    for version in observed.versions:
        for label in sorted(version.labels - set(Label)):
            if label == _ROTATION or (version.facts is None and not label.startswith(TRUSTED_PREFIX)):
                yield version, label


def _notice(arn: str, version: StoredVersion, label: str) -> Notice:
    remove = (
        f"remove the label with `aws secretsmanager update-secret-version-stage --secret-id {arn} --version-stage "
        f"{label} --remove-from-version-id {version.version_id}`"
    )
    if label == _ROTATION:
        message = (
            f"version {version.version_id} has the label {label}: a rotation of the secret has begun. At the end of a "
            "rotation, a certificate becomes main that devices do not trust. Cancel the rotation with `aws "
            f"secretsmanager cancel-rotate-secret --secret-id {arn}`, then {remove}"
        )
    else:
        message = (
            f"version {version.version_id} with the label {label} is not a version of this pair and is not used. "
            f"Find the program that stored it (SECURITY.md, PutSecretValue), then {remove}"
        )
    return Notice(reason="other-label", severity=Severity.WARNING, message=message)
