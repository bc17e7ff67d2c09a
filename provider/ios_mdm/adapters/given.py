"""Checks whether the role, the queue and the topic that a definition names exist in AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.adapters.aws import QUEUE, ROLE, TOPIC
from ios_mdm.adapters.prerequisites import NO_ENTITY, NO_QUEUE

if TYPE_CHECKING:
    from ios_mdm.adapters.aws import Aws

__all__ = ["AwsGivenResources"]

_NO_TOPIC = frozenset({"NotFound", "NotFoundException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsGivenResources:
    """``GivenResources`` in IAM, SQS and SNS, or an emulator of them (``AWS_ENDPOINT_URL``).

    Args:
        aws: access to AWS.
    """

    aws: Aws

    def exists(self, arn: str) -> bool:
        """Return whether the role, queue or topic with this ARN exists, by one read.

        Raises:
            StoreError: AWS refuses.
        """
        service = arn.split(":")[2]
        if service == "iam":
            name = arn.rpartition("/")[2]
            role = self.aws.answer_unless(
                NO_ENTITY, "GetRole", name, lambda: self.aws.iam().get_role(RoleName=name), ROLE
            )
            return role is not None and role["Role"]["Arn"] == arn
        if service == "sqs":
            name = arn.rpartition(":")[2]
            url = self.aws.answer_unless(
                NO_QUEUE, "GetQueueUrl", name, lambda: self.aws.sqs().get_queue_url(QueueName=name), QUEUE
            )
            return url is not None
        topic = self.aws.answer_unless(
            _NO_TOPIC, "GetTopicAttributes", arn, lambda: self.aws.sns().get_topic_attributes(TopicArn=arn), TOPIC
        )
        return topic is not None
