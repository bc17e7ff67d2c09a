"""An emulator that enforces IAM policies, and the documented principals on it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.core.pair.schedule import role_name
from tests.permissions.documented import POLICIES_OF, documented_policy
from tests.support.engine_aws import client
from tests.support.recording import ACCOUNT, arn
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pytest
    from click.testing import Result

    from tests.support.dynamic_provider import Engine

__all__ = ["LACKING", "Iam", "Play", "condition_keys", "enforceable", "policies", "session_arn"]

LACKING: Mapping[str, str] = {
    "aws:SourceAccount": "no service of the emulator assumes a role, so no AssumeRole has this key",
    "aws:SourceArn": "no service of the emulator assumes a role, so no AssumeRole has this key",
    "iam:PassedToService": "iam:PassRole is not evaluated",
    "iam:PermissionsBoundary": "no request has this key",
    "kms:ViaService": "Secrets Manager does not use KMS, so no permission on a KMS key is evaluated",
    "secretsmanager:VersionStage": "no request has this key",
}
"""Condition keys of the page that the emulator lacks, with the reason. tests/support/iam.py evaluates all of them.

Each reason is tested, so that a row is removed when the emulator supports its key.
"""
_ROLES = arn("iam", "role/ios-mdm/*")
_ROLES_BY_NAME = arn("iam", "role/ios-mdm-*")
"""The emulator evaluates a role by its name, without its path."""


def enforceable(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy without the conditions that the emulator lacks, and with roles named without their path."""
    found: dict[str, Any] = json.loads(json.dumps(policy).replace(_ROLES, _ROLES_BY_NAME))
    for statement in found["Statement"]:
        conditions = {
            operator: {key: value for key, value in keys.items() if key not in LACKING}
            for operator, keys in statement.pop("Condition", {}).items()
        }
        if conditions := {operator: keys for operator, keys in conditions.items() if keys}:
            statement["Condition"] = conditions
    return found


def condition_keys(policy: Mapping[str, Any]) -> set[str]:
    """Return the condition keys of a policy."""
    conditions = [one for statement in policy["Statement"] for one in statement.get("Condition", {}).values()]
    return {key for keys in conditions for key in keys}


def policies(names: tuple[str, ...], server: str) -> dict[str, dict[str, Any]]:
    """Return the parts of the page's policies for a server that the emulator can enforce."""
    return {name: enforceable(documented_policy(name, server=server, suffix="??????")) for name in names}


def session_arn(name: str) -> str:
    """Return the ARN that AWS reports for a principal with an assumed role."""
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/life"


@dataclass(frozen=True, slots=True, kw_only=True)
class Iam:
    """The principals of an emulator at *url*, created and assumed by its root user.

    Args:
        url: URL of the emulator.
        patch: sets the credentials of this process.
        credentials: environment variables with the credentials of each role, by the name of the role.
    """

    url: str
    patch: pytest.MonkeyPatch
    credentials: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    def root(self, service: str) -> Any:
        """Return a client of the root user, which has all permissions."""
        return client(service, self.url)

    def create(
        self,
        name: str,
        policies: Mapping[str, Mapping[str, Any]],
        *,
        trust: Mapping[str, Any] | None = None,
        boundary: str | None = None,
    ) -> None:
        """Create a role with these policies, and assume it.

        Args:
            name: name of the role.
            policies: policies by name.
            trust: trust policy; None trusts the account.
            boundary: ARN of the permissions boundary; None for no boundary.
        """
        iam = self.root("iam")
        account = {"Effect": "Allow", "Principal": {"AWS": arn("iam", "root")}, "Action": "sts:AssumeRole"}
        trust = trust or {"Version": "2012-10-17", "Statement": [account]}
        limits = {} if boundary is None else {"PermissionsBoundary": boundary}
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), **limits)["Role"]
        for policy, document in policies.items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
        found = self.root("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="life")["Credentials"]
        self.credentials[name] = {
            "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
            "AWS_SESSION_TOKEN": found["SessionToken"],
        }

    @contextmanager
    def acting(self, name: str) -> Iterator[None]:
        """Give this process the credentials of a role."""
        with self.patch.context() as patch:
            for variable, value in self.credentials[name].items():
                patch.setenv(variable, value)
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A server, and the documented principals.

    Args:
        engine: calls the hooks of the provider.
        iam: the principals.
        folder: folder for files.
        refused: operations that were refused to a principal.
    """

    engine: Engine
    iam: Iam
    folder: Path
    refused: list[str]

    @property
    def definition(self) -> dict[str, Any]:
        """The definition of the server."""
        found: dict[str, Any] = self.engine.program["definition"]
        return found

    @property
    def server(self) -> str:
        """Name of the server."""
        return str(self.engine.program["server"])

    @property
    def secret(self) -> str:
        """Name of the pair's secret."""
        return str(self.engine.program["secret"])

    def role(self) -> dict[str, Any]:
        """Return the role that was created for the schedules."""
        name = role_name(self.server, self.secret, ministack.REGION)
        found: dict[str, Any] = self.iam.root("iam").get_role(RoleName=name)["Role"]
        return found

    def name(self, principal: str) -> str:
        """Return the name of the role of a principal."""
        return f"{principal}-{self.server}"

    @contextmanager
    def acting(self, principal: str) -> Iterator[None]:
        """Give this process the credentials of a documented principal, which is created if it does not exist."""
        if (name := self.name(principal)) not in self.iam.credentials:
            self.iam.create(name, policies(POLICIES_OF[principal], self.server))
        with self.iam.acting(name):
            yield

    def up(self) -> str:
        """Run `up` as the deployer."""
        with self.acting("deployer"):
            return self.engine.up()

    def run(self, principal: str, *arguments: str) -> Result:
        """Run the command line as a principal."""
        with self.acting(principal):
            return CliRunner().invoke(app, list(arguments))

    def status(self, principal: str) -> Result:
        """Run `ios-mdm status`."""
        file = self.folder / "stack.yaml"
        config = {"ios-mdm:servers": [self.definition], "ios-mdm:aws": {}}
        file.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
        return self.run(principal, "status", str(file))

    def consume(self, secret: str) -> Result:
        """Run `ios-mdm consume` as the consumer."""
        return self.run("consumer", "consume", "--once", "--secret", secret, "--dir", str(self.folder / "tls"))

    def schedule_role(self) -> str:
        """Create a role with the policy, the trust and the boundary of the schedules' role, and return its name.

        Only Scheduler may assume the schedules' role itself.
        """
        role, name = self.role(), self.name("schedule")
        found = self.iam.root("iam").get_role_policy(RoleName=role["RoleName"], PolicyName="switch")
        boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
        trust = enforceable(role["AssumeRolePolicyDocument"])
        self.iam.create(name, {"switch": found["PolicyDocument"]}, trust=trust, boundary=boundary)
        return name
