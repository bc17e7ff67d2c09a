"""Types of the values in a definition, and the errors of invalid values."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, dataclass_transform
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from ios_mdm.address import is_loopback, split_address
from ios_mdm.core.pair.definition import MAX_VALIDITY_DAYS
from ios_mdm.core.pair.home import PAIR_ID
from ios_mdm.core.references import ARN_PREFIX
from ios_mdm.core.times import parsed_time
from ios_mdm.settings.problems import definition_error, refuse_private_keys

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # public access to the private class

__all__ = [
    "NAME_PATTERN",
    "Address",
    "AlarmArn",
    "AwsTags",
    "BoundaryArn",
    "BundleSource",
    "ChannelUrl",
    "Days",
    "Endpoint",
    "Fingerprint",
    "Generation",
    "Model",
    "Name",
    "PairId",
    "QueueArn",
    "RoleArn",
    "SecretArn",
    "SecretName",
    "SecretPrefix",
    "Time",
    "ValidityDays",
]


def _address(text: str) -> str:
    host, port = split_address(text)
    return host if port is None else f"{host}:{port}"


def _bundle(bundle: str) -> str:
    kind, colon, name = bundle.partition(":")
    if kind == "secret" and colon:
        _secret_name(name)
    elif not bundle.strip():
        raise ValueError("is empty: write the path of a PEM, PFX or P12 file, or `secret:` and the name of a secret")
    return bundle


def _endpoint(endpoint: str) -> str:
    try:
        parts = urlsplit(f"//{endpoint}")
        well_formed = parts.netloc == endpoint and parts.hostname and "@" not in endpoint and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or any(character.isspace() for character in endpoint):
        raise ValueError(f"{endpoint!r} is not a host with an optional port, such as 10.0.0.5:443 or [2001:db8::5]:443")
    return endpoint


def _role_arn(arn: str) -> str:
    return _arn(arn, r"arn:aws[a-z-]*:iam::\d{12}:role/.+", "a role", "arn:aws:iam::111122223333:role/ios-mdm")


def _boundary_arn(arn: str) -> str:
    return _arn(arn, r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/.+", "a policy", "arn:aws:iam::111122223333:policy/edge")


def _queue_arn(arn: str) -> str:
    return _arn(
        arn,
        r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}",
        "a standard SQS queue",
        "arn:aws:sqs:eu-west-1:111122223333:dead-letters",
    )


def _alarm_arn(arn: str) -> str:
    return _arn(
        arn,
        r"arn:aws[a-z-]*:(sqs|sns):[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}",
        "an SNS topic or a standard SQS queue",
        "arn:aws:sns:eu-west-1:111122223333:alarms",
    )


def _arn(arn: str, pattern: str, kind: str, example: str) -> str:
    if not re.fullmatch(pattern, arn):
        raise ValueError(f"must be the ARN of {kind}, such as {example}")
    return arn


def _secret_arn(arn: str) -> str:
    return _arn(
        arn,
        rf"{ARN_PREFIX}.+",
        "a secret",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ios-mdm/berlin-a1b2c3",
    )


def _secret_name(name: str) -> str:
    if not _SECRET_NAME.fullmatch(name) or _SECRET_LIKE.search(name):
        raise ValueError(
            "must be the name or ARN of a secret in AWS Secrets Manager, but looks like a secret value: store the "
            "value with `aws secretsmanager create-secret`, and write the name of the secret here"
        )
    return name


_SECRET_NAME = re.compile(
    rf"({ARN_PREFIX})?[A-Za-z0-9/_+=.@-]{{1,519}}"  # 512, and 7 that AWS adds
)
_SECRET_LIKE = re.compile(
    r"-----BEGIN|^[0-9a-fA-F]{32,}$|^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/_-]{40,}={0,2}$"
)
"""Usual forms of keys and tokens: PEM, long hex, long Base64 with both cases and digits."""


def _channel_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"must be an https:// URL, not {parts.scheme or 'one without a scheme'}")
    if parts.username or parts.password:
        raise ValueError("must not contain a user or a password: store the API key in the secret of apiKeySecret")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https, because http sends the API key unencrypted (http is for loopback only)")
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(
            f"has {len(url):,} characters, but at most {MAX_URL_LENGTH:,} are allowed, because device ids are appended"
        )
    return url.rstrip("/")


def _aws_tags(tags: dict[str, str]) -> dict[str, str]:
    for key, value in tags.items():
        if not re.fullmatch(r"[A-Za-z0-9 +=._:/@-]{1,128}", key) or key.startswith(("aws:", "ios-mdm:")):
            raise ValueError(
                f"has the invalid key {key!r}: use letters, digits, spaces and +-=._:/@, and no key that starts with "
                "aws: or ios-mdm:"
            )
        if not re.fullmatch(r"[A-Za-z0-9 +=._:/@-]{0,256}", value):
            raise ValueError(f"has an invalid value for {key!r}: use letters, digits, spaces and +-=._:/@")
    if len(tags) > 20:  # noqa: PLR2004 - AWS allows 50 on a secret; the facts of certificates need the rest
        raise ValueError("has more than 20 tags: remove some, because AWS allows 50 and facts of certificates need 30")
    return tags


def _time(written: object) -> datetime:
    """Return a time written as text, or as an unquoted YAML time, which a loader passes as a datetime."""
    text = written.isoformat(timespec="seconds") if isinstance(written, datetime) else written
    try:
        # A number is refused here, because pydantic reads it as seconds since 1970.
        return parsed_time(text if isinstance(text, str) else "")
    except ValueError:
        # The message of parsed_time quotes the value, which may be a misplaced password.
        raise ValueError("must be a date and time of RFC 3339 with its zone, such as 2040-01-01T00:00:00Z") from None


Address = Annotated[StrictStr, AfterValidator(_address)]
AwsTags = Annotated[dict[StrictStr, StrictStr], AfterValidator(_aws_tags)]
BundleSource = Annotated[StrictStr, AfterValidator(_bundle)]
ChannelUrl = Annotated[StrictStr, AfterValidator(_channel_url)]
SecretArn = Annotated[StrictStr, AfterValidator(_secret_arn)]
SecretName = Annotated[StrictStr, AfterValidator(_secret_name)]
Endpoint = Annotated[StrictStr, AfterValidator(_endpoint)]
RoleArn = Annotated[StrictStr, AfterValidator(_role_arn)]
BoundaryArn = Annotated[StrictStr, AfterValidator(_boundary_arn)]
QueueArn = Annotated[StrictStr, AfterValidator(_queue_arn)]
AlarmArn = Annotated[StrictStr, AfterValidator(_alarm_arn)]
Fingerprint = Annotated[StrictStr, Field(pattern=r"^([0-9A-Fa-f]{2}:?){32}$")]
Time = Annotated[AwareDatetime, BeforeValidator(_time)]
Days = Annotated[StrictInt, Field(ge=1, le=36500)]
ValidityDays = Annotated[StrictInt, Field(ge=1, le=MAX_VALIDITY_DAYS)]
Generation = Annotated[StrictInt, Field(ge=1, le=999_999_999)]
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
Name = Annotated[StrictStr, Field(pattern=NAME_PATTERN)]
PairId = Annotated[StrictStr, Field(pattern=f"^{PAIR_ID}$")]
MAX_URL_LENGTH = 2048
"""Length limit in characters. With the longest enrollment id, a URL fits into nginx's default limit of 8 KiB (R40)."""
MAX_PREFIX_LENGTH = 120
"""Length limit in characters. The tag of a pair's identity contains the name of its secret, and AWS allows 256."""
SecretPrefix = Annotated[
    StrictStr, Field(pattern=r"^[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*$", max_length=MAX_PREFIX_LENGTH)
]


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))  # type checkers do not inherit pydantic's
class _ModelType(ModelMetaclass):
    """Reports problems of a model that a Python program constructs in the same way as those of a YAML definition."""

    if not TYPE_CHECKING:  # type checkers derive the constructor from the fields

        def __call__(cls, **fields: object) -> Model:  # noqa: N805 - the instances of a metaclass are classes
            """Return the model with these fields, given by their Python names.

            Raises:
                DefinitionError: A field is invalid; one line for each problem. Unlike a ValidationError, it does not
                    show the values, which may include a misplaced password.
            """
            prefix = f"{cls.__name__}: "
            refuse_private_keys(fields, prefix)
            try:
                return cls.model_validate(fields, by_alias=False, by_name=True)
            except ValidationError as error:
                raise definition_error(error, prefix) from None


class Model(BaseModel, metaclass=_ModelType):
    """Base class of all models: camelCase in YAML, snake_case in Python, unknown keys refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        # From this setting, type checkers derive that fields are given by name. YAML is parsed by alias only.
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        defer_build=True,  # each process uses a few models only, and builds no others at its start
    )
