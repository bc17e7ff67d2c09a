"""What AWS's refusals mean for the person who runs this, and what to do: one line each, with no value in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.adapters.denials import Denial
from ios_mdm.core.text import one_line

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError

__all__ = [
    "ACCESS_DENIED",
    "CREDENTIAL_CALLS",
    "IDENTITY",
    "KINDS",
    "MALFORMED",
    "QUEUE",
    "ROLE",
    "SCHEDULE",
    "SECRET",
    "TOPIC",
    "UNREADABLE",
    "Kind",
    "is_role_refused",
    "obstructed",
    "plain_endpoint",
    "refused",
    "restorable",
    "unreadable_file",
    "with_mfa",
    "without_credentials",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing in AWS.

    Args:
        service: as IAM policies and boto3 have it.
        noun: for messages.
        endpoint: the end of the variable that names an endpoint of this service alone.
        instead: what to do where making one is not allowed.
    """

    service: str
    noun: str
    endpoint: str
    instead: str = ""


SECRET = Kind("secretsmanager", "secret", "SECRETS_MANAGER")
SCHEDULE = Kind("scheduler", "schedule", "SCHEDULER")
ROLE = Kind("iam", "role", "IAM", ", or name a role of your own under promotion.roleArn")
QUEUE = Kind("sqs", "queue", "SQS", ", or name a queue of your own under promotion.deadLetterArn")
TOPIC = Kind("sns", "topic", "SNS")
IDENTITY = Kind("sts", "account", "STS")
KINDS = (SECRET, SCHEDULE, ROLE, QUEUE, TOPIC, IDENTITY)

_CARRIES_VALUE = frozenset({"PutSecretValue"})
"""Operations whose refusal may quote a part of the value that was sent."""

ACCESS_DENIED = frozenset({"AccessDeniedException", "AccessDenied"})
_LOG_IN = (
    "the AWS credentials have expired. Log in again (aws sso login), or start the pipeline's job again, and run again"
)
_BAD_CREDENTIALS = (
    "AWS does not know these credentials, or the region is not enabled for their account. Check AWS_PROFILE or "
    "AWS_ACCESS_KEY_ID and the region, and run again"
)
_BAD_SIGNATURE = "AWS rejects the signature. Check the secret access key and this machine's clock, and run again"
_THROTTLED = "AWS throttles these calls, after several attempts. Wait a minute, and run again"
_BAD_KEY = "its KMS key cannot be used. Check ios-mdm:aws: {kmsKey: …} and that the key is enabled, and run again"
_QUEUE_GOES = "a queue of this name was deleted less than a minute ago. Wait a minute, and run again"
_EXPIRED = frozenset({"ExpiredTokenException", "ExpiredToken"})
CREDENTIAL_CALLS = frozenset({"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetRoleCredentials"})
"""Operations by which an SDK gets credentials before the requested operation."""
_OF_CREDENTIALS = {
    ("AssumeRoleWithWebIdentity", "ExpiredTokenException"): (
        "the OIDC token of the pipeline has expired. Start the job again for a new one, and let it assume the role "
        "directly before pulumi runs"
    ),
    ("AssumeRoleWithWebIdentity", "InvalidIdentityToken"): (
        "AWS does not accept the OIDC token. Check the URL and the audience of the identity provider in IAM "
        "(docs/pipelines.md), and run again"
    ),
    ("AssumeRoleWithWebIdentity", "AccessDenied"): (
        "the trust policy of the role does not accept the OIDC token. Compare its conditions on sub and aud with the "
        "repository, branch or environment of the job (docs/pipelines.md), and run again"
    ),
    ("GetRoleCredentials", "ForbiddenException"): (
        "the AWS login has no access to this account or role. Check sso_account_id and sso_role_name of the profile, "
        "and run again"
    ),
    ("GetRoleCredentials", "UnauthorizedException"): _LOG_IN,
}
"""Reasons by operation and error code."""
MALFORMED = "the request is malformed (the details could quote a value, so they are withheld). Report this as a bug"
UNREADABLE = "something other than AWS answered. Check AWS_ENDPOINT_URL and any proxy, and run again"
_REFUSALS = {
    "ExpiredTokenException": _LOG_IN,
    "ExpiredToken": _LOG_IN,
    "UnrecognizedClientException": _BAD_CREDENTIALS,
    "InvalidClientTokenId": _BAD_CREDENTIALS,
    "InvalidSignatureException": _BAD_SIGNATURE,
    "SignatureDoesNotMatch": _BAD_SIGNATURE,
    "IncompleteSignature": _BAD_SIGNATURE,
    "RequestExpired": _BAD_SIGNATURE,
    "ThrottlingException": _THROTTLED,
    "Throttling": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "ResourceNotFoundException": "there is no such secret, or no such version. Run again to observe anew",
    "EncryptionFailure": _BAD_KEY,
    "DecryptionFailure": _BAD_KEY,
    "LimitExceededException": "a quota of Secrets Manager is reached. Raise it, or wait a day for old versions to go",
    "EntityAlreadyExists": "another run has just made one of this name. Run again",
    "QueueDeletedRecently": _QUEUE_GOES,
    "AWS.SimpleQueueService.QueueDeletedRecently": _QUEUE_GOES,
}
"""What AWS's error codes mean for the person who runs this."""
_KMS_ACTIONS = "kms:Decrypt, kms:Encrypt and kms:GenerateDataKey"
_OF_SECRETS = frozenset({"ResourceNotFoundException", "LimitExceededException"})
"""Codes that other services use for things of their own."""
_ROLE_REFUSED = (
    "Scheduler may not act by the role that it names. Let the trust policy of promotion.roleArn name "
    "scheduler.amazonaws.com (docs/permissions.md), and run again"
)


def restorable(secret: str) -> str:
    """Say that the secret waits in its recovery window, and how it gets out."""
    return (
        "it is scheduled for deletion. "
        f"Restore it (aws secretsmanager restore-secret --secret-id {secret}), and run again"
    )


def is_role_refused(code: str, message: str) -> bool:
    """Return whether Scheduler may not act by the role that a schedule names, or does not know it yet."""
    return code == "ValidationException" and "assume the role" in message.lower()


def refused(operation: str, name: str, code: str, message: str, kind: Kind) -> str:
    """Say why AWS refused, and what to do."""
    if code in ACCESS_DENIED:
        return _denied(operation, message, kind)
    if is_role_refused(code, message):
        return _ROLE_REFUSED
    if code == "InvalidRequestException" and "delet" in message.lower():
        return restorable(name)
    if code in _REFUSALS and (kind is SECRET or code not in _OF_SECRETS):
        return _REFUSALS[code]
    told = "" if operation in _CARRIES_VALUE or not message else f" ({_quoted(message)})"
    return f"AWS says {code or 'nothing more'}{told}. Look that up in the AWS documentation, and run again"


def without_credentials(call: str, code: str, message: str) -> str:
    """Return why no credentials could be fetched, and what to do.

    Args:
        call: one of :data:`CREDENTIAL_CALLS`.
        code: of the error.
        message: AWS's own.
    """
    known = _OF_CREDENTIALS.get((call, "ExpiredTokenException" if code in _EXPIRED else code))
    if known is not None:
        return known
    if code in ACCESS_DENIED:
        denial = Denial.parsed(message) or Denial(action=f"sts:{call}")
        usual = (
            f"Allow {denial.action} on that role to the credentials that the profile starts from, and name them in the "
            "role's trust policy"
        )
        return f"access denied{_said(denial, message)}. {denial.advice(usual)}, and run again"
    return refused(call, "", code, message, IDENTITY)


def _denied(operation: str, message: str, kind: Kind) -> str:
    denial = Denial.parsed(message)
    shown = "" if denial is None and operation in _CARRIES_VALUE else _said(denial, message)
    denial = denial or Denial(action=f"{kind.service}:{operation}")
    if denial.action == "iam:PassRole":
        usual = "Allow iam:PassRole on that role (docs/permissions.md)"
        return f"these credentials may not hand its role to Scheduler{shown}. {denial.advice(usual)}, and run again"
    if denial.action.startswith("kms:") or "kms" in message.lower():
        actions = denial.action if denial.action.startswith("kms:") else _KMS_ACTIONS
        usual = f"Allow {actions} on that key to these credentials"
        return f"access to its KMS key is denied{shown}. {denial.advice(usual)}, and run again"
    instead = "" if operation.startswith("Delete") else kind.instead
    usual = f"Allow {denial.action} on this {kind.noun} to these credentials{instead}"
    return f"access denied{shown}. {denial.advice(usual)}, and run again"


def _said(denial: Denial | None, message: str) -> str:
    """Return AWS's reason in parentheses, empty if it gives none."""
    reason = message if denial is None or not denial.who + denial.why else denial.reason
    return f" ({_quoted(reason)})" if reason else ""


def obstructed(error: BotoCoreError, endpoint: str | None, region: str | None) -> str:
    """Return why no answer came from AWS, and what to do; botocore's words only if they cannot quote a value.

    Args:
        error: of botocore.
        endpoint: the URL that the environment names; None for AWS's own.
        region: of the calls; None if it is unknown.
    """
    from botocore import exceptions as known

    where = error.kwargs.get("endpoint_url") or endpoint or "AWS"
    in_use = "" if region is None else f" ({region})"
    reasons: tuple[tuple[tuple[type[BotoCoreError], ...], str], ...] = (
        (
            (known.NoCredentialsError, known.PartialCredentialsError),
            "there are no AWS credentials. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        ((known.NoRegionError,), "no AWS region is set. Set ios-mdm:aws: {region: …} for this stack, or AWS_REGION"),
        (
            (known.InvalidRegionError,),
            f"{error.kwargs.get('region_name')!r} is not an AWS region. Correct ios-mdm:aws: {{region: …}}",
        ),
        ((known.ProfileNotFound,), f"there is no AWS profile {error.kwargs.get('profile')!r}. Correct AWS_PROFILE"),
        ((known.SSOError, known.TokenRetrievalError, known.LoginError), _LOG_IN),
        (
            (known.CredentialRetrievalError, known.MetadataRetrievalError),
            "the AWS credentials could not be fetched. Check the source that the profile names, and run again",
        ),
        ((known.SSLError,), f"the TLS connection to {where} failed. Check AWS_CA_BUNDLE and any proxy, and run again"),
        (
            (known.ConnectionError, known.HTTPClientError),
            f"no answer from {where}. Check the network, the region{in_use} and AWS_ENDPOINT_URL, and run again",
        ),
        ((known.ParamValidationError,), MALFORMED),
    )
    for kinds, reason in reasons:
        if isinstance(error, kinds):
            return reason
    return f"{type(error).__name__} ({_quoted(str(error))}). Check the AWS configuration, and run again"


def with_mfa(profile: str | None) -> str:
    """Return the error for a profile that asks for an MFA code, which a run cannot ask for; it shows the way around."""
    named = "" if profile is None else f" --profile {profile}"
    return (
        f"the AWS profile {profile or 'default'} asks for an MFA code, and a run cannot ask for it. Get a session "
        f'first, in this shell: eval "$(aws configure export-credentials{named} --format env)" && unset AWS_PROFILE. '
        "Then run again"
    )


def plain_endpoint(url: str) -> str:
    """Return the error for an endpoint on another machine without encryption."""
    return (
        f"{one_line(url, longest=200)} is http and not on this machine, and private keys would travel in the clear. "
        "Use https, or an emulator on 127.0.0.1: correct AWS_ENDPOINT_URL, or endpoint_url of the profile"
    )


def unreadable_file(error: OSError) -> str:
    """Return the error for a file of the AWS configuration that cannot be read."""
    return (
        f"{error.filename or 'a file of the AWS configuration'} cannot be read ({error.strerror}). Check "
        "AWS_WEB_IDENTITY_TOKEN_FILE and the AWS profile, and run again"
    )


def _quoted(text: str) -> str:
    return one_line(text, longest=300).rstrip(".")
