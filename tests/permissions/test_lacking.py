"""Each row of the table of features that the enforcing emulator lacks.

A failing test shows that the emulator now evaluates a feature: remove the row from ``LACKING``, so that
test_enforced.py enforces it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.permissions.documented import NAMES, documented_policy
from tests.permissions.enforcing import LACKING, Iam, condition_keys, enforceable
from tests.support.aws import AWS
from tests.support.iam import CONDITION_KEYS
from tests.support.recording import arn
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Callable

ENFORCED = {"aws:TagKeys"}
"""Condition keys that the emulator has."""
NAME = "berlin"
SECRET = f"ios-mdm/{NAME}"
ROLE = {"RoleName": "ios-mdm-unbounded", "Path": "/ios-mdm/", "AssumeRolePolicyDocument": json.dumps({"Statement": []})}


@pytest.fixture
def iam(enforcing: str, monkeypatch: pytest.MonkeyPatch) -> Iam:
    """Return the principals of the emulator."""
    for variable, value in {**ministack.CREDENTIALS, "AWS_ENDPOINT_URL": enforcing}.items():
        monkeypatch.setenv(variable, value)
    return Iam(url=enforcing, patch=monkeypatch)


def code(iam: Iam, call: Callable[[], object], policy: dict[str, Any]) -> str:
    """Return the error code of a call by a principal with this policy; empty if the call is accepted."""
    name = f"lacking-{uuid4().hex[:8]}"
    iam.create(name, {"policy": policy})
    with iam.acting(name):
        try:
            call()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
    return ""


def allow(*actions: str) -> dict[str, Any]:
    """Return a policy that allows these actions on everything."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


def test_the_table_has_the_condition_keys_of_the_page() -> None:
    """The evaluator of the tests supports each of these keys. The emulator has all others."""
    keys = {key for name in NAMES for key in condition_keys(documented_policy(name))}
    assert set(LACKING) == keys - ENFORCED
    assert keys <= CONDITION_KEYS
    assert {key for name in NAMES for key in condition_keys(enforceable(documented_policy(name)))} == ENFORCED


def test_the_emulator_lacks_the_label_of_a_request(iam: Iam) -> None:
    """The emulator refuses a consumer that requests AWSCURRENT."""
    iam.root("secretsmanager").create_secret(Name=SECRET, SecretString="{}")
    policy = documented_policy("consumer", suffix="??????")

    def read() -> None:
        AWS.secrets_manager().get_secret_value(SecretId=SECRET, VersionStage="AWSCURRENT")

    assert code(iam, read, policy) == "AccessDeniedException"
    assert code(iam, read, enforceable(policy)) == ""


def test_the_emulator_lacks_the_boundary_and_the_path_of_a_role(iam: Iam) -> None:
    """The emulator refuses a deployer that creates a role with the path and the boundary of the page."""
    policy = documented_policy("deployer-roles")
    boundary = arn("iam", "policy/ios-mdm-boundary")

    def create() -> None:
        AWS.iam().create_role(**ROLE, PermissionsBoundary=boundary)  # type: ignore[arg-type]

    def read() -> None:
        AWS.iam().get_role(RoleName=ROLE["RoleName"])

    assert code(iam, create, policy) == "AccessDenied"
    assert code(iam, create, enforceable(policy)) == ""
    policy["Statement"] = [
        one | {"Resource": arn("iam", "role/ios-mdm/*")} for one in policy["Statement"] if one["Sid"] == "ReadRoles"
    ]
    assert code(iam, read, policy) == "AccessDenied"
    assert code(iam, read, enforceable(policy)) == ""


def test_the_emulator_lacks_pass_role(iam: Iam) -> None:
    """The emulator lets a principal without iam:PassRole create a schedule with a role."""

    def create() -> None:
        AWS.scheduler().create_schedule(
            Name="lacking",
            ScheduleExpression="at(2041-01-01T00:00:00)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn("sns", "alarms"), "RoleArn": arn("iam", "role/any")},
        )

    assert code(iam, create, allow("scheduler:GetSchedule")) == "AccessDeniedException"
    assert code(iam, create, allow("scheduler:CreateSchedule")) == ""


def test_the_emulator_lacks_permissions_on_kms_keys(iam: Iam) -> None:
    """The emulator lets a principal without kms:Decrypt read a secret that is encrypted with a key of the account."""
    key = iam.root("kms").create_key()["KeyMetadata"]["KeyId"]
    iam.root("secretsmanager").create_secret(Name="ios-mdm/encrypted", SecretString="{}", KmsKeyId=key)

    def read() -> None:
        AWS.secrets_manager().get_secret_value(SecretId="ios-mdm/encrypted")

    assert code(iam, read, allow("secretsmanager:GetSecretValue")) == ""


@pytest.mark.parametrize("key", ["aws:SourceAccount", "aws:SourceArn"])
def test_the_emulator_lacks_the_source_of_a_service(iam: Iam, key: str) -> None:
    """Services of the emulator act as the root user. A trust policy with this key does not admit them."""
    trust = documented_policy("schedule-trust")
    (statement,) = trust["Statement"]
    iam.create(f"trusted-{uuid4().hex[:8]}", {}, trust=enforceable(trust))
    wanted = statement["Condition"]["StringEquals"]
    statement["Condition"]["StringEquals"] = {key: wanted[key]}
    with pytest.raises(ClientError, match="AssumeRole"):
        iam.create(f"trusted-{uuid4().hex[:8]}", {}, trust=trust)
