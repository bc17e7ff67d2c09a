"""The description of a secret of AWS Secrets Manager, and the staging labels of its versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["MAX_LABELS", "TRUSTED_PREFIX", "Label", "SecretDescription", "trusted_label"]

MAX_LABELS = 20
"""Number of staging labels that AWS allows across all versions of a secret, and for one version."""

TRUSTED_PREFIX = "TRUSTED-"
"""Prefix of the label of a certificate that devices may trust; the number of the certificate follows."""


def trusted_label(ordinal: int) -> str:
    """Return the staging label of the certificate *ordinal* while devices may trust it (R35).

    The label records that the certificate was offered to devices. It is a label and not a tag, because labels move by
    compare-and-swap, and AWS never deletes a version that has a label.
    """
    return f"{TRUSTED_PREFIX}{ordinal}"


class Label(StrEnum):
    """Staging labels of a pair's secret. AWSPENDING is not used, because it belongs to rotation by Secrets Manager."""

    MAIN = "AWSCURRENT"
    FORMER = "AWSPREVIOUS"
    RESERVE = "RESERVE"
    STAGED = "STAGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretDescription:
    """The answer of DescribeSecret: a secret without its values.

    Args:
        arn: ARN of the secret.
        tags: value of each tag, by key.
        labels: labels of each version, by version id; versions without a label are absent.
        deleted_at: when the secret was scheduled for deletion, aware UTC; None if it is not.
        kms_key: id, ARN or alias of the KMS key; None for the account's default key.
        primary_region: region of the primary secret if this secret is a replica; None otherwise.
        changed_at: when labels, tags or settings were last changed, aware UTC; None if unknown.
    """

    arn: str
    tags: Mapping[str, str]
    labels: Mapping[str, frozenset[str]]
    deleted_at: datetime | None = None
    kms_key: str | None = None
    primary_region: str | None = None
    changed_at: datetime | None = field(default=None, compare=False)
