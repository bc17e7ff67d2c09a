"""The one way to AWS: cached clients, and every failure told as one line that says what to do next."""

from __future__ import annotations

import functools
import gc
import logging
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from ios_mdm.adapters.refusals import (
    KINDS,
    MALFORMED,
    QUEUE,
    ROLE,
    ROLE_REFUSED,
    SCHEDULE,
    SECRET,
    Kind,
    obstructed,
    refused,
    restorable,
)
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from boto3.session import Session
    from botocore.client import BaseClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

__all__ = [
    "QUEUE",
    "ROLE",
    "SCHEDULE",
    "SECRET",
    "Kind",
    "RoleRefusedError",
    "answer",
    "answer_unless",
    "endpoint",
    "forget",
    "iam",
    "is_emulator",
    "last_date",
    "scheduled_for_deletion",
    "scheduler",
    "secrets_manager",
    "sqs",
]

T = TypeVar("T")

_MAX_ATTEMPTS = 5
"""Standard mode waits at most 1 + 2 + 4 + 8 seconds between them: a throttle is outlasted, a dead network told soon."""
_MAX_ATTEMPTS_EMULATOR = 2
_CONNECT_TIMEOUT = 3.0
_READ_TIMEOUT = 15.0
_HEARD_FOR = 60.0
"""Seconds for which AWS's time is carried forward; a suspended machine stops the clock that carries it."""


def endpoint(environ: Mapping[str, str] | None = None, kind: Kind = SECRET) -> str | None:
    """Return the endpoint that the environment asks for, None for AWS's own."""
    variables = os.environ if environ is None else environ
    if variables.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return variables.get(f"AWS_ENDPOINT_URL_{kind.endpoint}") or variables.get("AWS_ENDPOINT_URL") or None


def is_emulator(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether all of AWS that is used is an emulator on this machine's loopback interface."""
    return all(_is_loopback(endpoint(environ, kind)) for kind in KINDS)


def _is_loopback(url: str | None) -> bool:
    if url is None:
        return False
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


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


class RoleRefusedError(StoreError):
    """Scheduler may not act by the role that a schedule names, or does not know that role yet."""


_lock = threading.Lock()
_clients: dict[_Key, BaseClient] = {}
_heard: dict[_Key, _Heard] = {}
_session: tuple[tuple[str | None, str | None], Session] | None = None


def _key(region: str | None, kind: Kind = SECRET) -> _Key:
    # boto3 reads AWS_DEFAULT_REGION only; every other SDK, and Pulumi's users, set AWS_REGION.
    return _Key(
        kind.service,
        region or os.environ.get("AWS_REGION") or None,
        endpoint(kind=kind),
        os.environ.get("AWS_PROFILE"),
        os.environ.get("AWS_ACCESS_KEY_ID"),
    )


def secrets_manager(region: str | None) -> SecretsManagerClient:
    """Return the client for Secrets Manager in *region* (None: what the environment says), the same one every time.

    Call it inside ``answer``, which explains what it raises (no region, no such profile, an endpoint that is no URL).
    """
    return cast("SecretsManagerClient", _client(region, SECRET))


def scheduler(region: str | None) -> EventBridgeSchedulerClient:
    """Return the client for EventBridge Scheduler, as :func:`secrets_manager`."""
    return cast("EventBridgeSchedulerClient", _client(region, SCHEDULE))


def iam(region: str | None) -> IAMClient:
    """Return the client for IAM, as :func:`secrets_manager`."""
    return cast("IAMClient", _client(region, ROLE))


def sqs(region: str | None) -> SQSClient:
    """Return the client for SQS, as :func:`secrets_manager`."""
    return cast("SQSClient", _client(region, QUEUE))


def _client(region: str | None, kind: Kind) -> BaseClient:
    """Return a client that is kept. Clients may be shared by threads, sessions may not: so the lock."""
    key = _key(region, kind)
    with _lock:
        if key not in _clients:
            _clients[key] = _connect(key)
        return _clients[key]


def _connect(key: _Key) -> BaseClient:
    global _session  # noqa: PLW0603 - a second client of the same session takes a tenth of the time
    import boto3  # noqa: PLC0415 - 0.4 seconds that no command without AWS should pay
    from botocore.config import Config  # noqa: PLC0415 - the same

    # At DEBUG, botocore logs the bodies of requests and answers: keys (R29). Whoever turns all logs on gets the rest.
    logging.getLogger("botocore").setLevel(logging.INFO)
    attempts = _MAX_ATTEMPTS_EMULATOR if is_emulator() else _MAX_ATTEMPTS
    credentials = (key.profile, key.access_key_id)
    if _session is None or _session[0] != credentials:
        _session = (credentials, boto3.session.Session())
    client: BaseClient = _session[1].client(
        key.service,
        region_name=key.region,
        endpoint_url=key.endpoint,
        config=Config(
            retries={"mode": "standard", "max_attempts": attempts},
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            max_pool_connections=20,
        ),
    )
    client.meta.events.register("after-call", functools.partial(_hear, key))
    # What has been imported stays until the end, when Python would look at each object once more: 0.2 s of CPU.
    gc.freeze()
    return client


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


def last_date(region: str | None) -> datetime | None:
    """Return AWS's time, carried forward from its last answer; None where that is more than a minute ago."""
    heard = _heard.get(_key(region))
    if heard is None or (elapsed := time.monotonic() - heard.at) > _HEARD_FOR:
        return None
    return (heard.date + timedelta(seconds=elapsed)).replace(microsecond=0)


def forget() -> None:
    """Close all clients; the next call connects anew, with the credentials that it finds then."""
    global _session  # noqa: PLW0603 - see _connect
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()
        _heard.clear()
        _session = None


def answer(operation: str, name: str, call: Callable[[], T], kind: Kind = SECRET) -> T:
    """Return what *call* returns.

    Args:
        operation: the API's name of what is called, as IAM policies have it: ``DescribeSecret``.
        name: of the secret, or of what *kind* says, for the message.
        call: makes the client and the call.
        kind: what *name* names.

    Raises:
        StoreError: AWS could not be asked, or refused. It has no cause or context: botocore's errors quote parameters.
    """
    result = _attempt(operation, name, call, frozenset(), kind)
    if isinstance(result, _Tolerated):
        raise result.error
    return result


def answer_unless(
    codes: Collection[str], operation: str, name: str, call: Callable[[], T], kind: Kind = SECRET
) -> T | None:
    """Return what *call* returns, or None where AWS refuses with one of these error *codes*; else as ``answer``."""
    result = _attempt(operation, name, call, codes, kind)
    if isinstance(result, _Tolerated):
        return None
    return result


@dataclass(frozen=True, slots=True)
class _Tolerated:
    """A refusal that the caller knows how to read."""

    error: StoreError


def _attempt(operation: str, name: str, call: Callable[[], T], codes: Collection[str], kind: Kind) -> T | _Tolerated:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see _connect

    code = ""
    try:
        return call()
    except ClientError as refusal:
        code = str(refusal.response.get("Error", {}).get("Code", ""))
        reason = refused(operation, name, code, str(refusal.response.get("Error", {}).get("Message", "")), kind)
    except BotoCoreError as obstacle:
        reason = obstructed(obstacle, endpoint(kind=kind))
    except UnicodeError:  # it would quote the value that it could not encode
        reason = MALFORMED
    except ValueError:  # botocore's word for an endpoint that is no URL
        reason = f"{endpoint(kind=kind)!r} is not a URL. Correct AWS_ENDPOINT_URL"
    raised = RoleRefusedError if reason is ROLE_REFUSED else StoreError
    error = raised(f'{operation} on {kind.noun} "{name}" failed: {reason}.')
    if code in codes:
        return _Tolerated(error)
    # Raised here, not in a handler: there it would carry botocore's error, and with it what was sent, as its context.
    raise error


def scheduled_for_deletion(operation: str, secret: str) -> StoreError:
    """Return the error for a call that AWS refuses while the secret waits in its recovery window."""
    return StoreError(f'{operation} on secret "{secret}" failed: {restorable(secret)}.')
