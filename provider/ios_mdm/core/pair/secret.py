"""A secret of AWS Secrets Manager as DescribeSecret returns it, and the staging labels on its versions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Label", "SecretDescription"]


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
    """

    arn: str
    tags: Mapping[str, str]
    labels: Mapping[str, frozenset[str]]
    deleted_at: datetime | None = None
    kms_key: str | None = None
