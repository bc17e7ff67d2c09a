"""The IAM policy documents of the role that a pair's schedules assume."""

from __future__ import annotations

import json

__all__ = ["role_policy", "role_trust"]


def role_trust(secret_arn: str) -> str:
    """Return the trust policy: Scheduler may assume the role for schedules of this account and region only."""
    _, partition, _, region, account, *_ = secret_arn.split(":")
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": account,
                    "aws:SourceArn": f"arn:{partition}:scheduler:{region}:{account}:schedule-group/default",
                }
            },
        }
    )


def role_policy(secret_arn: str, *, dead_letter: str, alarm: str | None) -> str:
    """Return the permissions policy: move labels of this one secret, and send messages.

    Args:
        secret_arn: ARN of the pair's secret.
        dead_letter: ARN of the SQS queue for calls that failed.
        alarm: ARN of the SNS topic or SQS queue for alarms; None for no alarms.
    """
    statements: list[dict[str, object]] = [
        {"Effect": "Allow", "Action": "secretsmanager:UpdateSecretVersionStage", "Resource": secret_arn},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": dead_letter},
    ]
    if alarm is not None:
        action = "sns:Publish" if alarm.split(":")[2] == "sns" else "sqs:SendMessage"
        statements.append({"Effect": "Allow", "Action": action, "Resource": alarm})
    return _document(*statements)


def _document(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)
