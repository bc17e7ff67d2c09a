"""Access to AWS: cached clients, and errors with one line that says what is wrong and what to do."""

from __future__ import annotations

import functools
import gc
import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from ios_mdm import __version__
from ios_mdm.adapters.reads import CACHED_OPERATIONS
from ios_mdm.adapters.refusals import (
    CREDENTIAL_CALLS,
    IDENTITY,
    KINDS,
    MALFORMED,
    OBJECT,
    QUEUE,
    ROLE,
    SCHEDULE,
    SECRET,
    TABLE,
    TOPIC,
    UNREADABLE,
    Kind,
    is_role_refused,
    mfa_message,
    no_answer_message,
    no_credentials_message,
    plain_endpoint_message,
    refusal_message,
    restorable_message,
    unreadable_file_message,
)
from ios_mdm.address import is_loopback
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from botocore.awsrequest import AWSResponse
    from botocore.client import BaseClient
    from botocore.model import OperationModel
    from botocore.session import Session
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

    from ios_mdm.adapters.ledgers.dynamodb.client import TableClient
    from ios_mdm.adapters.reads import Reads

__all__ = [
    "IDENTITY",
    "OBJECT",
    "QUEUE",
    "ROLE",
    "ROLE_SECONDS",
    "SCHEDULE",
    "SECRET",
    "TABLE",
    "TOPIC",
    "Aws",
    "Kind",
    "Refusal",
    "RoleRefusedError",
    "close_clients",
    "scheduled_for_deletion_error",
]

T = TypeVar("T")


class Topics(Protocol):
    """The used part of a client for SNS."""

    def get_topic_attributes(self, *, TopicArn: str) -> object:  # noqa: N803 - a parameter of AWS
        """Return the attributes of a topic."""


class ObjectBody(Protocol):
    """The content of an object in S3."""

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes."""

    def close(self) -> None:
        """Close the connection."""


class Objects(Protocol):
    """The used part of a client for S3."""

    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, ObjectBody]:  # noqa: N803 - parameters of AWS
        """Return an object, whose content is under ``Body``."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> object:  # noqa: N803 - parameters of AWS
        """Create or replace an object."""


ROLE_SECONDS = 120.0
"""Maximum time until IAM and Scheduler know a role that was just created."""

_MAX_ATTEMPTS = 5
"""The waits of standard mode are at most 1 + 2 + 4 + 8 seconds. This outlasts a throttle, and reports a dead network
soon."""
_MAX_ATTEMPTS_EMULATOR = 2
_MAX_CONNECTIONS = 40
"""Connections that a client keeps open. ``status`` and the reads ahead use up to 32 at the same time."""
_CONNECT_TIMEOUT = 3.0
_READ_TIMEOUT = 15.0
_DATE_VALID_SECONDS = 60.0
"""Seconds for which AWS's last time is extrapolated. The limit is short because a suspended machine stops the monotonic
clock."""
_FAILED = 400
"""The lowest HTTP status of a refusal. botocore itself reports an unreadable answer with such a status."""
_PAGES = (b"<!doctype", b"<html")


def _is_loopback(url: str | None) -> bool:
    if url is None:
        return False
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


def _check_encrypted(url: str | None) -> None:
    """Refuse plain HTTP to another machine: private keys would not be encrypted, and any machine could answer.

    An invalid URL is reported when a client is created for it.
    """
    if url is not None and url.lower().startswith("http:") and not _is_loopback(url) and _is_url(url):
        raise UnusableError(plain_endpoint_message(url))


def _is_url(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and not any(character.isspace() for character in url)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """Access to AWS with one environment and one region.

    Args:
        environ: environment variables of the process, which set endpoints, credentials and the default region.
        region: AWS region; None for the default region of the environment or the profile.
        reads: keeps the answers that one check or one status reads; None if no answers are kept.
    """

    environ: Mapping[str, str] = field(repr=False)
    region: str | None = None
    reads: Reads | None = field(default=None, repr=False, compare=False)

    def endpoint(self, kind: Kind = SECRET) -> str | None:
        """Return the endpoint URL from the environment, or None for AWS's default."""
        if self.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return None
        return self.environ.get(f"AWS_ENDPOINT_URL_{kind.endpoint}") or self.environ.get("AWS_ENDPOINT_URL") or None

    @property
    def is_emulator(self) -> bool:
        """Whether every AWS service that is used is an emulator on this machine's loopback interface."""
        return all(_is_loopback(self.endpoint(kind)) for kind in KINDS)

    def secrets_manager(self) -> SecretsManagerClient:
        """Return the client for Secrets Manager, always the same object.

        Call this inside :meth:`answer`, which explains its errors: no region, no such profile, an invalid endpoint URL.
        """
        return cast("SecretsManagerClient", self._client(SECRET))

    def scheduler(self) -> EventBridgeSchedulerClient:
        """Return the client for EventBridge Scheduler; call it as :meth:`secrets_manager`."""
        return cast("EventBridgeSchedulerClient", self._client(SCHEDULE))

    def iam(self) -> IAMClient:
        """Return the client for IAM; call it as :meth:`secrets_manager`."""
        return cast("IAMClient", self._client(ROLE))

    def sqs(self) -> SQSClient:
        """Return the client for SQS; call it as :meth:`secrets_manager`."""
        return cast("SQSClient", self._client(QUEUE))

    def sns(self) -> Topics:
        """Return the client for SNS; call it as :meth:`secrets_manager`."""
        return cast("Topics", self._client(TOPIC))

    def s3(self) -> Objects:
        """Return the client for S3; call it as :meth:`secrets_manager`."""
        return cast("Objects", self._client(OBJECT))

    def dynamodb(self) -> TableClient:
        """Return the client for DynamoDB; call it as :meth:`secrets_manager`."""
        return cast("TableClient", self._client(TABLE))

    def sts(self) -> STSClient:
        """Return the client for STS; call it as :meth:`secrets_manager`."""
        return cast("STSClient", self._client(IDENTITY))

    def last_date(self) -> datetime | None:
        """Return AWS's time, extrapolated from its last answer; None if that answer is more than a minute old."""
        heard = _received_dates.get(self._key(SECRET))
        if heard is None or (elapsed := time.monotonic() - heard.at) > _DATE_VALID_SECONDS:
            return None
        return (heard.date + timedelta(seconds=elapsed)).replace(microsecond=0)

    def answer(self, operation: str, name: str, call: Callable[[], T], kind: Kind = SECRET) -> T:
        """Return the result of *call*.

        Args:
            operation: name of the operation in the API and in IAM policies, for example ``DescribeSecret``.
            name: name of the resource, for the message.
            call: gets the client and makes the call.
            kind: kind of the resource.

        Raises:
            StoreError: AWS did not answer, or refused. The error has no cause or context, because botocore's errors
                quote parameters.
        """
        result = self._outcome(operation, name, call, frozenset(), kind)
        if isinstance(result, Refusal):
            raise result.error
        return result

    def answer_unless(
        self, codes: Collection[str], operation: str, name: str, call: Callable[[], T], kind: Kind = SECRET
    ) -> T | None:
        """Return the result of *call*, or None if AWS refuses with one of these error *codes*.

        Other refusals raise an error, as in :meth:`answer`.
        """
        result = self._outcome(operation, name, call, codes, kind)
        if isinstance(result, Refusal):
            return None
        return result

    def refusal(
        self, codes: Collection[str], operation: str, name: str, call: Callable[[], object], kind: Kind = SECRET
    ) -> Refusal | None:
        """Make the *call*; return the refusal if it has one of these error *codes*, and None if the call succeeds.

        Other refusals raise an error, as in :meth:`answer`.
        """
        result = self._outcome(operation, name, call, codes, kind)
        return result if isinstance(result, Refusal) else None

    def _key(self, kind: Kind) -> _Key:
        # botocore reads only AWS_DEFAULT_REGION. Other SDKs read AWS_REGION, and users of Pulumi set it.
        return _Key(
            kind.service,
            self.region or self.environ.get("AWS_REGION") or None,
            self.endpoint(kind),
            self.environ.get("AWS_PROFILE"),
            self.environ.get("AWS_ACCESS_KEY_ID"),
        )

    def _client(self, kind: Kind) -> BaseClient:
        """Return a cached client. The lock is needed because threads can share clients, but not sessions."""
        key = self._key(kind)
        with _lock:
            if key not in _clients:
                self._check_endpoints()
                _clients[key] = _connect(key, _MAX_ATTEMPTS_EMULATOR if self.is_emulator else _MAX_ATTEMPTS)
            return _clients[key]

    def _check_endpoints(self) -> None:
        """Refuse plain HTTP to another machine, also for the calls by which botocore gets credentials."""
        for kind in KINDS:
            _check_encrypted(self.endpoint(kind))

    def _outcome(
        self, operation: str, name: str, call: Callable[[], T], codes: Collection[str], kind: Kind
    ) -> T | Refusal:
        if self.reads is None or operation not in CACHED_OPERATIONS:
            return self._attempt(operation, name, call, codes, kind)
        key = (operation, self.region, name)
        return self.reads.outcome(key, lambda: self._attempt(operation, name, call, codes, kind))

    def _attempt(
        self, operation: str, name: str, call: Callable[[], T], codes: Collection[str], kind: Kind
    ) -> T | Refusal:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        code, role_refused, failed = "", False, f'{operation} on {kind.noun} "{name}" failed'
        try:
            return call()
        except ClientError as refusal:
            code = str(refusal.response.get("Error", {}).get("Code", ""))
            message = str(refusal.response.get("Error", {}).get("Message", ""))
            if refusal.operation_name in CREDENTIAL_CALLS:
                failed = f"{refusal.operation_name}, which gets the credentials for {operation}, failed"
                reason = no_credentials_message(refusal.operation_name, code, message)
                code = ""  # the caller accepts only codes of the operation that it called
            else:
                role_refused = is_role_refused(code, message)
                reason = refusal_message(operation, name, code, message, kind)
        except UnusableError as unusable:
            reason = str(unusable)
        except BotoCoreError as obstacle:
            reason = no_answer_message(obstacle, self.endpoint(kind), self.region or self.environ.get("AWS_REGION"))
        except OSError as error:
            reason = unreadable_file_message(error)
        except (_PageError, ResponseParserError):  # the text of the error quotes the answer
            reason = UNREADABLE
        except UnicodeError:  # the text of the error quotes the value that cannot be encoded
            reason = MALFORMED
        except ValueError:  # botocore's error for an endpoint that is not a URL
            reason = f"{self.endpoint(kind)!r} is not a URL. Correct AWS_ENDPOINT_URL"
        raised = RoleRefusedError if role_refused else StoreError
        store_error = raised(f"{failed}: {reason}.")
        if code in codes:
            return Refusal(code, store_error)
        # Raised outside the handlers, where botocore's error with the sent values would become its context.
        raise store_error


@dataclass(frozen=True, slots=True)
class _Key:
    """Key of a cached client. It contains profile and access key id, so that changed credentials get a new client."""

    service: str
    region: str | None
    endpoint: str | None
    profile: str | None
    access_key_id: str | None


@dataclass(frozen=True, slots=True)
class _ReceivedDate:
    """The Date of an answer of AWS, and this process's monotonic time at its arrival."""

    date: datetime
    at: float


class _PageError(Exception):
    """The answer is a web page."""


class UnusableError(Exception):
    """A refused AWS setting: an endpoint without encryption, or a profile that requires an MFA code."""


class RoleRefusedError(StoreError):
    """Scheduler cannot assume the role of a schedule, or does not know that role yet."""


_lock = threading.Lock()
_clients: dict[_Key, BaseClient] = {}
_received_dates: dict[_Key, _ReceivedDate] = {}
_session: tuple[tuple[str | None, str | None, str | None], Session] | None = None


def _connect(key: _Key, attempts: int) -> BaseClient:
    global _session  # noqa: PLW0603 - a second client of the same session takes a tenth of the time
    # botocore instead of boto3, which also imports much that is not used here.
    from botocore.config import Config

    # At DEBUG, botocore logs the bodies of requests and answers, which contain keys (R29).
    logging.getLogger("botocore").setLevel(logging.INFO)
    identity = (key.profile, key.access_key_id, key.region)
    if _session is None or _session[0] != identity:
        _session = (identity, _quiet_session(key.region))
    client: BaseClient = _session[1].create_client(
        key.service,
        region_name=key.region,
        endpoint_url=key.endpoint,
        config=Config(
            retries={"mode": "standard", "max_attempts": attempts},
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            max_pool_connections=_MAX_CONNECTIONS,
            # An emulator has no host name for each bucket.
            s3=None if key.endpoint is None else {"addressing_style": "path"},
            # Building botocore's default text takes a tenth of the time of a call. AWS's audit log contains this text.
            user_agent=f"ios-mdm/{__version__}",
        ),
    )
    _check_encrypted(client.meta.endpoint_url)  # a file of the AWS configuration can set it, too
    client.meta.events.register("after-call", functools.partial(_record_date, key))
    client.meta.events.register("after-call", _refuse_page)
    # Imported objects live until the exit, when Python would traverse each of them again: 0.2 s of CPU.
    gc.freeze()
    return client


def _quiet_session(region: str | None) -> Session:
    """Return a session of botocore that never asks for an MFA code, because a run cannot show a prompt.

    Args:
        region: region of the calls by which botocore assumes a role, because botocore does not read AWS_REGION; None
            for the region of the profile.
    """
    from ios_mdm.adapters.aws_session import session

    # botocore logs a traceback if it cannot fetch credentials, in addition to raising the error.
    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
    found = session()
    if region is not None:
        found.set_config_variable("region", region)

    def refuse(_prompt: str) -> str:
        raise UnusableError(mfa_message(found.profile))

    provider = found.get_component("credential_provider").get_provider("assume-role")
    provider._prompter = refuse  # noqa: SLF001 - a session does not pass this argument of the constructor
    return found


def _record_date(key: _Key, *, parsed: Mapping[str, Mapping[str, Mapping[str, str]]], **_rest: object) -> None:
    """Record the Date of an answer or refusal."""
    text = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if text is None:
        return
    try:
        date = parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return
    _received_dates[key] = _ReceivedDate(date, time.monotonic())


def _refuse_page(*, http_response: AWSResponse, model: OperationModel, **_rest: object) -> None:
    """Refuse a web page with status 200, such as the login page of a proxy. botocore parses it as an empty answer.

    The content of an object in S3 is not checked here, because it can be read only once.
    """
    if model.has_streaming_output:
        return
    if http_response.status_code < _FAILED and http_response.content.lstrip()[:9].lower().startswith(_PAGES):
        raise _PageError


def close_clients() -> None:
    """Close all clients. The next call creates a client with the credentials of that time."""
    global _session  # noqa: PLW0603 - see _connect
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()
        _received_dates.clear()
        _session = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal with a code that the caller accepts.

    Args:
        code: AWS's error code.
        error: the error to raise if the caller does not handle the refusal.
    """

    code: str
    error: StoreError


def scheduled_for_deletion_error(operation: str, secret: str) -> StoreError:
    """Return the error for a call that AWS refuses because the secret is in its recovery window."""
    return StoreError(f'{operation} on secret "{secret}" failed: {restorable_message(secret)}.')
