"""Settings of a server, and of a stack of servers."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, StrictBool, StrictStr, model_validator

from ios_mdm.core.pair.budget import room_for_tags
from ios_mdm.core.pair.definition import PairDefinition, Promotion
from ios_mdm.core.pair.policies.answers import fingerprint_digits
from ios_mdm.core.references import is_under
from ios_mdm.settings.aws import AwsSettings, PromotionSettings
from ios_mdm.settings.certificates import (
    IssueReserveSettings,
    MainSettings,
    ReserveSettings,
    check_reserve,
    max_issued_certificates,
)
from ios_mdm.settings.distribution import DistributionSettings
from ios_mdm.settings.fields import Address, Days, Endpoint, Fingerprint, Model, Name, PairId, SecretArn
from ios_mdm.settings.watch import WatchSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ios_mdm.core.pair.definition import OfferedCertificate

__all__ = ["FolderStackSettings", "ServerSettings", "StackSettings", "profile_identifier"]


class ServerSettings(Model):
    """Settings of one iOS MDM server."""

    name: Name
    address: Address
    protect: StrictBool = True
    main: MainSettings = Field(default_factory=MainSettings)
    endpoints: Annotated[list[Endpoint], Field(max_length=32)] | None = None
    take_over: PairId | None = None
    moved_from: SecretArn | None = None
    lost_main: Fingerprint | None = None
    distrust: list[Fingerprint] = Field(default_factory=list)
    reserve: ReserveSettings | None = None
    warn_days: Days | None = None
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)
    distribution: DistributionSettings | None = None

    @property
    def host(self) -> str:
        """The connection address without its port."""
        return self.address.partition(":")[0]

    @property
    def checked_endpoints(self) -> tuple[str, ...]:
        """The endpoints whose certificate is checked: by default the connection address; none for an empty list."""
        return (self.address,) if self.endpoints is None else tuple(self.endpoints)

    @property
    def has_custom_certificate(self) -> bool:
        """Whether main or reserve is a custom certificate."""
        return self.main.install is not None or (self.reserve is not None and self.reserve.install is not None)

    @property
    def secret_references(self) -> Iterator[tuple[str, str]]:
        """The secrets that the settings refer to: the path of each key, and the name or ARN of the secret."""
        installs = {"main": self.main.install, "reserve": None if self.reserve is None else self.reserve.install}
        for slot, install in installs.items():
            if install is not None and install.bundle_secret is not None:
                yield f"{slot}.install.bundle", install.bundle_secret
            if install is not None and install.password_secret is not None:
                yield f"{slot}.install.passwordSecret", install.password_secret
        if self.distribution is not None:
            key = self.distribution.channel.chosen.key
            if key is not None:
                yield f"distribution.channel.{key.where}", key.secret

    @property
    def has_ledger(self) -> bool:
        """Whether a ledger records which devices have the profile."""
        return self.distribution is not None and self.distribution.ledger is not None

    @property
    def room_for_tags(self) -> int:
        """Number of the user's tags that fit on the secret; a custom pair counts as three valid certificates."""
        issue = self._issue
        return room_for_tags(3 if issue is None else max_issued_certificates(self.main.issue, issue))

    @property
    def _issue(self) -> IssueReserveSettings | None:
        """Settings of an issued reserve, or None if the reserve is not issued."""
        reserve = self.reserve
        issue = None if reserve is None else reserve.issue
        silent = reserve is None or (reserve.none is None and reserve.install is None)
        issue = issue or (IssueReserveSettings() if silent else None)
        return issue if self.main.install is None else None

    @model_validator(mode="after")
    def _reserve_lives_long_enough(self) -> Self:
        issue = self._issue
        if issue is not None:
            check_reserve(self.main.issue, issue, self.warn_days, timedelta(minutes=self.promotion.lead_minutes))
        return self

    @model_validator(mode="after")
    def _no_issued_reserve_with_a_custom_main(self) -> Self:
        if self.main.install is not None and self.reserve is not None and self.reserve.issue is not None:
            raise ValueError(
                "reserve.issue cannot be used with a custom main (main.install), which never gets an issued reserve: "
                "use reserve.install instead"
            )
        return self

    def definition(
        self, *, main: OfferedCertificate | None = None, reserve: OfferedCertificate | None = None
    ) -> PairDefinition:
        """Return the definition for the core.

        Args:
            main: certificate in the file of main.install; None if the file was not read.
            reserve: certificate in the file of reserve.install; None if the file was not read.

        Raises:
            DefinitionError: The file of an install was not read.
        """
        return PairDefinition(
            name=self.name,
            host=self.host,
            main=self.main.definition(main),
            replace_main=self.main.replace_now,
            confirm_main=self.main.confirm,
            reserve=None if self.reserve is None else self.reserve.definition(reserve),
            confirm=None if self.reserve is None else self.reserve.confirm,
            distributed=self.distribution is not None,
            warn_days=self.warn_days,
            promotion=Promotion(
                lead_minutes=self.promotion.lead_minutes,
                hold=self.promotion.hold,
                schedule=self.promotion.schedule,
                minimum_coverage=self.promotion.minimum_coverage,
            ),
            distrust=frozenset(map(fingerprint_digits, self.distrust)),
        )


class StackSettings(Model):
    """Configuration of a stack: ``ios-mdm:aws``, ``ios-mdm:servers`` and ``ios-mdm:watch``."""

    aws: AwsSettings = Field(default_factory=AwsSettings)
    servers: Annotated[list[ServerSettings], Field(min_length=1)]
    watch: list[WatchSettings] = Field(default_factory=list)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        twice = _duplicates(server.name for server in self.servers)
        if twice:
            raise ValueError(f"servers: the name {twice[0]!r} is used twice: choose a unique name for each server")
        for server in self.servers:
            if len(self.aws.tags) > server.room_for_tags:
                raise ValueError(
                    f"aws.tags has {len(self.aws.tags)} tags, but the secret of {server.name!r} has room for "
                    f"{server.room_for_tags}, because AWS allows 50 tags and each certificate needs one until it "
                    "expires: remove tags, or let main change less often"
                )
            if server.promotion.minimum_coverage is not None and not server.has_ledger:
                raise ValueError(
                    f"server {server.name!r}: promotion.minimumCoverage needs the ledger, which records the devices "
                    "that have the reserve: add distribution.ledger"
                )
            self._check_references(f"server {server.name!r}", server.secret_references)
        folders = _duplicates(filter(None, map(_folder, self.servers)))
        if folders:
            raise ValueError(
                f"servers: the folder {folders[0]!r} is used twice: choose another distribution.channel.directory.path "
                "for each server"
            )
        shared = _duplicates(filter(None, map(profile_identifier, self.servers)))
        if shared:
            raise ValueError(
                f"servers: the profile identifier {shared[0]!r} is used twice, so that one profile replaces the other "
                "on a device: choose a unique identifier for each server"
            )
        return self

    @model_validator(mode="after")
    def _unique_watches(self) -> Self:
        twice = _duplicates(one.name for one in self.watch)
        if twice:
            raise ValueError(f"watch: the name {twice[0]!r} is used twice: choose a unique name for each certificate")
        for one in self.watch:
            self._check_references(f"watch {one.name!r}", one.secret_references)
        return self

    def _check_references(self, owner: str, references: Iterable[tuple[str, str]]) -> None:
        for key, secret in references:
            if is_under(secret, self.aws.secret_prefix):  # R39
                raise ValueError(
                    f"{owner}: {key} names a secret under {self.aws.secret_prefix}/, which is reserved for the private "
                    "keys of pairs: use a secret with another name"
                )


class FolderStackSettings(Model):
    """Configuration of a stack with its servers in a folder: ``ios-mdm:serversDirectory`` instead of the servers."""

    aws: AwsSettings = Field(default_factory=AwsSettings)
    servers_directory: Annotated[StrictStr, Field(min_length=1)]
    watch: list[WatchSettings] = Field(default_factory=list)


def profile_identifier(server: ServerSettings) -> str | None:
    """Return the profile identifier of a server, or None if the server has no distribution."""
    return None if server.distribution is None else server.distribution.profile.identifier


def _folder(server: ServerSettings) -> str | None:
    files = None if server.distribution is None else server.distribution.channel.files
    return None if files is None else files.destination


def _duplicates(values: Iterable[str]) -> list[str]:
    return sorted(value for value, count in Counter(values).items() if count > 1)
