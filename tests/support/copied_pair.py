"""A pair that AWS copied to another region."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.engine import World


@contextmanager
def copied_world(world: World, **home: str) -> Iterator[World]:
    """Yield the world in another region or account, with a copy of the secret.

    In another region, the copy is like a replica that became an independent secret. The emulator has no replicas.
    """
    found = world.client.describe_secret(SecretId=world.secret)
    stages: dict[str, list[str]] = found["VersionIdsToStages"]
    with world.elsewhere(**home) as other:
        other.client.create_secret(Name=other.secret, Tags=found["Tags"])
        for version, labels in stages.items():
            other.client.put_secret_value(
                SecretId=other.secret,
                ClientRequestToken=version,
                VersionStages=labels,
                SecretString=world.value(version),
            )
        # Unlike AWS, the emulator removes all labels from the version that loses AWSCURRENT.
        for version, labels in stages.items():
            for label in labels:
                other.client.update_secret_version_stage(
                    SecretId=other.secret, VersionStage=label, MoveToVersionId=version
                )
        # Unlike AWS, the emulator creates a first version without a value.
        empty = other.labels().get("AWSPREVIOUS")
        other.client.update_secret_version_stage(
            SecretId=other.secret, VersionStage="AWSPREVIOUS", RemoveFromVersionId=empty
        )
        yield other
