"""Errors of AWS calls: one line with the secret and the advice, and without a value."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ProxyConnectionError, SSOTokenLoadError

from ios_mdm.adapters.prerequisites import AwsPrerequisites
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from tests.support.aws import AWS
from tests.support.aws_errors import VALUE, error_message
from tools.services import ministack
from tools.services.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
VERSION = "5f6b4b3e-9a3e-5a39-8a55-3d6d2b7d1f2c"


def description_error(region: str | None = "eu-west-1") -> str:
    """Return the error message of a call that describes the secret."""
    return error_message(lambda: SecretsManager(aws=replace(AWS, region=region)).describe(SECRET))


def with_credentials(environment: pytest.MonkeyPatch) -> None:
    """Set credentials that an emulator accepts, and a region."""
    for variable, value in ministack.CREDENTIALS.items():
        environment.setenv(variable, value)


def test_missing_credentials_are_reported(no_aws: pytest.MonkeyPatch) -> None:
    """The message names the variables to set."""
    no_aws.setenv("AWS_ENDPOINT_URL", f"http://{LOOPBACK}:{free_port()}")
    message = description_error()
    assert message.startswith(f'DescribeSecret on secret "{SECRET}" failed: there are no AWS credentials.')
    assert "AWS_PROFILE" in message


def test_half_of_the_credentials_is_reported_as_none(no_aws: pytest.MonkeyPatch) -> None:
    """An access key id without its secret key cannot sign a request."""
    no_aws.setenv("AWS_ACCESS_KEY_ID", "test")
    assert "there are no AWS credentials" in description_error()


def test_a_missing_region_is_reported_with_the_setting(no_aws: pytest.MonkeyPatch) -> None:
    """The stack's setting is named first, because it also applies to colleagues."""
    with_credentials(no_aws)
    no_aws.delenv("AWS_REGION")
    assert "no AWS region is set. Set ios-mdm:aws: {region: …}" in description_error(region=None)


def test_the_regions_variable_of_the_other_sdks_counts(no_aws: pytest.MonkeyPatch, moto_url: str) -> None:
    """Without this, boto3 reads only AWS_DEFAULT_REGION."""
    with_credentials(no_aws)
    no_aws.setenv("AWS_ENDPOINT_URL", moto_url)
    assert SecretsManager(aws=AWS).describe(SECRET) is None


def test_an_invalid_region_is_reported(no_aws: pytest.MonkeyPatch) -> None:
    """A typing error causes no network traffic."""
    with_credentials(no_aws)
    assert "'eu west' is not an AWS region" in description_error(region="eu west")


def test_an_unknown_profile_is_reported(no_aws: pytest.MonkeyPatch) -> None:
    """The message shows that the cause is the environment and not the stack."""
    no_aws.setenv("AWS_PROFILE", "missing")
    assert "there is no AWS profile 'missing'" in description_error()


def test_an_endpoint_that_is_down_is_reported_within_seconds(no_aws: pytest.MonkeyPatch) -> None:
    """The message names the endpoint and the settings to check."""
    with_credentials(no_aws)
    url = f"http://{LOOPBACK}:{free_port()}"
    no_aws.setenv("AWS_ENDPOINT_URL", url)
    started = time.monotonic()
    message = description_error()
    assert time.monotonic() - started < 10
    assert f"no answer from {url}" in message
    assert "AWS_ENDPOINT_URL" in message


@pytest.fixture
def page() -> Iterator[str]:
    """Serve a page in place of AWS, as a proxy with a login page does."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = f"<!doctype html><p>Log in<br>{VALUE}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - http.server's names

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: SecretsManager(aws=AWS).describe(SECRET), id="Secrets Manager"),
        pytest.param(lambda: AwsPrerequisites(aws=AWS).delete_role("ios-mdm-berlin"), id="IAM"),
        pytest.param(lambda: AwsPrerequisites(aws=AWS).queue_exists("ios-mdm-berlin"), id="SQS"),
        pytest.param(lambda: EventBridgeScheduler(aws=AWS).get("ios-mdm-berlin"), id="Scheduler"),
    ],
)
def test_a_page_in_place_of_an_answer_is_reported(
    no_aws: pytest.MonkeyPatch, page: str, call: Callable[[], object]
) -> None:
    """The message mentions the proxy and does not quote its page."""
    with_credentials(no_aws)
    no_aws.setenv("AWS_ENDPOINT_URL", page)
    assert "something other than AWS answered. Check AWS_ENDPOINT_URL and any proxy" in error_message(call)


@pytest.mark.parametrize("url", ["127.0.0.1:4566", "http://[::1", "http://bad host"])
def test_an_endpoint_that_is_no_url_is_reported(no_aws: pytest.MonkeyPatch, url: str) -> None:
    """Botocore's error for this is a bare ValueError."""
    with_credentials(no_aws)
    no_aws.setenv("AWS_ENDPOINT_URL", url)
    assert f"{url!r} is not a URL" in description_error()


@pytest.mark.parametrize(
    "url", ["http://localstack:4566", "http://10.0.0.5", "HTTP://aws.example.com", "http://[2001:db8::1]"]
)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_STS"])
def test_plain_http_to_another_machine_is_refused(no_aws: pytest.MonkeyPatch, url: str, variable: str) -> None:
    """Keys would be sent without encryption, and any machine could answer. No connection is made."""  # R29
    with_credentials(no_aws)
    no_aws.setenv(variable, url)
    message = description_error()
    assert f"the endpoint {url} is http and on another machine" in message
    assert "to https or to an emulator on 127.0.0.1" in message


def test_plain_http_of_a_profile_is_refused(no_aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of the AWS configuration can also set the endpoint."""  # R29
    with_credentials(no_aws)
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://aws.example.com\n", encoding="ascii")
    no_aws.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert "http://aws.example.com is http and on another machine" in description_error()


def test_a_malformed_request_is_reported_without_its_content(no_aws: pytest.MonkeyPatch, moto_url: str) -> None:
    """Botocore quotes parameters of a wrong type or length."""
    with_credentials(no_aws)
    no_aws.setenv("AWS_ENDPOINT_URL", moto_url)
    store = SecretsManager(aws=AWS)
    store.create(SECRET, tags={}, description="", kms_key=None)
    message = error_message(lambda: store.put(SECRET, "short", VALUE))
    assert "Report this as a bug" in message
    message = error_message(lambda: store.put(SECRET, VERSION, [VALUE]))  # type: ignore[arg-type]
    assert message.startswith("PutSecretValue")


def test_a_value_that_cannot_be_encoded_is_not_quoted() -> None:
    """Python's error contains the whole value."""
    message = error_message(lambda: AWS.answer("PutSecretValue", SECRET, f"{VALUE}\udcff".encode))
    assert "Report this as a bug" in message


def test_values_are_in_no_log(no_aws: pytest.MonkeyPatch, moto_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Botocore logs the bodies of requests and answers if all logs are enabled."""
    with_credentials(no_aws)
    no_aws.setenv("AWS_ENDPOINT_URL", moto_url)
    store = SecretsManager(aws=AWS)
    secret = f"{SECRET}/logged"
    with caplog.at_level(logging.DEBUG):
        store.create(secret, tags={}, description="", kms_key=None)
        store.put(secret, VERSION, VALUE)
        assert store.read(secret, VERSION) == VALUE
    assert caplog.text
    assert VALUE not in caplog.text


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("AccessDeniedException", "User x may not", "Allow secretsmanager:PutSecretValue on this secret"),
        ("AccessDeniedException", "Access to KMS is not allowed", "kms:GenerateDataKey"),
        ("ExpiredTokenException", "", "Log in again"),
        ("UnrecognizedClientException", "", "does not know these credentials"),
        ("InvalidSignatureException", "Signature expired: …", "this machine's clock"),
        ("ThrottlingException", "Rate exceeded", "Wait a minute"),
        ("ResourceNotFoundException", "", "the secret or the version does not exist"),
        ("InvalidRequestException", "it was marked for deletion", f"restore-secret --secret-id {SECRET}"),
        ("InvalidRequestException", f"The value {VALUE}", "AWS reports InvalidRequestException."),
        ("EncryptionFailure", "", "KMS key cannot be used"),
        ("LimitExceededException", "", "quota"),
        ("ValidationException", f"Value '{VALUE}' at 'secretString' is …", "AWS reports ValidationException."),
        ("", "", "AWS reports no reason."),
    ],
)
def test_a_refusal_is_reported_with_advice(code: str, text: str, expected: str) -> None:
    """AWS's text is not shown if it might quote the value that was sent."""

    def refused() -> None:
        raise ClientError({"Error": {"Code": code, "Message": text}}, "PutSecretValue")

    message = error_message(lambda: AWS.answer("PutSecretValue", SECRET, refused))
    assert message.startswith(f'PutSecretValue on secret "{SECRET}" failed: ')
    assert expected in message


def test_an_unknown_refusal_is_reported_in_the_words_of_aws_on_one_line() -> None:
    """AWS's text is shown if no value was sent."""

    def refused() -> None:
        raise ClientError({"Error": {"Code": "Odd", "Message": "first line\n second line."}}, "TagResource")

    assert "AWS reports Odd (first line second line)." in error_message(
        lambda: AWS.answer("TagResource", SECRET, refused)
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SSOTokenLoadError(error_msg="no token"), "Log in again"),
        (ProxyConnectionError(proxy_url="http://proxy.example.com"), "no answer from AWS"),
        (BotoCoreError(), "BotoCoreError"),
    ],
)
def test_an_obstacle_is_reported_with_advice(no_aws: pytest.MonkeyPatch, error: BotoCoreError, expected: str) -> None:
    """Each error that prevents an answer of AWS has advice."""
    del no_aws

    def obstructed() -> None:
        raise error

    assert expected in error_message(lambda: AWS.answer("DescribeSecret", SECRET, obstructed))


def test_threads_share_one_client(no_aws: pytest.MonkeyPatch, moto_url: str) -> None:
    """Sessions are not thread-safe, and a second client costs 0.1 seconds."""
    with_credentials(no_aws)
    no_aws.setenv("AWS_ENDPOINT_URL", moto_url)
    with ThreadPoolExecutor(8) as pool:
        clients = set(pool.map(lambda _: replace(AWS, region="eu-west-1").secrets_manager(), range(32)))
    assert len(clients) == 1
    assert replace(AWS, region="eu-central-1").secrets_manager() not in clients


def test_boto3_is_not_imported_before_it_is_needed() -> None:
    """Commands that make no AWS call start 0.4 seconds sooner."""
    code = "import sys, tests.support.memory, ios_mdm.adapters.secrets_manager; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
