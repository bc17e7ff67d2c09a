"""The AWS emulator: ministack on loopback, only with the services that the product uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.services.ports import LOOPBACK
from tools.services.process import Command, Service

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "ministack"
REGION: Final = "eu-west-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
"""Credentials for clients. They are not a secret, because the emulator accepts all credentials."""
AWS_SERVICES: Final = (
    "dynamodb",
    "events",
    "iam",
    "kms",
    "s3",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "sts",
)


def service(executable: Path, data: Path, *, is_enforcing: bool = False) -> Service:
    """Return the emulator. It writes its data into `data` when it stops, and reads them at the next start.

    Args:
        executable: Script in the emulator's virtualenv.
        data: Folder of the data.
        is_enforcing: Whether the emulator checks credentials and evaluates IAM policies. ``CREDENTIALS`` are then those
            of the root user.
    """

    def command(port: int) -> Command:
        return Command(
            argv=(str(executable),),
            environment={
                "AUTH": str(is_enforcing).lower(),
                "BIND_HOST": LOOPBACK,
                # The emulator removes containers that it regards as its own. Without Docker it cannot remove any.
                "DOCKER_HOST": f"unix://{data / 'no-docker.sock'}",
                "GATEWAY_PORT": str(port),
                "IOT_MTLS_ENABLED": "0",
                "LOG_LEVEL": "WARNING",
                "MINISTACK_HOST": LOOPBACK,
                "MINISTACK_REGION": REGION,
                "PERSIST_STATE": "1",
                "SERVICES": ",".join(AWS_SERVICES),
                "SFTP_ENABLED": "0",
                "STATE_DIR": str(data),
            },
        )

    return Service(name=NAME, command=command, health="/_ministack/health")
