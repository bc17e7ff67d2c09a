"""Messages about denied actions and refused credentials: the operation, AWS's reason, and the matching advice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, UnauthorizedSSOTokenError

from ios_mdm.adapters.aws import ROLE, SCHEDULE, SECRET, Kind
from tests.support.aws import AWS
from tests.support.aws_errors import error_message
from tests.support.backends import no_aws
from tools.services import ministack
from tools.services.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["no_aws"]

NAME = "ios-mdm/berlin"
CALLER = "arn:aws:sts::111122223333:assumed-role/ci/job-7"
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ios-mdm/berlin-AbCdEf"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234"
UP = "arn:aws:iam::111122223333:role/up"
NOT_ALLOWED = f"User: {CALLER} is not authorized to perform:"
DENIED = f"{NOT_ALLOWED} secretsmanager:DescribeSecret on resource: {ARN}"


def refusal_message(operation: str, code: str, message: str, kind: Kind = SECRET, *, called: str = "") -> str:
    """Return the message of a refusal; *called* is the refused operation, if it differs from *operation*."""

    def call() -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, called or operation)

    return error_message(lambda: AWS.answer(operation, NAME, call, kind))


@pytest.mark.parametrize(
    ("why", "advice"),
    [
        (
            " because no identity-based policy allows the secretsmanager:DescribeSecret action",
            "Allow secretsmanager:DescribeSecret on this secret to these credentials",
        ),
        (" with an explicit deny in an identity-based policy", "Change the policy with that Deny: it must not deny"),
        (" with an explicit deny in a service control policy", "Ask an administrator of the AWS organization"),
        (
            " with an explicit deny in a service control policy: arn:aws:organizations::111122223333:policy/o-1/p-2",
            "Ask an administrator of the AWS organization",
        ),
        (
            " because no service control policy allows the secretsmanager:DescribeSecret action",
            "Ask an administrator of the AWS organization",
        ),
        (" with an explicit deny in a resource control policy", "Ask an administrator of the AWS organization"),
        (" with an explicit deny in a resource-based policy", f"Change the policy of {ARN} itself: it must not deny"),
        (
            " because no resource-based policy allows the secretsmanager:DescribeSecret action",
            f"to these credentials, or in the policy of {ARN} itself",
        ),
        (
            " because no permissions boundary allows the secretsmanager:DescribeSecret action",
            "Change the permissions boundary of these credentials: it must allow secretsmanager:DescribeSecret",
        ),
        (" with an explicit deny in a permissions boundary", "Change the permissions boundary of these credentials"),
        (
            " because no session policy allows the secretsmanager:DescribeSecret action",
            "Change the session policy that the role is assumed with: it must allow",
        ),
        (
            " because no VPC endpoint policy allows the secretsmanager:DescribeSecret action",
            "Change the policy of the VPC endpoint that this network uses: it must allow",
        ),
        ("", "Allow secretsmanager:DescribeSecret on this secret to these credentials"),
    ],
)
def test_a_denied_action_is_reported_with_the_policy_that_denies_it(why: str, advice: str) -> None:
    """An explicit deny overrides an allowed action, so the advice names the policy to change."""
    message = refusal_message("DescribeSecret", "AccessDeniedException", DENIED + why)
    assert message.startswith(f'DescribeSecret on secret "{NAME}" failed: access denied ({CALLER} is not authorized ')
    assert advice in message
    if "explicit" in why:
        assert why.strip().partition(":")[0] in message
        assert "Allow secretsmanager" not in message


def test_a_denied_action_that_is_another_is_named() -> None:
    """A secret with tags needs two actions, and a role needs three."""
    text = f"User: {CALLER} is not authorized to perform: iam:TagRole on resource: arn:aws:iam::111122223333:role/x"
    message = refusal_message("CreateRole", "AccessDenied", text, ROLE)
    assert message.startswith('CreateRole on role "')
    assert "Allow iam:TagRole on this role to these credentials, or name an existing role" in message


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (
            f"{NOT_ALLOWED} kms:Decrypt on resource: {KEY} because no resource-based policy allows the kms:Decrypt",
            f"Allow kms:Decrypt on that key to these credentials, or in the policy of {KEY} itself",
        ),
        (
            f"{NOT_ALLOWED} kms:GenerateDataKey on resource: {KEY} with an explicit deny in a service control policy",
            "Ask an administrator of the AWS organization",
        ),
        ("Access to KMS is not allowed", "Allow kms:Decrypt, kms:Encrypt and kms:GenerateDataKey on that key"),
    ],
)
def test_a_denied_key_is_named_with_its_action(text: str, advice: str) -> None:
    """In KMS, unlike in other services, the policy of the key decides."""
    message = refusal_message("PutSecretValue", "AccessDeniedException", text)
    assert "failed: access to its KMS key is denied" in message
    assert advice in message


def test_a_denied_pass_role_has_its_reason() -> None:
    """The reason can be a condition on the service, or a deny of the organization, and not only a missing action."""
    text = f"User: {CALLER} is not authorized to perform: iam:PassRole on resource: x with an explicit deny in a "
    message = refusal_message("CreateSchedule", "AccessDeniedException", f"{text}permissions boundary", SCHEDULE)
    assert "these credentials are not allowed to pass the role of this schedule to Scheduler" in message
    assert "Change the permissions boundary of these credentials: it must not deny iam:PassRole" in message


def test_a_denied_put_quotes_no_text_of_unknown_form() -> None:
    """If the call sends a value, the message shows only ARNs and fixed words of AWS."""
    # R39
    message = refusal_message("PutSecretValue", "AccessDeniedException", "hush: the value is not allowed")
    assert "hush" not in message


@pytest.mark.parametrize(
    ("called", "code", "text", "expected"),
    [
        (
            "AssumeRole",
            "AccessDenied",
            f"{NOT_ALLOWED} sts:AssumeRole on resource: {UP}",
            "Allow sts:AssumeRole on that role to the credentials that the profile starts from, and add them to",
        ),
        (
            "AssumeRole",
            "AccessDenied",
            f"{NOT_ALLOWED} sts:AssumeRole on resource: {UP} with an explicit deny in a service control policy",
            "Ask an administrator of the AWS organization",
        ),
        ("AssumeRole", "ExpiredToken", "The security token included in the request is expired", "Log in again"),
        ("AssumeRole", "InvalidClientTokenId", "invalid", "AWS does not know these credentials"),
        (
            "AssumeRoleWithWebIdentity",
            "ExpiredTokenException",
            "Token expired: current date/time 1 must be before the expiration date/time 2",
            "the OIDC token of the pipeline has expired. Start the job again",
        ),
        (
            "AssumeRoleWithWebIdentity",
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "the trust policy of the role does not accept the OIDC token",
        ),
        ("AssumeRoleWithWebIdentity", "InvalidIdentityToken", "No OpenIDConnect provider found", "the URL and the aud"),
        ("GetRoleCredentials", "ForbiddenException", "No access", "sso_account_id and sso_role_name"),
        ("GetRoleCredentials", "UnauthorizedException", "Session token not found or invalid", "aws sso login"),
    ],
)
def test_credentials_that_are_refused_are_not_taken_for_the_call(
    called: str, code: str, text: str, expected: str
) -> None:
    """The message names the failed operation, and no actions on the secret."""
    message = refusal_message("DescribeSecret", code, text, called=called)
    assert message.startswith(f"{called}, which gets the credentials for DescribeSecret, failed: ")
    assert expected in message
    assert "secretsmanager:" not in message


def test_refused_credentials_are_no_answer_of_the_service() -> None:
    """A caller accepts an error code only from the operation that it called."""

    def call() -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "AssumeRole")

    assert "AssumeRole" in error_message(lambda: AWS.answer_unless({"AccessDenied"}, "DescribeSecret", NAME, call))


def test_an_expired_login_names_the_command() -> None:
    """A session of IAM Identity Center ends daily."""

    def call() -> None:
        raise UnauthorizedSSOTokenError

    assert "aws sso login" in error_message(lambda: AWS.answer("DescribeSecret", NAME, call))


def test_an_endpoint_that_does_not_exist_names_the_region(no_aws: pytest.MonkeyPatch) -> None:
    """A region with a typing error has no endpoint."""
    no_aws.setenv("AWS_REGION", "eu-wst-1")
    url = "https://secretsmanager.eu-wst-1.amazonaws.com/"

    def call() -> None:
        raise EndpointConnectionError(endpoint_url=url)

    message = error_message(lambda: AWS.answer("DescribeSecret", NAME, call))
    assert f"no answer from {url}. Check the network, the region (eu-wst-1) and" in message


@contextmanager
def sts(code: str, text: str) -> Iterator[str]:
    """Run an STS on loopback that refuses every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            assert parse_qs(body.decode())["Action"][0].startswith("AssumeRole")
            error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
            content = f"<ErrorResponse>{error}</ErrorResponse>".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def status(folder: Path, environment: Mapping[str, str], config: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with an AWS profile and without an input for prompts."""
    (folder / "config").write_text(config, encoding="utf-8")
    servers = [{"name": "berlin", "address": "mdm.example.com", "endpoints": []}]
    (folder / "servers.yaml").write_text(json.dumps(servers), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "ios_mdm", "status", "servers.yaml", "--json"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_REGION": ministack.REGION,
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,  # without a terminal, from which a prompt could read
    )


def problem(done: subprocess.CompletedProcess[str]) -> str:
    """Return the message that explains why the state of the server is unknown. It is one line."""
    assert done.stderr.startswith("error: server berlin: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


ASSUMING = (
    "[profile up]\nrole_arn = arn:aws:iam::111122223333:role/up\nsource_profile = base\n"
    "[profile base]\naws_access_key_id = test\naws_secret_access_key = test\n"
)


def test_a_profile_with_mfa_is_one_line(tmp_path: Path) -> None:
    """Nothing prompts for the code. The message has the command that asks for the code and exports a session."""
    config = ASSUMING.replace("source_profile", "mfa_serial = arn:aws:iam::111122223333:mfa/me\nsource_profile")
    with sts("AccessDenied", "") as url:
        done = status(tmp_path, {"AWS_PROFILE": "up", "AWS_ENDPOINT_URL_STS": url}, config)
    assert done.returncode == 3
    assert "MFA code for" not in done.stdout + done.stderr
    assert 'eval "$(aws configure export-credentials --profile up --format env)" && unset AWS_PROFILE' in problem(done)


def test_a_role_that_may_not_be_assumed_is_one_line(tmp_path: Path) -> None:
    """Botocore assumes the role, so the refusal of STS arrives during another call."""
    text = f"User: {CALLER} is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/up"
    with sts("AccessDenied", text) as url:
        done = status(tmp_path, {"AWS_PROFILE": "up", "AWS_ENDPOINT_URL_STS": url}, ASSUMING)
    assert done.returncode == 3
    assert "AssumeRole, which gets the credentials for DescribeSecret, failed: access denied" in problem(done)
    assert "Allow sts:AssumeRole on that role" in problem(done)


def test_an_oidc_token_that_has_expired_or_is_missing_is_one_line(tmp_path: Path) -> None:
    """In a pipeline, a token is valid for minutes, and its file might belong to another step."""
    variables = {
        "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/up",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
    }
    missing = status(tmp_path, variables, "")
    assert missing.returncode == 3
    assert "Check AWS_WEB_IDENTITY_TOKEN_FILE" in problem(missing)
    (tmp_path / "token").write_text("hush", encoding="ascii")
    with sts("ExpiredTokenException", "Token expired: hush") as url:
        expired = status(tmp_path, {**variables, "AWS_ENDPOINT_URL_STS": url}, "")
    assert expired.returncode == 3
    assert "the OIDC token of the pipeline has expired" in problem(expired)
    assert "hush" not in expired.stdout + expired.stderr
