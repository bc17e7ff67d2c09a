"""The AWS emulator: ministack on loopback, with the services that the product uses and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.services.ports import LOOPBACK
from tools.services.process import Command, Service

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "ministack"
REGION: Final = "eu-west-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
"""What a client of the emulator uses: it accepts any credentials, so these are no secret."""
AWS_SERVICES: Final = ("events", "iam", "kms", "scheduler", "secretsmanager", "sns", "sqs", "sts")


def service(executable: Path, data: Path, *, is_enforcing: bool = False) -> Service:
    """Return the emulator; it keeps its data in `data` at a graceful stop and continues with it at the next start.

    Args:
        executable: the console script in the emulator's own virtualenv.
        data: folder of its data.
        is_enforcing: whether it checks credentials and evaluates the IAM policies of their principals. The credentials
            above are those of the root user then.
    """

    def command(port: int) -> Command:
        return Command(
            argv=(str(executable),),
            environment={
                "AUTH": str(is_enforcing).lower(),
                "BIND_HOST": LOOPBACK,
                # It would look for containers of its own to remove; it has none, and must not touch others'.
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
