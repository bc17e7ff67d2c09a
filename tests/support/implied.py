"""Permissions that AWS requires in addition to the action of a request, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.iam import Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["IMPLIED", "WITHOUT_PERMISSION", "Row", "implied_requests"]

KEY = "key/KEY-ID"
"""The KMS key of the pairs in docs/permissions.md, in any account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A permission that a request needs in addition to its action.

    Args:
        request: action of the request.
        parameter: parameter that the rule applies to; None for all requests.
        needs: additional actions.
        source: page of the AWS documentation.
    """

    request: str
    parameter: str | None = None
    needs: tuple[str, ...]
    source: str


IMPLIED = (
    Row(
        request="secretsmanager:CreateSecret",
        parameter="Tags",
        needs=("secretsmanager:TagResource",),
        source="Secrets Manager API Reference, CreateSecret: required permissions",
    ),
    Row(
        request="secretsmanager:CreateSecret",
        needs=("kms:GenerateDataKey", "kms:Decrypt"),
        source="Secrets Manager API Reference, CreateSecret: required permissions for a customer managed KMS key",
    ),
    Row(
        request="secretsmanager:PutSecretValue",
        needs=("kms:GenerateDataKey", "kms:Decrypt"),
        source="Secrets Manager User Guide, Secret encryption and decryption: permissions for the KMS key",
    ),
    Row(
        request="secretsmanager:GetSecretValue",
        needs=("kms:Decrypt",),
        source="Secrets Manager API Reference, GetSecretValue: required permissions",
    ),
    Row(
        request="secretsmanager:UpdateSecret",
        parameter="KmsKeyId",
        needs=("kms:GenerateDataKey", "kms:Encrypt", "kms:Decrypt"),
        source="Secrets Manager API Reference, UpdateSecret: required permissions",
    ),
    Row(
        request="iam:CreateRole",
        parameter="Tags",
        needs=("iam:TagRole",),
        source="IAM User Guide, Tag IAM roles: permissions required for tagging IAM roles",
    ),
    Row(
        request="scheduler:CreateSchedule",
        parameter="Target",
        needs=("iam:PassRole",),
        source="EventBridge Scheduler User Guide, Identity-based policies: PassRole",
    ),
    Row(
        request="scheduler:UpdateSchedule",
        parameter="Target",
        needs=("iam:PassRole",),
        source="EventBridge Scheduler User Guide, Identity-based policies: PassRole",
    ),
)

WITHOUT_PERMISSION = {"sts:GetCallerIdentity": "STS API Reference, GetCallerIdentity: no permissions are required"}
"""Actions that every principal may call, with their sources."""


def implied_requests(request: Request, params: Mapping[str, Any]) -> Iterator[Request]:
    """Yield the additional requests that a request with these parameters needs."""
    for row in IMPLIED:
        if row.request == request.action and (row.parameter is None or row.parameter in params):
            yield from (_additional(action, request, params) for action in row.needs)


def _additional(action: str, request: Request, params: Mapping[str, Any]) -> Request:
    service, _, _ = action.partition(":")
    if service == "kms":
        _, _, name, region, account, _ = request.resource.split(":", 5)
        via = {"kms:ViaService": f"{name}.{region}.amazonaws.com"}
        return Request(action=action, resource=f"arn:aws:kms:{region}:{account}:{KEY}", context=via)
    if action == "iam:PassRole":
        passed = {"iam:PassedToService": "scheduler.amazonaws.com"}
        return Request(action=action, resource=params["Target"]["RoleArn"], context=passed)
    return Request(action=action, resource=request.resource)
