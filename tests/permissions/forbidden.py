"""Forbidden requests of each principal; each restriction in docs/permissions.md refuses at least one of them."""

from __future__ import annotations

from tests.permissions.documented import API_KEY_SECRET
from tests.support.iam import Request
from tests.support.implied import KEY
from tests.support.recording import ACCOUNT, arn

__all__ = ["FORBIDDEN"]

PAIR = arn("secretsmanager", "secret:ios-mdm/berlin-AbCdEf")
OTHER_PAIR = arn("secretsmanager", "secret:ios-mdm/paris-AbCdEf")
FOREIGN = arn("secretsmanager", "secret:payroll/database-AbCdEf")
API_KEY = arn("secretsmanager", f"secret:{API_KEY_SECRET}-AbCdEf")
BOUNDARY = {"iam:PermissionsBoundary": arn("iam", "policy/ios-mdm-boundary")}
NO_BOUNDARY = {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}
OWN_ROLE = arn("iam", "role/ios-mdm/ios-mdm-berlin-1")
PIPELINE = arn("iam", "role/ios-mdm-deployer")
TO_SCHEDULER = {"iam:PassedToService": "scheduler.amazonaws.com"}
VIA = {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}
SCHEDULER = ("Service", "scheduler.amazonaws.com")
GROUP = arn("scheduler", "schedule-group/default")


def _get(resource: str, stage: str | None = None) -> Request:
    context = {} if stage is None else {"secretsmanager:VersionStage": stage}
    return Request(action="secretsmanager:GetSecretValue", resource=resource, context=context)


def _request(action: str, resource: str, **context: str) -> Request:
    return Request(action=action, resource=resource, context={key.replace("_", ":"): context[key] for key in context})


def _tags(operation: str, resource: str, *keys: str) -> Request:
    return Request(action=f"secretsmanager:{operation}", resource=resource, context={"aws:TagKeys": keys})


def _schedule(operation: str, name: str) -> Request:
    return _request(f"scheduler:{operation}", arn("scheduler", f"schedule/default/{name}"))


def _assume(service: str, account: str, source: str) -> Request:
    return Request(
        action="sts:AssumeRole",
        resource=OWN_ROLE,
        context={"aws:SourceAccount": account, "aws:SourceArn": source},
        principal=("Service", service),
    )


def _kms(action: str, *, key: str = KEY, via: dict[str, str] | None = None) -> Request:
    return Request(action=action, resource=arn("kms", key), context=VIA if via is None else via)


_READS_NO_MORE = (
    ("reads a topic of another project", _request("sns:GetTopicAttributes", arn("sns", "orders"))),
    ("reads facts of another project", _request("secretsmanager:DescribeSecret", FOREIGN)),
    ("stores a certificate", _request("secretsmanager:PutSecretValue", PAIR)),
    ("moves a label", _request("secretsmanager:UpdateSecretVersionStage", PAIR)),
    ("changes tags", _request("secretsmanager:TagResource", PAIR)),
    ("reads a schedule of another project", _request("scheduler:GetSchedule", arn("scheduler", "schedule/x/y"))),
    ("deletes a schedule", _request("scheduler:DeleteSchedule", arn("scheduler", "schedule/default/ios-mdm-x"))),
    ("reads a role of another project", Request(action="iam:GetRole", resource=arn("iam", "role/orders"))),
    ("takes over a role", Request(action="iam:UpdateAssumeRolePolicy", resource=OWN_ROLE)),
    ("finds a queue of another project", _request("sqs:GetQueueUrl", arn("sqs", "orders"))),
)


FORBIDDEN: dict[str, tuple[tuple[str, Request], ...]] = {
    "deployer": (
        ("reads a secret of another project", _get(FOREIGN)),
        (
            "reads another secret of the MDM server",
            _get(arn("secretsmanager", f"secret:{API_KEY_SECRET}-of-another-AbCdEf")),
        ),
        ("replaces the API key", _request("secretsmanager:PutSecretValue", API_KEY)),
        ("deletes a secret of another project", _request("secretsmanager:DeleteSecret", FOREIGN)),
        ("lets another account read a pair", _request("secretsmanager:PutResourcePolicy", PAIR)),
        (
            "deletes a schedule of another project",
            _request("scheduler:DeleteSchedule", arn("scheduler", "schedule/x/y")),
        ),
        ("finds a queue of another project", _request("sqs:GetQueueUrl", arn("sqs", "orders"))),
        ("reads a topic of another project", _request("sns:GetTopicAttributes", arn("sns", "orders"))),
        ("deletes a queue of another project", _request("sqs:DeleteQueue", arn("sqs", "orders"))),
        (
            "passes a role to Lambda",
            Request(action="iam:PassRole", resource=OWN_ROLE, context={"iam:PassedToService": "lambda.amazonaws.com"}),
        ),
        ("passes the role of a pipeline", Request(action="iam:PassRole", resource=PIPELINE, context=TO_SCHEDULER)),
        ("creates a role without a boundary", Request(action="iam:CreateRole", resource=OWN_ROLE)),
        (
            "creates a role with another boundary",
            Request(action="iam:CreateRole", resource=OWN_ROLE, context=NO_BOUNDARY),
        ),
        ("creates a role outside the path", Request(action="iam:CreateRole", resource=PIPELINE, context=BOUNDARY)),
        ("gives rights to a role without the boundary", Request(action="iam:PutRolePolicy", resource=OWN_ROLE)),
        (
            "replaces the boundary",
            Request(action="iam:PutRolePermissionsBoundary", resource=OWN_ROLE, context=NO_BOUNDARY),
        ),
        (
            "removes the boundary",
            Request(action="iam:DeleteRolePermissionsBoundary", resource=OWN_ROLE, context=BOUNDARY),
        ),
        ("attaches a policy", Request(action="iam:AttachRolePolicy", resource=OWN_ROLE, context=BOUNDARY)),
        (
            "gives rights to the role of a pipeline",
            Request(action="iam:PutRolePolicy", resource=PIPELINE, context=BOUNDARY),
        ),
        ("takes over the role of a pipeline", Request(action="iam:UpdateAssumeRolePolicy", resource=PIPELINE)),
        ("deletes the role of a pipeline", Request(action="iam:DeleteRole", resource=PIPELINE)),
        ("reads a role of another project", Request(action="iam:GetRole", resource=arn("iam", "role/orders"))),
        ("decrypts with another key", _kms("kms:Decrypt", key="key/ANOTHER")),
        ("decrypts without Secrets Manager", _kms("kms:Decrypt", via={})),
        ("decrypts through another service", _kms("kms:Decrypt", via={"kms:ViaService": "s3.eu-west-1.amazonaws.com"})),
    ),
    "previewer": (
        ("reads a key", _get(PAIR)),
        ("reads the current key", _get(PAIR, "AWSCURRENT")),
        ("reads the API key", _get(API_KEY)),
        *_READS_NO_MORE,
    ),
    "status": (
        ("reads a secret of another project", _get(FOREIGN)),
        ("reads the API key", _get(API_KEY)),
        *_READS_NO_MORE,
        ("counts the messages of another project", _request("sqs:GetQueueAttributes", arn("sqs", "orders"))),
        ("decrypts with another key", _kms("kms:Decrypt", key="key/ANOTHER")),
        ("decrypts without Secrets Manager", _kms("kms:Decrypt", via={})),
        ("encrypts", _kms("kms:GenerateDataKey")),
    ),
    "consumer": (
        ("reads the reserve", _get(PAIR, "RESERVE")),
        ("reads a version by its id", _get(PAIR)),
        ("reads the main of another server", _get(OTHER_PAIR, "AWSCURRENT")),
        ("reads facts", _request("secretsmanager:DescribeSecret", PAIR)),
        ("stores a certificate", _request("secretsmanager:PutSecretValue", PAIR)),
        ("decrypts with another key", _kms("kms:Decrypt", key="key/ANOTHER")),
        ("decrypts without Secrets Manager", _kms("kms:Decrypt", via={})),
    ),
    "collector": (
        ("reads main", _get(PAIR, "AWSCURRENT")),
        ("reads the reserve", _get(PAIR, "RESERVE")),
        ("reads facts of a pair", _request("secretsmanager:DescribeSecret", PAIR)),
        ("reads a secret of another project", _get(FOREIGN)),
        ("changes the URL of the API key", _request("secretsmanager:TagResource", API_KEY)),
        ("changes the API key", _request("secretsmanager:PutSecretValue", API_KEY)),
        ("decrypts with another key", _kms("kms:Decrypt", key="key/ANOTHER")),
        ("decrypts without Secrets Manager", _kms("kms:Decrypt", via={})),
        ("encrypts", _kms("kms:GenerateDataKey")),
    ),
    "gatekeeper": (
        ("reads main", _get(PAIR, "AWSCURRENT")),
        ("reads the reserve", _get(PAIR, "RESERVE")),
        ("reads facts of another project", _request("secretsmanager:DescribeSecret", FOREIGN)),
        ("lists the versions of a pair", _request("secretsmanager:ListSecretVersionIds", PAIR)),
        ("stores a certificate", _request("secretsmanager:PutSecretValue", PAIR)),
        ("moves a label", _request("secretsmanager:UpdateSecretVersionStage", PAIR)),
        ("changes the value of a pair", _request("secretsmanager:UpdateSecret", PAIR)),
        ("deletes a pair", _request("secretsmanager:DeleteSecret", PAIR)),
        ("records that devices were sent a certificate", _tags("TagResource", PAIR, "ios-mdm:sent")),
        ("changes the decision and another tag", _tags("TagResource", PAIR, "ios-mdm:gate", "ios-mdm:owner")),
        ("removes the owner of a pair", _tags("UntagResource", PAIR, "ios-mdm:owner")),
        ("records a decision in another project", _tags("TagResource", FOREIGN, "ios-mdm:gate")),
        ("deletes an alarm", _schedule("DeleteSchedule", "ios-mdm-berlin-288f4f2489-overdue")),
        ("changes a schedule of another project", _schedule("UpdateSchedule", "orders-promote")),
        (
            "passes a role to Lambda",
            Request(action="iam:PassRole", resource=OWN_ROLE, context={"iam:PassedToService": "lambda.amazonaws.com"}),
        ),
        ("passes the role of a pipeline", Request(action="iam:PassRole", resource=PIPELINE, context=TO_SCHEDULER)),
    ),
    "schedule": (
        ("reads a key", _get(PAIR)),
        ("moves a label of another pair", _request("secretsmanager:UpdateSecretVersionStage", OTHER_PAIR)),
        ("sends to the queue of another pair", _request("sqs:SendMessage", arn("sqs", "ios-mdm-paris-dead-letters"))),
        ("publishes to another topic", _request("sns:Publish", arn("sns", "orders"))),
    ),
    "scheduler": (
        ("another service assumes the role", _assume("lambda.amazonaws.com", ACCOUNT, GROUP)),
        ("a schedule of another account", _assume(SCHEDULER[1], "999999999999", GROUP)),
        ("a schedule of another group", _assume(SCHEDULER[1], ACCOUNT, arn("scheduler", "schedule-group/other"))),
    ),
    "bounded": (
        ("reads a key", _get(PAIR)),
        ("moves a label of another project", _request("secretsmanager:UpdateSecretVersionStage", FOREIGN)),
        ("sends to a queue of another project", _request("sqs:SendMessage", arn("sqs", "orders"))),
        ("publishes to another topic", _request("sns:Publish", arn("sns", "orders"))),
        ("creates a user", _request("iam:CreateUser", arn("iam", "user/eve"))),
    ),
}
"""For each principal, the effect of each forbidden request, and the request."""
