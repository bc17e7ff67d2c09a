"""The other AWS resources of a pair in the emulator: its schedules, role and queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3

from ios_mdm.core.pair.schedule import Kind, name_stem, role_name, schedule_names
from tools.services import ministack

if TYPE_CHECKING:
    from tests.support.engine import World


def client(service: str, url: str, *, region: str = ministack.REGION, key: str = "test") -> Any:
    """Return a client of an emulator, which takes an access key id of twelve digits as an account id."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key="test",  # noqa: S106 - an emulator accepts any secret
    )


class Aws:
    """The schedules, the role and the queue of a pair in the emulator."""

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
            found: dict[str, Any] = self.scheduler.get_schedule(Name=schedule_names(self.server, self.secret)[kind])
        except self.scheduler.exceptions.ResourceNotFoundException:
            return None
        return found

    @property
    def role_name(self) -> str:
        """Name of the pair's role."""
        return role_name(self.server, self.secret, self.region)

    def role(self) -> str | None:
        """Return the ARN of the role, or None."""
        roles = {role["RoleName"]: role["Arn"] for role in self.iam.list_roles()["Roles"]}
        arn: str | None = roles.get(self.role_name)
        return arn

    def queue(self) -> str | None:
        """Return the URL of the queue, or None."""
        urls = self.sqs.list_queues(QueueNamePrefix=name_stem(self.server, self.secret)).get("QueueUrls", [])
        return urls[0] if urls else None

    def fire(self, world: World) -> None:
        """Do what Scheduler does at the apply time: make the stored call and delete the schedule."""
        found = self.schedule()
        assert found is not None
        world.client.update_secret_version_stage(**json.loads(found["Target"]["Input"]))
        self.scheduler.delete_schedule(Name=found["Name"])

    def close(self) -> None:
        """Close the clients."""
        for one in (self.scheduler, self.iam, self.sqs):
            one.close()
