"""The identity of a pair: a random id, and its home, which is the AWS account and region of its secret (R33)."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["PAIR_ID", "Home", "PairIdentity", "partition_of", "profile_identifier"]

PAIR_ID = r"[0-9a-f]{32}"
"""Regular expression of a pair id, without anchors: 128 random bits."""

_SUFFIX = 12
"""Number of hex digits of the pair id in a profile's identifier: 48 bits distinguish the pairs of one device."""
_MANUAL = "manual"
"""Suffix for a profile without a pair. No pair has it, because it is not hexadecimal."""
_IDENTITY = re.compile(
    rf"(?P<id>{PAIR_ID}) (?P<account>[0-9]{{12}}):(?P<region>[a-z0-9-]+):(?P<secret>[A-Za-z0-9/_+=.@-]+)"
)


_PARTITIONS = {
    "cn-": "aws-cn",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
}


def partition_of(region: str) -> str:
    """Return the AWS partition of a region, the first part of its ARNs."""
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """An AWS account and a region.

    Args:
        account: account id, 12 digits.
        region: name of the region, such as ``eu-west-1``.
    """

    account: str
    region: str

    def __str__(self) -> str:
        """Return account and region for a message."""
        return f"account {self.account}, region {self.region}"

    @classmethod
    def of_arn(cls, arn: str) -> Home:
        """Return the home of a secret with this ARN: ``arn:aws:secretsmanager:<region>:<account>:secret:<name>``."""
        _, _, _, region, account, *_ = arn.split(":")
        return cls(account=account, region=region)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairIdentity:
    """The identity of a pair, as its secret records it.

    Args:
        pair_id: 32 random hex digits, created with the secret; they never change.
        home: account and region of the secret.
        secret: name of the secret.
    """

    pair_id: str
    home: Home
    secret: str

    @property
    def text(self) -> str:
        """The identity in one line, which :meth:`parsed` reads."""
        return f"{self.pair_id} {self.home.account}:{self.home.region}:{self.secret}"

    @classmethod
    def from_text(cls, text: str | None) -> PairIdentity | None:
        """Return the identity that *text* records; None if *text* is None or damaged."""
        found = _IDENTITY.fullmatch(text or "")
        if found is None:
            return None
        home = Home(account=found["account"], region=found["region"])
        return cls(pair_id=found["id"], home=home, secret=found["secret"])


def profile_identifier(identifier: str, pair_id: str | None) -> str:
    """Return the PayloadIdentifier of a pair's profile, which no other pair's profile has (R35).

    Args:
        identifier: identifier in the definition, such as ``com.example.mdm.trust``.
        pair_id: 32 hex digits; None for a profile without a pair.
    """
    return f"{identifier}.{_MANUAL if pair_id is None else pair_id[:_SUFFIX]}"
