"""Resources that all checks of a run use: a KMS key, a topic, queues, and the documented roles."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from ios_mdm.adapters.secrets_manager import SecretsManager
from tools.smoke.account import TAG
from tools.smoke.documents import POLICIES_OF, document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.core.pair.secret import SecretDescription
    from tools.smoke.account import Account


class UnexpectedError(Exception):
    """AWS behaved differently than the product expects. The message contains the observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Resources of a run.

    Args:
        run: Id of the run.
        admin: Account with the credentials of the administrator.
        key: Id of the KMS key.
        actors: Account with the credentials of a role, by name of the documented role.
        seconds: Longest time until a new role could be assumed.
        armed: Names of the schedules that a check created.
    """

    run: str
    admin: Account
    key: str
    actors: Mapping[str, Account]
    seconds: float = 0
    armed: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """Prefix of all names of the run."""
        return f"{TAG}-{self.run}"

    @property
    def secret(self) -> str:
        """Name of the pair's secret."""
        return f"{self.prefix}/berlin"

    @property
    def tags(self) -> list[dict[str, str]]:
        """Tag of the run, in the form of most AWS services."""
        return [{"Key": TAG, "Value": self.run}]

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the account and region of the run."""
        return f"arn:aws:{service}:{'' if service == 'iam' else self.admin.region}:{self.admin.number}:{resource}"

    def document(self, name: str, suffix: str = "AbCdEf") -> str:
        """Return a documented policy for the names of the run."""
        names = {"prefix": self.prefix, "account": self.admin.number, "region": self.admin.region, "key": self.key}
        return document(name, suffix=suffix, **names)

    def store(self, principal: str = "deployer") -> SecretsManager:
        """Return the product's store with the credentials of a role."""
        return SecretsManager(aws=self.actors[principal].aws())

    def version(self, ordinal: int) -> str:
        """Return the version id of a certificate."""
        return str(uuid5(NAMESPACE_URL, f"{self.secret}/{ordinal}"))

    def description(self) -> SecretDescription:
        """Return the description of the secret, read as the deployer."""
        found = self.store().describe(self.secret)
        if found is None:
            raise UnexpectedError(f"secret {self.secret} does not exist")
        return found

    def labels(self) -> dict[int, list[str]]:
        """Return the labels of the versions that have one, by ordinal."""
        found = self.description().labels
        return {n: sorted(found[one]) for n in range(1, 5) if (one := self.version(n)) in found}


def create_world(account: Account, run: str) -> World:
    """Create the shared resources, and assume the documented roles.

    Raises:
        ClientError: AWS refuses a call, or a role cannot be assumed two minutes after its creation.
    """
    key = account.client("kms").create_key(Description=f"{TAG}-{run}", Tags=[{"TagKey": TAG, "TagValue": run}])
    world = World(run=run, admin=account, key=key["KeyMetadata"]["KeyId"], actors={})
    sns, sqs = account.client("sns"), account.client("sqs")
    topic = sns.create_topic(Name=f"{world.prefix}-alarms", Tags=world.tags)["TopicArn"]
    queue = world.arn("sqs", f"{world.prefix}-alarms")
    policy = _document(
        Principal={"Service": "sns.amazonaws.com"},
        Action="sqs:SendMessage",
        Resource=queue,
        Condition={"ArnEquals": {"aws:SourceArn": topic}},
    )
    sqs.create_queue(QueueName=f"{world.prefix}-alarms", Attributes={"Policy": policy}, tags={TAG: run})
    sqs.create_queue(QueueName=f"{world.prefix}-dead-letters", tags={TAG: run})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    account.client("iam").create_policy(
        PolicyName=f"{world.prefix}-boundary", PolicyDocument=world.document("boundary"), Tags=world.tags
    )
    roles = {principal: _create_role(world, principal) for principal in POLICIES_OF}
    found = {principal: _assume_role(account, role) for principal, role in roles.items()}
    actors = {principal: actor for principal, (actor, _) in found.items()}
    return replace(world, actors=actors, seconds=max(seconds for _, seconds in found.values()))


def _document(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def _create_role(world: World, principal: str) -> str:
    iam, name = world.admin.client("iam"), f"{world.prefix}-{principal}"
    trust = _document(Principal={"AWS": world.arn("iam", "root")}, Action="sts:AssumeRole")
    # A path different from that of the schedules' roles, which the deployer may change.
    path = f"/{TAG}-principals-{world.run}/"
    role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust, Tags=world.tags)["Role"]
    for policy in POLICIES_OF[principal]:
        put = partial(iam.put_role_policy, RoleName=name, PolicyName=policy, PolicyDocument=world.document(policy))
        world.admin.wait_for(put)
    return str(role["Arn"])


def _assume_role(account: Account, role: str) -> tuple[Account, float]:
    """Return the account with the credentials of a role, and the seconds until the role could be assumed."""
    assume = partial(account.client("sts").assume_role, RoleArn=role, RoleSessionName=TAG)
    answer, seconds = account.wait_for(assume)
    found: Mapping[str, str] = (answer or {})["Credentials"]
    credentials = {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }
    return replace(account, credentials=credentials), seconds
