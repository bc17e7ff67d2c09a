"""The role, the queue and the topic that a definition names for its schedules must be in the right place and exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest

from ios_mdm.adapters.given import AwsGivenResources
from ios_mdm.app.given_arns import check_given_arns, given_findings
from ios_mdm.core.pair.home import Home
from ios_mdm.errors import DefinitionError, StoreError
from ios_mdm.settings import PromotionSettings
from tests.support.aws import AWS
from tests.support.backends import emulated, ministack_url, moto_url, no_aws
from tools.services import ministack

if TYPE_CHECKING:
    from tests.support.backends import SwitchBackend

__all__ = ["emulated", "ministack_url", "moto_url", "no_aws"]

HOME = Home(account="111122223333", region="eu-west-1")
CHINA = Home(account="111122223333", region="cn-north-1")
ROLE = "arn:aws:iam::111122223333:role/teams/mdm"
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:dead-letters"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:alarms"
BOUNDARY = "arn:aws:iam::111122223333:policy/edge"


def promotion(**given: Any) -> PromotionSettings:
    """Return settings with these YAML keys."""
    return PromotionSettings.model_validate(given)


@pytest.mark.parametrize(
    "given",
    [
        {"roleArn": ROLE, "deadLetterArn": QUEUE, "alarmArn": TOPIC},
        {"permissionsBoundaryArn": BOUNDARY, "alarmArn": QUEUE},
        {"permissionsBoundaryArn": "arn:aws:iam::aws:policy/PowerUserAccess"},
        {"schedule": False, "roleArn": ROLE.replace("1111", "9999")},
        {},
    ],
)
def test_arns_in_the_account_and_region_of_the_pair_are_accepted(given: dict[str, Any]) -> None:
    """Roles and policies have no region, and policies of AWS have no account. Without schedules, no ARN is used."""
    check_given_arns(promotion(**given), HOME)


@pytest.mark.parametrize("key", ["roleArn", "deadLetterArn", "alarmArn", "permissionsBoundaryArn"])
@pytest.mark.parametrize(
    ("part", "other", "said"),
    [
        ("111122223333", "999988887777", "account 999988887777"),
        (":aws:", ":aws-cn:", "partition aws-cn"),
        ("eu-west-1", "eu-central-1", "region eu-central-1"),
    ],
)
def test_an_arn_of_another_account_region_or_partition_is_refused(key: str, part: str, other: str, said: str) -> None:
    """AWS refuses the schedule, or accepts it and fails at its time."""
    # R36
    given = {"roleArn": ROLE, "deadLetterArn": QUEUE, "alarmArn": TOPIC, "permissionsBoundaryArn": BOUNDARY}[key]
    if part not in given:
        return
    with pytest.raises(DefinitionError, match=rf"^promotion\.{key}: \S+ is in {said}, but the pair and its schedules"):
        check_given_arns(promotion(**{key: given.replace(part, other)}), HOME)


def test_all_wrong_arns_are_reported_together() -> None:
    """Each ARN has one line."""
    with pytest.raises(DefinitionError) as caught:
        check_given_arns(promotion(roleArn=ROLE, deadLetterArn=QUEUE, alarmArn=TOPIC), CHINA)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "is in partition aws and region eu-west-1, but" in lines[1]


def test_a_missing_resource_is_found_by_one_read(emulated: SwitchBackend) -> None:
    """On each emulator: a role with a path, a queue and a topic."""
    # R36
    client = {
        service: boto3.client(
            service,
            region_name=ministack.REGION,
            endpoint_url=AWS.endpoint(),
            aws_access_key_id=ministack.CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ministack.CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        for service in ("iam", "sqs", "sns")
    }
    name = f"given-{uuid4().hex[:12]}"
    role = client["iam"].create_role(RoleName=name, Path="/teams/", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    url = client["sqs"].create_queue(QueueName=name)["QueueUrl"]
    queue = client["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = client["sns"].create_topic(Name=name)["TopicArn"]
    resources = AwsGivenResources(aws=AWS)
    assert emulated.name
    found = given_findings(promotion(roleArn=role, deadLetterArn=queue, alarmArn=topic), resources)
    assert (found.missing, found.unchecked) == ((), ())
    wrong = promotion(
        roleArn=role.replace("teams", "team"), deadLetterArn=f"{queue}-not", alarmArn=topic.replace("given", "none")
    )
    missing = given_findings(wrong, resources).missing
    assert [one.partition(":")[0] for one in missing] == [
        "promotion.roleArn",
        "promotion.deadLetterArn",
        "promotion.alarmArn",
    ]
    assert all("does not exist, so the schedules that need it fail" in one for one in missing)
    assert not resources.exists(f"{role}-not")


def test_a_resource_that_may_not_be_read_is_not_reported_as_missing() -> None:
    """The credentials of a preview may lack the permission."""
    # R36

    class Denied:
        def exists(self, _arn: str) -> bool:
            raise StoreError("GetRole on role failed: access denied.")

    found = given_findings(promotion(roleArn=ROLE), Denied())
    assert found.missing == ()
    assert found.unchecked == (
        f"promotion.roleArn: it could not be checked whether {ROLE} exists: GetRole on role failed: access denied.",
    )
