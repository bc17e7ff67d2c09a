"""Checks the role, the queue and the topic that a definition names for its schedules (R36)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.pair.home import partition_of
from ios_mdm.errors import DefinitionError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.core.pair.home import Home
    from ios_mdm.ports import GivenResources
    from ios_mdm.settings import PromotionSettings

__all__ = ["GivenFindings", "check_given_arns", "given_arns", "given_findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFindings:
    """The result of the check of the resources that a definition names.

    Args:
        missing: one sentence for each resource that does not exist.
        unchecked: one sentence for each resource that could not be checked, with the reason.
    """

    missing: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def given_arns(promotion: PromotionSettings) -> Mapping[str, str]:
    """Return the ARNs of role, queue and topic by the path of their key; empty if no schedules are created."""
    if not promotion.schedule:
        return {}
    found = {
        "promotion.roleArn": promotion.role_arn,
        "promotion.deadLetterArn": promotion.dead_letter_arn,
        "promotion.alarmArn": promotion.alarm_arn,
    }
    return {key: arn for key, arn in found.items() if arn is not None}


def check_given_arns(promotion: PromotionSettings, home: Home) -> None:
    """Check that role, queue, topic and boundary are in the account and region of the schedules, without calling AWS.

    Args:
        promotion: settings of the switch.
        home: account and region of the pair and its schedules.

    Raises:
        DefinitionError: An ARN has another partition, account or region. The message has one line for each such ARN.
    """
    arns = dict(given_arns(promotion))
    if promotion.permissions_boundary_arn is not None:
        arns["promotion.permissionsBoundaryArn"] = promotion.permissions_boundary_arn
    partition = partition_of(home.region)
    problems = []
    for key, arn in arns.items():
        _, found_partition, _, region, account, *_ = arn.split(":")
        wrong = [
            f"{name} {found}"
            for name, found, expected in (
                ("partition", found_partition, {partition}),
                ("account", account, {home.account, "aws"}),  # AWS's own policies can be a boundary
                ("region", region, {home.region, ""}),  # IAM has no regions
            )
            if found not in expected
        ]
        if wrong:
            problems.append(
                f"{key}: {arn} is in {' and '.join(wrong)}, but the pair and its schedules are in {home} (partition "
                f"{partition}): use a resource there"
            )
    if problems:
        raise DefinitionError("\n".join(problems))


def given_findings(promotion: PromotionSettings, resources: GivenResources) -> GivenFindings:
    """Check whether the resources that a definition names exist: one read for each, no write."""
    missing, unchecked = [], []
    for key, arn in given_arns(promotion).items():
        try:
            exists = resources.exists(arn)
        except StoreError as error:
            unchecked.append(f"{key}: it could not be checked whether {arn} exists: {error}")
            continue
        if not exists:
            missing.append(
                f"{key}: {arn} does not exist, so the schedules that need it fail: create it, or correct the ARN"
            )
    return GivenFindings(missing=tuple(missing), unchecked=tuple(unchecked))
