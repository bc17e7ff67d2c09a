"""A secret of AWS Secrets Manager as DescribeSecret returns it, and the staging labels on its versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["MAX_LABELS", "TRUSTED", "Label", "SecretDescription", "trusted_label"]

MAX_LABELS = 20
"""Number of staging labels that AWS allows across all versions of a secret, and for one version."""

TRUSTED = "TRUSTED-"
"""Prefix of the label of a certificate that devices may trust. The number of the certificate follows."""


def trusted_label(ordinal: int) -> str:
    """Return the staging label of the version with the certificate *ordinal* while devices may trust it (R35).

    It records that the certificate was offered to devices: a label moves by compare-and-swap, unlike a tag. AWS never
    deletes a version that has a label.
    """
    return f"{TRUSTED}{ordinal}"


class Label(StrEnum):
    """Staging labels of a pair's secret. AWSPENDING is not among them: rotation owns it."""

    MAIN = "AWSCURRENT"
    FORMER = "AWSPREVIOUS"
    RESERVE = "RESERVE"
    STAGED = "STAGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretDescription:
    """A secret as DescribeSecret returns it: everything but its values.

    Args:
        arn: of the secret.
        tags: key to value.
        labels: version id to the labels on it; versions without a label are absent.
        deleted_at: when it was scheduled for deletion, None while it lives.
        kms_key: id or ARN of the key it is encrypted with, None for the account's default.
        primary_region: region of the secret that this one is a replica of; None if it is no replica.
        changed_at: when its labels, tags or settings were last changed, aware UTC; None if that is unknown.
    """

    arn: str
    tags: Mapping[str, str]
    labels: Mapping[str, frozenset[str]]
    deleted_at: datetime | None = None
    kms_key: str | None = None
    primary_region: str | None = None
    changed_at: datetime | None = field(default=None, compare=False)
