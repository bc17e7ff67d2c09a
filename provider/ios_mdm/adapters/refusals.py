"""Messages for errors of AWS: each is one line with the reason and the advice, and contains no secret value."""

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
    "OBJECT",
    "QUEUE",
    "ROLE",
    "SCHEDULE",
    "SECRET",
    "TABLE",
    "TOPIC",
    "UNREADABLE",
    "Kind",
    "is_role_refused",
    "mfa_message",
    "no_answer_message",
    "no_credentials_message",
    "plain_endpoint_message",
    "refusal_message",
    "restorable_message",
    "unreadable_file_message",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of AWS resource.

    Args:
        service: service name in IAM policies and in boto3.
        noun: noun in messages.
        endpoint: end of the environment variable that sets the endpoint of this service.
        alternative: advice if the credentials must not create such a resource.
    """

    service: str
    noun: str
    endpoint: str
    alternative: str = ""


SECRET = Kind("secretsmanager", "secret", "SECRETS_MANAGER")
SCHEDULE = Kind("scheduler", "schedule", "SCHEDULER")
ROLE = Kind("iam", "role", "IAM", ", or name an existing role under promotion.roleArn")
QUEUE = Kind("sqs", "queue", "SQS", ", or name an existing queue under promotion.deadLetterArn")
TOPIC = Kind("sns", "topic", "SNS")
IDENTITY = Kind("sts", "account", "STS")
OBJECT = Kind("s3", "object", "S3", ", and s3:ListBucket on its bucket (docs/permissions.md)")
TABLE = Kind("dynamodb", "table", "DYNAMODB")
KINDS = (SECRET, SCHEDULE, ROLE, QUEUE, TOPIC, IDENTITY, OBJECT, TABLE)

_CARRIES_VALUE = frozenset({"PutSecretValue"})
"""Operations whose refusal might quote a part of the value that was sent."""

ACCESS_DENIED = frozenset({"AccessDeniedException", "AccessDenied"})
_LOG_IN = (
    "the AWS credentials have expired. Log in again (aws sso login), or start the pipeline's job again, and run again"
)
_BAD_CREDENTIALS = (
    "AWS does not know these credentials, or the region is not enabled for their account. Check AWS_PROFILE or "
    "AWS_ACCESS_KEY_ID and the region, and run again"
)
_BAD_SIGNATURE = "AWS rejects the signature. Check the secret access key and this machine's clock, and run again"
_THROTTLED = "AWS still throttles these calls after several attempts. Wait a minute, and run again"
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
MALFORMED = (
    "the request is malformed (details are not shown, because they might contain a secret value). Report this as a bug"
)
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
    "ProvisionedThroughputExceededException": _THROTTLED,
    "ResourceNotFoundException": "the secret or the version does not exist. Run again to read the current state",
    "EncryptionFailure": _BAD_KEY,
    "DecryptionFailure": _BAD_KEY,
    "LimitExceededException": (
        "a quota of Secrets Manager is reached. Raise it, or wait a day until AWS has deleted old versions"
    ),
    "NoSuchBucket": (
        "there is no such bucket. Correct distribution.channel.directory.path, or create the bucket, and run again"
    ),
    "EntityAlreadyExists": "another run created a role of this name at the same time. Run again",
    "QueueDeletedRecently": _QUEUE_GOES,
    "AWS.SimpleQueueService.QueueDeletedRecently": _QUEUE_GOES,
}
"""Reason and advice by error code."""
_KMS_ACTIONS = "kms:Decrypt, kms:Encrypt and kms:GenerateDataKey"
_OF_SECRETS = frozenset({"ResourceNotFoundException", "LimitExceededException"})
"""Error codes that have another meaning in services other than Secrets Manager."""
_ROLE_REFUSED = (
    "EventBridge Scheduler cannot assume the role of this schedule. Allow scheduler.amazonaws.com in the trust policy "
    "of promotion.roleArn (docs/permissions.md), and run again"
)


def restorable_message(secret: str) -> str:
    """Return the message for a secret in its recovery window, with the command that restores it."""
    return (
        "it is scheduled for deletion. "
        f"Restore it (aws secretsmanager restore-secret --secret-id {secret}), and run again"
    )


def _missing_table_message(table: str) -> str:
    return (
        "the table does not exist in this account and region. Create it (ios-mdm ledger create --ledger "
        f"dynamodb://{table}), or correct ios-mdm:aws: {{region: …}} or AWS_REGION, and run again"
    )


def is_role_refused(code: str, message: str) -> bool:
    """Return whether Scheduler cannot assume the role of a schedule, or does not know the role yet."""
    return code == "ValidationException" and "assume the role" in message.lower()


def refusal_message(operation: str, name: str, code: str, message: str, kind: Kind) -> str:
    """Return the reason of a refusal, and the advice."""
    if code in ACCESS_DENIED:
        return _denial_message(operation, message, kind)
    if is_role_refused(code, message):
        return _ROLE_REFUSED
    if code == "InvalidRequestException" and "delet" in message.lower():
        return restorable_message(name)
    if kind is TABLE and code == "ResourceNotFoundException":
        return _missing_table_message(name)
    if code in _REFUSALS and (kind is SECRET or code not in _OF_SECRETS):
        return _REFUSALS[code]
    reason = "" if operation in _CARRIES_VALUE or not message else f" ({_quoted_text(message)})"
    return f"AWS reports {code or 'no reason'}{reason}. See the AWS documentation of this error, and run again"


def no_credentials_message(call: str, code: str, message: str) -> str:
    """Return why no credentials could be fetched, and the advice.

    Args:
        call: one of :data:`CREDENTIAL_CALLS`.
        code: AWS's error code.
        message: AWS's error message.
    """
    known = _OF_CREDENTIALS.get((call, "ExpiredTokenException" if code in _EXPIRED else code))
    if known is not None:
        return known
    if code in ACCESS_DENIED:
        denial = Denial.from_message(message) or Denial(action=f"sts:{call}")
        usual = (
            f"Allow {denial.action} on that role to the credentials that the profile starts from, and add them to the "
            "trust policy of the role"
        )
        return f"access denied{_reason_in_parentheses(denial, message)}. {denial.advice(usual)}, and run again"
    return refusal_message(call, "", code, message, IDENTITY)


def _denial_message(operation: str, message: str, kind: Kind) -> str:
    denial = Denial.from_message(message)
    shown = "" if denial is None and operation in _CARRIES_VALUE else _reason_in_parentheses(denial, message)
    denial = denial or Denial(action=f"{kind.service}:{operation}")
    if denial.action == "iam:PassRole":
        usual = "Allow iam:PassRole on that role (docs/permissions.md)"
        return (
            f"these credentials are not allowed to pass the role of this schedule to Scheduler{shown}. "
            f"{denial.advice(usual)}, and run again"
        )
    if denial.action.startswith("kms:") or "kms" in message.lower():
        actions = denial.action if denial.action.startswith("kms:") else _KMS_ACTIONS
        usual = f"Allow {actions} on that key to these credentials"
        return f"access to its KMS key is denied{shown}. {denial.advice(usual)}, and run again"
    instead = "" if operation.startswith("Delete") else kind.alternative
    usual = f"Allow {denial.action} on this {kind.noun} to these credentials{instead}"
    return f"access denied{shown}. {denial.advice(usual)}, and run again"


def _reason_in_parentheses(denial: Denial | None, message: str) -> str:
    """Return AWS's reason in parentheses; empty if AWS gives no reason."""
    reason = message if denial is None or not denial.principal + denial.explanation else denial.reason
    return f" ({_quoted_text(reason)})" if reason else ""


def no_answer_message(error: BotoCoreError, endpoint: str | None, region: str | None) -> str:
    """Return why AWS did not answer, and the advice. botocore's text is shown only if it cannot contain a value.

    Args:
        error: botocore's error.
        endpoint: endpoint URL from the environment; None for AWS's default.
        region: region of the calls; None if it is unknown.
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
    return f"{type(error).__name__} ({_quoted_text(str(error))}). Check the AWS configuration, and run again"


def mfa_message(profile: str | None) -> str:
    """Return the message for a profile that requires an MFA code, with the command that exports a session."""
    named = "" if profile is None else f" --profile {profile}"
    return (
        f"the AWS profile {profile or 'default'} requires an MFA code, and a run cannot prompt for it. Export a "
        f'session in this shell first: eval "$(aws configure export-credentials{named} --format env)" && unset '
        "AWS_PROFILE. Then run again"
    )


def plain_endpoint_message(url: str) -> str:
    """Return the message for an endpoint on another machine without encryption."""
    return (
        f"the endpoint {one_line(url, limit=200)} is http and on another machine: private keys must be sent "
        "encrypted. Set AWS_ENDPOINT_URL, or endpoint_url of the profile, to https or to an emulator on 127.0.0.1"
    )


def unreadable_file_message(error: OSError) -> str:
    """Return the message for a file of the AWS configuration that cannot be read."""
    return (
        f"{error.filename or 'a file of the AWS configuration'} cannot be read ({error.strerror}). Check "
        "AWS_WEB_IDENTITY_TOKEN_FILE and the AWS profile, and run again"
    )


def _quoted_text(text: str) -> str:
    return one_line(text, limit=300).rstrip(".")
