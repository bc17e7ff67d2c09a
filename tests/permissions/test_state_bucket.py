"""The bucket policy in SECURITY.md: only the deployer writes the state, and only the pipeline reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.iam import Decision, Request, decision

PAGE = Path(__file__).parents[2] / "SECURITY.md"
STATE = "arn:aws:s3:::STATE-BUCKET/.pulumi/stacks/ios-mdm/production.json"
ADMINISTRATOR: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
READS = ("s3:GetObject", "s3:GetObjectVersion")
WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")


def bucket_policy() -> dict[str, Any]:
    """Return the bucket policy in SECURITY.md."""
    (text,) = re.findall(r"^```json policy=state-bucket\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def role(name: str) -> str:
    """Return the ARN of a role of the account."""
    return f"arn:aws:iam::111122223333:role/{name}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deployer", {*READS, *WRITES}),
        ("previewer", {*READS}),
        ("watcher", {*READS}),
        ("administrator", set()),
        ("deployer-of-another-project", set()),
        ("team/deployer", set()),
    ],
)
def test_the_bucket_limits_even_an_administrator(name: str, expected: set[str]) -> None:
    """A role that may do everything reads and writes the state only if the policy names it."""
    context = {"aws:PrincipalArn": role(name)}
    allowed = {
        action
        for action in (*READS, *WRITES)
        if decision(Request(action=action, resource=STATE, context=context), [ADMINISTRATOR, bucket_policy()])
        is Decision.ALLOWED
    }
    assert allowed == expected


def test_another_object_is_not_affected() -> None:
    """The policy is about one bucket."""
    request = Request(action="s3:PutObject", resource="arn:aws:s3:::another/object")
    assert decision(request, [ADMINISTRATOR, bucket_policy()]) is Decision.ALLOWED
