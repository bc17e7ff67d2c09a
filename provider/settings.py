"""The definition as users write it: pydantic models of the stack's configuration, camelCase, unknown keys refused.

``docs/definition.schema.json`` is generated from here; ``PairDefinition`` is what remains of it for the core.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from provider.address import split_address
from provider.core.definition import (
    LONGEST_VALIDITY_DAYS,
    AfterCurrentExpires,
    AfterDays,
    At,
    InstallMain,
    InstallReserve,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    PairDefinition,
    Promotion,
    When,
)
from provider.errors import DefinitionError

if TYPE_CHECKING:
    from provider.core.definition import ApplyMoment, Offered

MOST_FORMERS = 20
"""A former main keeps a tag and a place in the profile until it expires. AWS allows 50 tags, 20 are the user's own."""

__all__ = ["AwsSettings", "DistributionSettings", "ServerSettings", "StackSettings", "parse_server", "parse_stack"]


def _address(text: str) -> str:
    host, port = split_address(text)
    return host if port is None else f"{host}:{port}"


def _bundle(bundle: str) -> str:
    kind, colon, name = bundle.partition(":")
    if kind == "secret" and colon:
        _secret_name(name)
    elif not bundle.strip():
        raise ValueError("is empty: the path of a PEM, PFX or P12 file, or `secret:` and the name of a secret")
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


def _arn(arn: str, pattern: str, what: str, example: str) -> str:
    if not re.fullmatch(pattern, arn):
        raise ValueError(f"must be the ARN of {what}, such as {example}")
    return arn


def _secret_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9/_+=.@:-]{1,2048}", name) or _SECRET_LIKE.search(name):
        raise ValueError(
            "must be the name or ARN of a secret in AWS Secrets Manager, and this looks like a secret value: store the "
            "value with `aws secretsmanager create-secret` and put the secret's name here"
        )
    return name


_SECRET_LIKE = re.compile(
    r"-----BEGIN|^[0-9a-fA-F]{32,}$|^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/_-]{40,}={0,2}$"
)
"""Keys and tokens as they are usually made: PEM, long hex, long base64 (which mixes cases and digits)."""


def _channel_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"must be an https:// URL, not {parts.scheme or 'one without a scheme'}")
    if parts.username or parts.password:
        raise ValueError("must not carry a user or a password: the API key belongs into the secret of apiKeySecret")
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise ValueError("must be https: the API key would travel in the clear (http is for loopback only)")
    return url.rstrip("/")


def _aws_tags(tags: dict[str, str]) -> dict[str, str]:
    for key, value in tags.items():
        if not re.fullmatch(r"[A-Za-z0-9 +=._:/@-]{1,128}", key) or key.startswith(("aws:", "ios-mdm:")):
            raise ValueError(f"has the key {key!r}: letters, digits, spaces and +-=._:/@, without aws: and ios-mdm:")
        if not re.fullmatch(r"[A-Za-z0-9 +=._:/@-]{0,256}", value):
            raise ValueError(f"has a value for {key!r} that AWS does not take: letters, digits, spaces and +-=._:/@")
    if len(tags) > 20:  # noqa: PLR2004 - AWS allows 50 on a secret; the certificates' facts need the rest
        raise ValueError("has more than 20 tags: the rest of AWS's 50 is needed for the certificates' facts")
    return tags


Address = Annotated[StrictStr, AfterValidator(_address)]
SecretName = Annotated[StrictStr, AfterValidator(_secret_name)]
Endpoint = Annotated[StrictStr, AfterValidator(_endpoint)]
RoleArn = Annotated[StrictStr, AfterValidator(_role_arn)]
BoundaryArn = Annotated[StrictStr, AfterValidator(_boundary_arn)]
QueueArn = Annotated[StrictStr, AfterValidator(_queue_arn)]
AlarmArn = Annotated[StrictStr, AfterValidator(_alarm_arn)]
Fingerprint = Annotated[StrictStr, Field(pattern=r"^([0-9A-Fa-f]{2}:?){32}$")]
Days = Annotated[StrictInt, Field(ge=1, le=36500)]
ValidityDays = Annotated[StrictInt, Field(ge=1, le=LONGEST_VALIDITY_DAYS)]
Generation = Annotated[StrictInt, Field(ge=1, le=999_999_999)]
Name = Annotated[StrictStr, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
SecretPrefix = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*$", max_length=400)]
_PREFIX = "ios-mdm"


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=False,
        extra="forbid",
        frozen=True,
        defer_build=True,  # each process uses a few of these models, and pays at its start for those alone
    )


class AwsSettings(_Model):
    """Where the pairs' secrets are, and how they are kept."""

    region: StrictStr | None = None
    secret_prefix: SecretPrefix = _PREFIX
    kms_key: StrictStr | None = None
    tags: Annotated[dict[StrictStr, StrictStr], AfterValidator(_aws_tags)] = Field(default_factory=dict)
    recovery_window_days: Annotated[StrictInt, Field(ge=7, le=30)] = 30


class IssueMainSettings(_Model):
    """How an issued main certificate is made."""

    validity_days: ValidityDays = 397
    key: KeyType = KeyType.RSA_4096
    generation: Generation = 1


class _BundleSettings(_Model):
    """A custom certificate: its file, and where the password of the file is; never the password itself (R29)."""

    bundle: Annotated[StrictStr, AfterValidator(_bundle)]
    password_secret: SecretName | None = None
    password_file: StrictStr | None = None
    password_env: Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    trust: list[StrictStr] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if sum(one is not None for one in (self.password_secret, self.password_file, self.password_env)) > 1:
            raise ValueError("takes at most one of passwordSecret, passwordFile and passwordEnv")
        return self


class InstallMainSettings(_BundleSettings):
    """Main is a custom certificate."""

    adopt: StrictBool = False


class MainSettings(_Model):
    """Where main comes from: it is issued, or installed."""

    issue: IssueMainSettings = Field(default_factory=IssueMainSettings)
    install: InstallMainSettings | None = None
    replace_now: StrictBool = False
    confirm: Fingerprint | None = None

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.install is not None and "issue" in self.model_fields_set:
            raise ValueError("has both issue and install: keep one of them")
        return self


class ApplySettings(_Model):
    """When the reserve becomes main: exactly one of the three."""

    after_current_expires: Literal[True] | None = None
    after_days: Days | None = None
    at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.after_current_expires, self.after_days, self.at)) != 1:
            raise ValueError("takes exactly one of afterCurrentExpires: true, afterDays and at")
        return self

    def moment(self) -> ApplyMoment:
        """Return the core's value."""
        if self.after_days is not None:
            return AfterDays(days=self.after_days)
        return AfterCurrentExpires() if self.at is None else At(moment=self.at.replace(microsecond=0))


class IssueReserveSettings(_Model):
    """How an issued reserve is made, and when it is applied."""

    when: When = When.AUTO
    before_days: Days = 60
    apply: ApplySettings = Field(default_factory=lambda: ApplySettings.model_validate({"afterCurrentExpires": True}))
    validity_days: ValidityDays | None = None
    key: KeyType | None = None
    generation: Generation = 1


class InstallReserveSettings(_BundleSettings):
    """The reserve is a custom certificate."""

    apply: ApplySettings = Field(default_factory=lambda: ApplySettings.model_validate({"afterCurrentExpires": True}))


class ReserveSettings(_Model):
    """Where the reserve comes from: ``issue``, ``install``, or ``none: true``."""

    issue: IssueReserveSettings | None = None
    install: InstallReserveSettings | None = None
    none: Literal[True] | None = None
    confirm: Fingerprint | None = None

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        given = [key for key in ("issue", "install", "none") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"has both {given[0]} and {given[1]}: keep one of them")
        return self


class PromotionSettings(_Model):
    """How the switch is made, and who is told when the machinery stops."""

    lead_minutes: Annotated[StrictInt, Field(ge=0, le=60 * 24 * 30)] = 1440
    hold: StrictBool = False
    role_arn: RoleArn | None = None
    permissions_boundary_arn: BoundaryArn | None = None
    dead_letter_arn: QueueArn | None = None
    alarm_arn: AlarmArn | None = None

    @model_validator(mode="after")
    def _boundary_of_our_role(self) -> Self:
        if self.role_arn is not None and self.permissions_boundary_arn is not None:
            raise ValueError("has permissionsBoundaryArn beside roleArn: a boundary is for the role that is made here")
        return self


class ProfileSettings(_Model):
    """How the configuration profile presents itself. The identifier must not change: it is what an update replaces."""

    identifier: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
    organization: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None


class NanoMdmSettings(_Model):
    """A NanoMDM server's API."""

    url: Annotated[StrictStr, AfterValidator(_channel_url)]
    api_key_secret: SecretName
    ca_file: StrictStr | None = None
    push: StrictBool = True


class ChannelSettings(_Model):
    """Through which MDM server devices get the profile."""

    nanomdm: NanoMdmSettings


class DevicesSettings(_Model):
    """Where the list of devices comes from: a file with an enrolment id a line, or the ledger's inventory."""

    file: StrictStr | None = None
    ledger: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.ledger is None):
            raise ValueError("takes exactly one of file and ledger: true")
        return self


def _unique_devices(devices: list[str]) -> list[str]:
    if not devices:
        raise ValueError("is empty: list the enrolment ids of the devices, or leave distribution out")
    twice = (
        sorted({device for device in devices if devices.count(device) > 1}) if len(set(devices)) < len(devices) else []
    )
    if twice:
        raise ValueError(f"has {twice[0]} more than once")
    return devices


def _devices_kind(devices: object) -> str:
    """Choose what is meant, so that an error speaks of that form only."""
    return "list" if isinstance(devices, list) else "from"


EnrolmentId = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9._:-]{1,256}$")]
DeviceList = Annotated[list[EnrolmentId], AfterValidator(_unique_devices)]


class DistributionSettings(_Model):
    """How the public certificates get to the devices."""

    profile: ProfileSettings
    channel: ChannelSettings
    devices: Annotated[
        Annotated[DeviceList, Tag("list")] | Annotated[DevicesSettings, Tag("from")], Discriminator(_devices_kind)
    ]
    ledger: Annotated[StrictStr, Field(pattern=r"^sqlite:///.+")] | None = None

    @model_validator(mode="after")
    def _inventory(self) -> Self:
        if isinstance(self.devices, DevicesSettings) and self.devices.ledger and self.ledger is None:
            raise ValueError("takes its devices from the ledger, but names no ledger: add `ledger: sqlite:///path`")
        return self


class ServerSettings(_Model):
    """One iOS MDM server."""

    name: Name
    address: Address
    protect: StrictBool = True
    main: MainSettings = Field(default_factory=MainSettings)
    endpoints: Annotated[list[Endpoint], Field(max_length=32)] | None = None
    take_over: StrictBool = False
    reserve: ReserveSettings | None = None
    warn_days: Days = 30
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)
    distribution: DistributionSettings | None = None

    @property
    def host(self) -> str:
        """The connection address without its port."""
        return self.address.partition(":")[0]

    @property
    def looked_at(self) -> tuple[str, ...]:
        """Where to look what is served: the address where nothing else is said, nowhere where the list is empty."""
        return (self.address,) if self.endpoints is None else tuple(self.endpoints)

    @model_validator(mode="after")
    def _reserve_lives_long_enough(self) -> Self:
        reserve = self.reserve
        issue = None if reserve is None else reserve.issue
        silent = reserve is None or (reserve.none is None and reserve.install is None)
        issue = issue or (IssueReserveSettings() if silent else None)
        if issue is not None and self.main.install is None:
            _check_reserve(self.main.issue, issue, self.warn_days, timedelta(minutes=self.promotion.lead_minutes))
        return self

    @model_validator(mode="after")
    def _no_issued_reserve_beside_a_custom_main(self) -> Self:
        if self.main.install is not None and self.reserve is not None and self.reserve.issue is not None:
            raise ValueError(
                "reserve.issue asks for an issued reserve beside a custom main (main.install): a reserve is never "
                "issued for it, so install a custom one (R4)"
            )
        return self

    def definition(self, *, main: Offered | None = None, reserve: Offered | None = None) -> PairDefinition:
        """Return what the core decides from.

        Args:
            main: what the file of main.install holds.
            reserve: what the file of reserve.install holds.

        Raises:
            DefinitionError: There is an install whose file nobody has read.
        """
        return PairDefinition(
            name=self.name,
            host=self.host,
            main=_main(self.main, main),
            replace_main=self.main.replace_now,
            confirm_main=self.main.confirm,
            reserve=_reserve(self.reserve, reserve),
            confirm=None if self.reserve is None else self.reserve.confirm,
            distributed=self.distribution is not None,
            warn_days=self.warn_days,
            promotion=Promotion(lead_minutes=self.promotion.lead_minutes, hold=self.promotion.hold),
        )


def _main(settings: MainSettings, offered: Offered | None) -> IssueMain | InstallMain:
    if settings.install is not None:
        return InstallMain(offered=_read("main", offered))
    issue = settings.issue
    return IssueMain(validity_days=issue.validity_days, key=issue.key, generation=issue.generation)


def _read(slot: str, offered: Offered | None) -> Offered:
    if offered is None:
        raise DefinitionError(f"{slot}.install: its file is needed for that, and cannot be read here")
    return offered


def _reserve(
    settings: ReserveSettings | None, offered: Offered | None
) -> IssueReserve | InstallReserve | NoReserve | None:
    if settings is None:
        return None
    if settings.none is not None:
        return NoReserve()
    if settings.install is not None:
        return InstallReserve(offered=_read("reserve", offered), apply=settings.install.apply.moment())
    if settings.issue is None:
        return None
    issue = settings.issue
    return IssueReserve(
        when=issue.when,
        before_days=issue.before_days,
        apply=issue.apply.moment(),
        validity_days=issue.validity_days,
        key=issue.key,
        generation=issue.generation,
    )


def _check_reserve(main: IssueMainSettings, issue: IssueReserveSettings, warn_days: int, lead: timedelta) -> None:
    """Refuse what the definition alone shows to be wrong (R7, R8, and too little life left at the apply moment)."""
    validity = issue.validity_days or main.validity_days
    if validity > main.validity_days:
        raise ValueError(
            f"reserve.issue.validityDays is {validity}, more than main's {main.validity_days}: the validity of a "
            f"reserve must not exceed main's, so {main.validity_days} is the most (R8)"
        )
    after = issue.apply.after_days
    window = main.validity_days if issue.when is When.NOW else issue.before_days
    if after is not None and after > window:
        raise ValueError(f"reserve.issue.apply.afterDays is {after}, after main expires: {window} is the most (R7)")
    if after is not None and issue.when is When.NOW and main.validity_days > after * MOST_FORMERS:
        least = -(-main.validity_days // MOST_FORMERS)
        raise ValueError(
            f"reserve.issue.apply.afterDays is {after}: with a change that often, more than {MOST_FORMERS} former "
            f"certificates would be valid at a time, more than the secret's tags can hold; {least} is the least"
        )
    waits = (
        timedelta(days=after) if after is not None else timedelta(days=window) - min(lead, timedelta(days=window) / 2)
    )
    left = timedelta(days=validity) - waits
    needed = timedelta(days=issue.before_days + warn_days)
    if left < needed and issue.apply.at is None:
        most = (timedelta(days=validity) - needed).days
        remedy = (
            f"with these settings apply.afterDays: {most} is the most"
            if most >= 1
            else f"give it at least {(needed + waits).days + 1} days of validity"
        )
        raise ValueError(
            f"the reserve would have only {max(left, timedelta()).days} days of life left when it is applied, and "
            f"beforeDays + warnDays = {needed.days} are needed for its own successor: {remedy}"
        )


class StackSettings(_Model):
    """A stack's configuration: ``ios-mdm:aws`` and ``ios-mdm:servers``."""

    aws: AwsSettings = Field(default_factory=AwsSettings)
    servers: Annotated[list[ServerSettings], Field(min_length=1)]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [server.name for server in self.servers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"servers: the name {twice[0]!r} is used twice; names are unique in a stack")
        identifiers = [server.distribution.profile.identifier for server in self.servers if server.distribution]
        shared = sorted({name for name in identifiers if identifiers.count(name) > 1})
        if shared:
            raise ValueError(
                f"servers: the profile identifier {shared[0]!r} is used twice; on a device the one profile would "
                "replace the other"
            )
        return self


def parse_stack(raw: object) -> StackSettings:
    """Return a stack's settings.

    Args:
        raw: a mapping with ``aws`` and ``servers`` as YAML or JSON has them.

    Raises:
        DefinitionError: with every violated rule, one a line.
    """
    return _parse(StackSettings, raw, "ios-mdm:")


def parse_server(raw: object, name: str) -> ServerSettings:
    """Return one server's settings; like :func:`parse_stack`."""
    return _parse(ServerSettings, raw, f"server {name}: ")


_Parsed = TypeVar("_Parsed", bound=BaseModel)


def _parse(model: type[_Parsed], raw: object, prefix: str) -> _Parsed:
    text = repr(raw)
    if "PRIVATE KEY-----" in text:
        raise DefinitionError(
            f"{prefix} the configuration holds a private key: keys live in Secrets Manager only (R29)"
        )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = dict.fromkeys(
            _sentence(prefix, problem["loc"], problem["type"], problem["msg"]) for problem in error.errors()
        )
        raise DefinitionError("\n".join(problems)) from None


_UNION_TAGS = {"list", "from"}


def _sentence(prefix: str, location: tuple[int | str, ...], kind: str, message: str) -> str:
    """Return a validation error as a sentence; never the value, which may be a password in the wrong place."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _UNION_TAGS:
            path += f".{part}" if path else part
    match kind:
        case "too_short":
            message = "is empty: at least one is needed"
        case "extra_forbidden":
            message = "is not a known key (see docs/definition.md)"
        case "missing":
            message = "is missing"
        case _:
            message = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{prefix}{path} {message}".strip()
