"""Types of the outputs of a server. ``docs/outputs.md`` describes each key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import pulumi

__all__ = ["CertificateOutput", "ProfileOutputs", "PromotionOutputs"]


class CertificateOutput(TypedDict):
    """Public details of a certificate. Times are RFC 3339 in UTC, names RFC 4514."""

    certificate: str
    subject: str
    issuer: str
    sans: list[str]
    serialNumber: str
    sha256: str
    root: str
    rootSha256: str
    key: str
    notBefore: str
    notAfter: str
    source: str
    pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOutputs:
    """The configuration profile of a server. Each value is a separate output, because previews know some of them.

    Args:
        identifier: PayloadIdentifier: the identifier of the definition followed by 12 hex digits of the pair id.
        sha256: SHA-256 of the .mobileconfig, 64 hex digits.
        device_count: number of devices that get the profile.
        revision: number of the profile, counted for each server.
    """

    identifier: pulumi.Output[str]
    sha256: pulumi.Output[str]
    device_count: pulumi.Output[int]
    revision: pulumi.Output[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionOutputs:
    """The role and the queue of the schedules of a server.

    Args:
        role_arn: ARN of the role that the schedules assume; None if nothing is scheduled.
        dead_letter_arn: ARN of the queue for failed schedules; None if nothing is scheduled.
    """

    role_arn: pulumi.Output[str | None]
    dead_letter_arn: pulumi.Output[str | None]
