"""The other services of the AWS emulator: what lies beside a pair."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3

from ios_mdm.core.pair.schedule import Kind, names, role_name, stem
from tools.services import ministack

if TYPE_CHECKING:
    from tests.support.engine import World


def client(service: str, url: str, *, region: str = ministack.REGION, key: str = "test") -> Any:
    """Return a client of an emulator, for which an access key id of twelve digits is an account."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key="test",  # noqa: S106 - an emulator takes any
    )


class Aws:
    """What lies in the emulator beside the pair."""

    def __init__(self, world: World) -> None:
        url = world.services.services.aws_url
        self.region = world.region
        self.scheduler, self.iam, self.sqs = (
            client(service, url, region=world.region, key=world.key) for service in ("scheduler", "iam", "sqs")
        )
        self.server, self.secret = world.server, world.secret

    def schedule(self, kind: Kind = Kind.PROMOTE) -> dict[str, Any] | None:
        """Return the schedule of this kind."""
        try:
            found: dict[str, Any] = self.scheduler.get_schedule(Name=names(self.server, self.secret)[kind])
        except self.scheduler.exceptions.ResourceNotFoundException:
            return None
        return found

    @property
    def role_name(self) -> str:
        """Name of the role that is made."""
        return role_name(self.server, self.secret, self.region)

    def role(self) -> str | None:
        """Return the ARN of the role that was made."""
        roles = {role["RoleName"]: role["Arn"] for role in self.iam.list_roles()["Roles"]}
        arn: str | None = roles.get(self.role_name)
        return arn

    def queue(self) -> str | None:
        """Return the URL of the queue that was made."""
        urls = self.sqs.list_queues(QueueNamePrefix=stem(self.server, self.secret)).get("QueueUrls", [])
        return urls[0] if urls else None

    def fire(self, world: World) -> None:
        """Do what Scheduler does at the moment: the stored call, and the schedule is gone."""
        found = self.schedule()
        assert found is not None
        world.client.update_secret_version_stage(**json.loads(found["Target"]["Input"]))
        self.scheduler.delete_schedule(Name=found["Name"])

    def close(self) -> None:
        """Close the clients."""
        for one in (self.scheduler, self.iam, self.sqs):
            one.close()
