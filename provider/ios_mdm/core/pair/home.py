"""The home of a pair: the AWS account and region that its secret is in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Home"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """An AWS account and a region.

    Args:
        account: 12 digits.
        region: such as ``eu-west-1``.
    """

    account: str
    region: str

    def __str__(self) -> str:
        """Return both for a message."""
        return f"account {self.account}, region {self.region}"

    @classmethod
    def of_arn(cls, arn: str) -> Home:
        """Return the home of a secret by its ARN: ``arn:aws:secretsmanager:<region>:<account>:secret:<name>``."""
        _, _, _, region, account, *_ = arn.split(":")
        return cls(account=account, region=region)
