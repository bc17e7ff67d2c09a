"""The one way to AWS: cached clients, and every failure told as one line that says what to do next."""

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
from ios_mdm.adapters.reads import KEPT
from ios_mdm.adapters.refusals import (
    CREDENTIAL_CALLS,
    IDENTITY,
    KINDS,
    MALFORMED,
    QUEUE,
    ROLE,
    SCHEDULE,
    SECRET,
    TOPIC,
    UNREADABLE,
    Kind,
    is_role_refused,
    obstructed,
    plain_endpoint,
    refused,
    restorable,
    unreadable_file,
    with_mfa,
    without_credentials,
)
from ios_mdm.address import is_loopback
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from botocore.awsrequest import AWSResponse
    from botocore.client import BaseClient
    from botocore.session import Session
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

    from ios_mdm.adapters.reads import Reads

__all__ = [
    "IDENTITY",
    "QUEUE",
    "ROLE",
    "ROLE_SECONDS",
    "SCHEDULE",
    "SECRET",
    "TOPIC",
    "Aws",
    "Kind",
    "Refusal",
    "RoleRefusedError",
    "forget",
    "scheduled_for_deletion",
]

T = TypeVar("T")


class Topics(Protocol):
    """A client for SNS, as far as it is used."""

    def get_topic_attributes(self, *, TopicArn: str) -> object:  # noqa: N803 - a parameter of AWS
        """Return the attributes of a topic."""


ROLE_SECONDS = 120.0
"""How long IAM may take to show a role that was just created, to itself and to Scheduler."""

_MAX_ATTEMPTS = 5
"""Standard mode waits at most 1 + 2 + 4 + 8 seconds between them: a throttle is outlasted, a dead network told soon."""
_MAX_ATTEMPTS_EMULATOR = 2
_CONNECT_TIMEOUT = 3.0
_READ_TIMEOUT = 15.0
_HEARD_FOR = 60.0
"""Seconds for which AWS's time is carried forward; a suspended machine stops the clock that carries it."""
_FAILED = 400
"""The lowest HTTP status of a refusal. botocore reports the status of a refusal that it cannot read."""
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

    A URL that cannot be read is reported when a client is made for it.
    """
    if url is not None and url.lower().startswith("http:") and not _is_loopback(url) and _is_url(url):
        raise UnusableError(plain_endpoint(url))


def _is_url(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and not any(character.isspace() for character in url)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """AWS as one process reaches it.

    Args:
        environ: the process's environment variables, which name endpoints, credentials and the default region.
        region: AWS region; None for the one that the environment or the profile names.
        reads: keeps the answers that one check or one status reads; None if no answers are kept.
    """

    environ: Mapping[str, str] = field(repr=False)
    region: str | None = None
    reads: Reads | None = field(default=None, repr=False, compare=False)

    def endpoint(self, kind: Kind = SECRET) -> str | None:
        """Return the endpoint that the environment names, None for AWS's own."""
        if self.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return None
        return self.environ.get(f"AWS_ENDPOINT_URL_{kind.endpoint}") or self.environ.get("AWS_ENDPOINT_URL") or None

    @property
    def is_emulator(self) -> bool:
        """Whether every AWS service that is used is an emulator on this machine's loopback interface."""
        return all(_is_loopback(self.endpoint(kind)) for kind in KINDS)

    def secrets_manager(self) -> SecretsManagerClient:
        """Return the client for Secrets Manager, the same one every time.

        Call it inside :meth:`answer`, which explains what it raises (no region, no such profile, an endpoint that is no
        URL).
        """
        return cast("SecretsManagerClient", self._client(SECRET))

    def scheduler(self) -> EventBridgeSchedulerClient:
        """Return the client for EventBridge Scheduler, as :meth:`secrets_manager`."""
        return cast("EventBridgeSchedulerClient", self._client(SCHEDULE))

    def iam(self) -> IAMClient:
        """Return the client for IAM, as :meth:`secrets_manager`."""
        return cast("IAMClient", self._client(ROLE))

    def sqs(self) -> SQSClient:
        """Return the client for SQS, as :meth:`secrets_manager`."""
        return cast("SQSClient", self._client(QUEUE))

    def sns(self) -> Topics:
        """Return the client for SNS, as :meth:`secrets_manager`."""
        return cast("Topics", self._client(TOPIC))

    def sts(self) -> STSClient:
        """Return the client for STS, as :meth:`secrets_manager`."""
        return cast("STSClient", self._client(IDENTITY))

    def last_date(self) -> datetime | None:
        """Return AWS's time, carried forward from its last answer; None if that is more than a minute ago."""
        heard = _heard.get(self._key(SECRET))
        if heard is None or (elapsed := time.monotonic() - heard.at) > _HEARD_FOR:
            return None
        return (heard.date + timedelta(seconds=elapsed)).replace(microsecond=0)

    def answer(self, operation: str, name: str, call: Callable[[], T], kind: Kind = SECRET) -> T:
        """Return what *call* returns.

        Args:
            operation: the API's name of what is called, as IAM policies have it: ``DescribeSecret``.
            name: of the secret, or of what *kind* says, for the message.
            call: makes the client and the call.
            kind: what *name* names.

        Raises:
            StoreError: AWS could not be asked, or refused. It has no cause or context: botocore's errors quote
                parameters.
        """
        result = self._outcome(operation, name, call, frozenset(), kind)
        if isinstance(result, Refusal):
            raise result.error
        return result

    def answer_unless(
        self, codes: Collection[str], operation: str, name: str, call: Callable[[], T], kind: Kind = SECRET
    ) -> T | None:
        """Return what *call* returns, or None if AWS refuses with one of these error *codes*; else as ``answer``."""
        result = self._outcome(operation, name, call, codes, kind)
        if isinstance(result, Refusal):
            return None
        return result

    def refusal(
        self, codes: Collection[str], operation: str, name: str, call: Callable[[], object], kind: Kind = SECRET
    ) -> Refusal | None:
        """Make the *call*, and return the refusal if AWS refuses with one of these *codes*; else as ``answer``."""
        result = self._outcome(operation, name, call, codes, kind)
        return result if isinstance(result, Refusal) else None

    def _key(self, kind: Kind) -> _Key:
        # botocore reads AWS_DEFAULT_REGION only; every other SDK, and Pulumi's users, set AWS_REGION.
        return _Key(
            kind.service,
            self.region or self.environ.get("AWS_REGION") or None,
            self.endpoint(kind),
            self.environ.get("AWS_PROFILE"),
            self.environ.get("AWS_ACCESS_KEY_ID"),
        )

    def _client(self, kind: Kind) -> BaseClient:
        """Return a client that is kept. Clients may be shared by threads, sessions may not: so the lock."""
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
        if self.reads is None or operation not in KEPT:
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
                reason = without_credentials(refusal.operation_name, code, message)
                code = ""  # the caller tolerates codes of the operation that it called
            else:
                role_refused = is_role_refused(code, message)
                reason = refused(operation, name, code, message, kind)
        except UnusableError as unusable:
            reason = str(unusable)
        except BotoCoreError as obstacle:
            reason = obstructed(obstacle, self.endpoint(kind), self.region or self.environ.get("AWS_REGION"))
        except OSError as error:
            reason = unreadable_file(error)
        except (_PageError, ResponseParserError):  # it would quote the answer
            reason = UNREADABLE
        except UnicodeError:  # it would quote the value that it could not encode
            reason = MALFORMED
        except ValueError:  # botocore's word for an endpoint that is no URL
            reason = f"{self.endpoint(kind)!r} is not a URL. Correct AWS_ENDPOINT_URL"
        raised = RoleRefusedError if role_refused else StoreError
        store_error = raised(f"{failed}: {reason}.")
        if code in codes:
            return Refusal(code, store_error)
        # Raised here, not in a handler: there botocore's error, and with it what was sent, would be its context.
        raise store_error


@dataclass(frozen=True, slots=True)
class _Key:
    """What makes a client another one. The credentials' names are in it, so that changed ones are not ignored."""

    service: str
    region: str | None
    endpoint: str | None
    profile: str | None
    access_key_id: str | None


@dataclass(frozen=True, slots=True)
class _Heard:
    """A Date that AWS sent, and this process's monotonic clock when it came."""

    date: datetime
    at: float


class _PageError(Exception):
    """A web page came in place of an answer."""


class UnusableError(Exception):
    """A setting of AWS that is not used: an endpoint without encryption, or a profile that asks for an MFA code."""


class RoleRefusedError(StoreError):
    """Scheduler may not act by the role that a schedule names, or does not know that role yet."""


_lock = threading.Lock()
_clients: dict[_Key, BaseClient] = {}
_heard: dict[_Key, _Heard] = {}
_session: tuple[tuple[str | None, str | None, str | None], Session] | None = None


def _connect(key: _Key, attempts: int) -> BaseClient:
    global _session  # noqa: PLW0603 - a second client of the same session takes a tenth of the time
    # Not boto3: it imports much that is not used here, in addition to botocore.
    from botocore.config import Config

    # At DEBUG, botocore logs the bodies of requests and answers: keys (R29). Whoever turns all logs on gets the rest.
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
            max_pool_connections=20,
            # botocore's own text takes a tenth of the time of a call. AWS keeps this one in its audit log.
            user_agent=f"ios-mdm/{__version__}",
        ),
    )
    _check_encrypted(client.meta.endpoint_url)  # a file of the AWS configuration can name it, too
    client.meta.events.register("after-call", functools.partial(_hear, key))
    client.meta.events.register("after-call", _refuse_page)
    # What has been imported stays until the end, when Python would look at each object once more: 0.2 s of CPU.
    gc.freeze()
    return client


def _quiet_session(region: str | None) -> Session:
    """Return a session of botocore that never asks for an MFA code, because a run cannot show a prompt.

    Args:
        region: of the calls by which botocore assumes a role, because it does not read AWS_REGION; None for the one of
            the profile.
    """
    from ios_mdm.adapters.aws_session import session

    # It logs a traceback for credentials that it cannot fetch, and raises the error as well.
    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
    found = session()
    if region is not None:
        found.set_config_variable("region", region)

    def refuse(_prompt: str) -> str:
        raise UnusableError(with_mfa(found.profile))

    provider = found.get_component("credential_provider").get_provider("assume-role")
    provider._prompter = refuse  # noqa: SLF001 - the constructor takes it, and a session does not pass one
    return found


def _hear(key: _Key, *, parsed: Mapping[str, Mapping[str, Mapping[str, str]]], **_rest: object) -> None:
    """Remember the Date of an answer; refusals have one too."""
    text = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if text is None:
        return
    try:
        date = parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return
    _heard[key] = _Heard(date, time.monotonic())


def _refuse_page(*, http_response: AWSResponse, **_rest: object) -> None:
    """Refuse a web page with status 200, as a proxy's login: botocore reads it as an answer in which nothing is."""
    if http_response.status_code < _FAILED and http_response.content.lstrip()[:9].lower().startswith(_PAGES):
        raise _PageError


def forget() -> None:
    """Close all clients; the next call connects anew, with the credentials that it finds then."""
    global _session  # noqa: PLW0603 - see _connect
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()
        _heard.clear()
        _session = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal that the caller knows how to read.

    Args:
        code: AWS's error code.
        error: for a caller that does not know better.
    """

    code: str
    error: StoreError


def scheduled_for_deletion(operation: str, secret: str) -> StoreError:
    """Return the error for a call that AWS refuses while the secret waits in its recovery window."""
    return StoreError(f'{operation} on secret "{secret}" failed: {restorable(secret)}.')
