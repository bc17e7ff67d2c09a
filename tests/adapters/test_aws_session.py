"""The botocore session of all clients."""

from __future__ import annotations

import subprocess
import sys

import pytest
from botocore.exceptions import UnknownServiceError

from ios_mdm.adapters.aws_session import session


@pytest.mark.parametrize("service", ["secretsmanager", "scheduler", "iam", "sqs", "sts", "sso", "sso-oidc"])
def test_a_client_of_each_service_can_be_made(service: str) -> None:
    """A login with AWS IAM Identity Center needs the last two services."""
    client = session().create_client(
        service,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - nothing is called
    )
    assert client.meta.service_model.service_name == service


def test_a_service_that_does_not_exist_is_refused() -> None:
    """A wrong name does not count as a service without a model."""
    with pytest.raises(UnknownServiceError):
        session().create_client("no-such-service", region_name="eu-west-1")


def test_aws_is_used_without_pyopenssl() -> None:
    """Only the proof of a certificate needs pyOpenSSL, and a process that proves nothing does not load it."""
    code = (
        "import sys\n"
        "from ios_mdm.adapters.aws_session import session\n"
        "session().create_client('sts', region_name='eu-west-1')\n"
        "print('OpenSSL' in sys.modules)\n"
        "import urllib3.contrib.pyopenssl\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
