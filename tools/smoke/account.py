"""The AWS account of a run, and its clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ios_mdm.adapters.aws import ROLE_SECONDS, Aws, Kind
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

T = TypeVar("T")

VARIABLE = "IOS_MDM_SMOKE_ACCOUNT"
TAG = "ios-mdm-smoke"
DENIED = ("AccessDenied", "AccessDeniedException")
_SERVICES = ("iam", "kms", "scheduler", "secretsmanager", "sns", "sqs", "sts")
_DIGITS = 12
_RETRIES = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=20)


class RefusedError(Exception):
    """The run must not start. The message names the reason and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account whose number was checked.

    Args:
        number: Account number, 12 digits.
        region: AWS region of the run.
        session: Session with the credentials of the administrator.
        credentials: Credentials of an assumed role, as arguments of boto3; empty for the administrator.
        environ: Environment variables of the process.
        now: Returns the time, aware.
        sleep: Waits for a number of seconds.
    """

    number: str
    region: str
    session: boto3.Session = field(repr=False)
    credentials: Mapping[str, str] = field(repr=False, default_factory=dict)
    environ: Mapping[str, str] = field(repr=False)
    now: Callable[[], datetime] = field(repr=False)
    sleep: Callable[[float], None] = field(repr=False)
    _clients: dict[str, Any] = field(init=False, repr=False, default_factory=dict)

    def client(self, service: str) -> Any:  # noqa: ANN401 - the service is a variable here
        """Return the client of a service. Repeated calls return the same client."""
        if service not in self._clients:
            self._clients[service] = _client(self.session, service, self.region, **self.credentials)
        return self._clients[service]

    def aws(self) -> Aws:
        """Return this account for the adapters of the product."""
        return _Assumed(environ=self.environ, region=self.region, account=self)

    def wait_for(self, attempt: Callable[[], T], *, seconds: float = ROLE_SECONDS) -> tuple[T | None, float]:
        """Repeat *attempt* until its result is true; return the result and the elapsed seconds.

        A refused attempt is repeated, too, because new roles and policies take effect with a delay.

        Returns:
            The last result, which is not true after a timeout of *seconds*.

        Raises:
            ClientError: The last attempt was refused, or AWS reported an error that does not come from IAM.
            StoreError: An adapter reported such an error.
        """
        begin = self.now()
        while True:
            result: T | None = None
            refusal: ClientError | StoreError | None = None
            try:
                result = attempt()
            except StoreError as error:
                refusal = error
            except ClientError as error:
                if error.response["Error"]["Code"] not in (*DENIED, "NoSuchEntity"):
                    raise
                refusal = error
            elapsed = (self.now() - begin).total_seconds()
            if result or (refusal is None and elapsed >= seconds):
                return result, elapsed
            if refusal is not None and elapsed >= seconds:
                raise refusal
            self.sleep(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assumed(Aws):
    account: Account = field(repr=False, compare=False)

    def _client(self, kind: Kind) -> Any:  # noqa: ANN401 - as Account.client
        return self.account.client(kind.service)


def checked_account(
    environ: Mapping[str, str],
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    allow_emulator: bool = False,
) -> Account:
    """Return the account that the environment names, if the credentials belong to it.

    Raises:
        RefusedError: No account is named, the credentials belong to another account, or an endpoint is not AWS.
    """
    number = environ.get(VARIABLE, "")
    if not (len(number) == _DIGITS and number.isascii() and number.isdigit()):
        raise RefusedError(f"{VARIABLE} is not set to an account. Set it to the 12 digits of a test account.")
    try:
        session = boto3.Session()
        region = environ.get("AWS_REGION") or session.region_name
        if not region:
            raise RefusedError("No region is set. Set AWS_REGION.")
        for service in () if allow_emulator else _SERVICES:
            host = urlsplit(_client(session, service, region).meta.endpoint_url).hostname or ""
            if not host.endswith(".amazonaws.com"):
                raise RefusedError(
                    f"The endpoint of {service} is {host}, not AWS. Remove the endpoint URL from the AWS settings."
                )
        identity = _client(session, "sts", region).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise RefusedError(f"The account cannot be read: {error}. Check the AWS credentials.") from None
    if identity["Account"] != number:
        raise RefusedError(
            f"The credentials belong to account {identity['Account']}, but {VARIABLE} is {number}. Change one of them."
        )
    if not identity["Arn"].startswith("arn:aws:"):
        raise RefusedError("The account is not in the partition aws, the only one that docs/permissions.md covers.")
    return Account(number=number, region=region, session=session, environ=environ, now=now, sleep=sleep)


def _client(session: boto3.Session, service: str, region: str, **credentials: str) -> Any:  # noqa: ANN401
    return session.client(service, region_name=region, config=_RETRIES, **credentials)  # type: ignore[arg-type]
