"""Refused moves of a label: a label on another version, and a secret that is scheduled for deletion.

AWS documents two codes for UpdateSecretVersionStage. InvalidParameterException is a parameter that is not valid: it is
the answer to a wrong RemoveFromVersionId in the reports of other AWS tools. InvalidRequestException is a parameter that
is not valid for the state of the resource: the secret is scheduled for deletion, or another service manages it.
Source: Secrets Manager API Reference, UpdateSecretVersionStage, "Errors".
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import LabelMovedError, StoreError
from tests.support.aws import AWS
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
ARN = f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{SECRET}-AbCdEf"
MAIN, RESERVE, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
CODES = ("InvalidParameterException", "InvalidRequestException")
MARKED = "You can't perform this operation on the secret because it was marked for deletion."
IN_WORDS = "A parameter value is not valid for the current state of the resource."


@dataclass(slots=True)
class Double:
    """A strict double of AWS. It answers the expected requests in their order, and fails at any other request."""

    expected: list[tuple[str, dict[str, str], int, dict[str, Any]]] = field(default_factory=list)

    def refuse(self, code: str, message: str = IN_WORDS) -> None:
        """Refuse to move AWSCURRENT from MAIN to RESERVE."""
        move = {"VersionStage": Label.MAIN, "MoveToVersionId": RESERVE, "RemoveFromVersionId": MAIN}
        self.expected.append(("UpdateSecretVersionStage", move, 400, {"__type": code, "Message": message}))

    def describe(self, holder: str, *, is_deleted: bool = False) -> None:
        """Describe the secret, with AWSCURRENT on *holder*."""
        answer: dict[str, Any] = {"ARN": ARN, "VersionIdsToStages": {holder: [Label.MAIN]}}
        if is_deleted:
            answer["DeletedDate"] = 1796083200
        self.expected.append(("DescribeSecret", {}, 200, answer))

    def answer_request(self, request: Any, **_rest: object) -> Any:
        """Answer a request instead of sending it."""
        operation, params, status, answer = self.expected.pop(0)
        assert request.headers["X-Amz-Target"] == f"secretsmanager.{operation}".encode()
        assert json.loads(request.body) == {"SecretId": SECRET, **params}
        headers = HTTPHeaders.from_dict({"Content-Type": "application/x-amz-json-1.1"})
        raw = HTTPResponse(body=io.BytesIO(json.dumps(answer).encode()), preload_content=False)
        return AWSResponse(request.url, status, headers, raw)


@pytest.fixture
def double(no_aws: pytest.MonkeyPatch) -> Iterator[Double]:
    """Return the double, in place of AWS."""
    for variable, value in ministack.CREDENTIALS.items():
        no_aws.setenv(variable, value)
    found = Double()
    AWS.secrets_manager().meta.events.register("before-send", found.answer_request)
    yield found
    assert found.expected == []


def promote() -> None:
    """Move AWSCURRENT from MAIN to RESERVE."""
    SecretsManager(aws=AWS).move_label(SECRET, Label.MAIN, to=RESERVE, current=MAIN)


@pytest.mark.parametrize("code", CODES)
def test_a_label_on_another_version_was_moved_concurrently(double: Double, code: str) -> None:
    """The run observes the pair again."""  # R30
    double.refuse(code)
    double.describe(OTHER)
    with pytest.raises(LabelMovedError, match=f"expected on {MAIN} and is on {OTHER}"):
        promote()


@pytest.mark.parametrize("code", CODES)
def test_a_label_that_has_arrived_is_a_success(double: Double, code: str) -> None:
    """The answer to an earlier attempt was lost, and the label is at its target."""  # R30
    double.refuse(code)
    double.describe(RESERVE)
    promote()


@pytest.mark.parametrize("holder", [MAIN, OTHER, RESERVE])
@pytest.mark.parametrize("message", [MARKED, IN_WORDS], ids=["marked", "in general"])
@pytest.mark.parametrize("code", CODES)
def test_a_secret_that_is_scheduled_for_deletion_is_reported(
    double: Double, code: str, message: str, holder: str
) -> None:
    """DescribeSecret decides, and not the text of AWS. The error has the command that restores the secret."""
    double.refuse(code, message)
    double.describe(holder, is_deleted=True)
    with pytest.raises(StoreError, match=r"scheduled for deletion.*restore-secret") as caught:
        promote()
    assert not isinstance(caught.value, LabelMovedError), "the run must not try again"


def test_a_secret_of_another_service_is_reported_in_the_words_of_aws(double: Double) -> None:
    """The label is on the expected version, and the secret is not deleted: another read does not help."""
    double.refuse("InvalidRequestException", "The secret is managed by another service.")
    double.describe(MAIN)
    with pytest.raises(StoreError, match=r"AWS reports InvalidRequestException \(The secret is managed") as caught:
        promote()
    assert not isinstance(caught.value, LabelMovedError)


def test_a_read_that_lags_is_repeated(double: Double) -> None:
    """DescribeSecret shows the label at its place before the move of another run."""  # R30
    double.refuse("InvalidParameterException")
    double.describe(MAIN)
    with pytest.raises(LabelMovedError):
        promote()
