"""Settings of main and reserve: issued, or installed from a file."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictStr, model_validator

from ios_mdm.core.pair.budget import MAX_CERTIFICATES, certificates_at_once
from ios_mdm.core.pair.definition import (
    MAX_VALIDITY_DAYS,
    AfterCurrentExpires,
    AfterDays,
    AtTime,
    InstallMain,
    InstallReserve,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    Slot,
    When,
)
from ios_mdm.core.pair.windows import reserve_window, warning_window, window_text
from ios_mdm.errors import DefinitionError
from ios_mdm.settings.fields import BundleSource, Days, Fingerprint, Generation, Model, SecretName, Time, ValidityDays

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import ApplyTime, OfferedCertificate

__all__ = [
    "ApplySettings",
    "InstallMainSettings",
    "InstallReserveSettings",
    "IssueMainSettings",
    "IssueReserveSettings",
    "MainSettings",
    "ReserveSettings",
    "check_reserve",
    "max_issued_certificates",
]


class IssueMainSettings(Model):
    """Settings of an issued main certificate."""

    validity_days: ValidityDays = 397
    key: KeyType = KeyType.RSA_4096
    generation: Generation = 1


class _BundleSettings(Model):
    """A custom certificate: its file, and the location of the password of the file, never the password itself (R29)."""

    bundle: BundleSource
    password_secret: SecretName | None = None
    password_file: StrictStr | None = None
    password_env: Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    trust: list[StrictStr] = Field(default_factory=list)

    @property
    def bundle_secret(self) -> str | None:
        """The name or ARN of the secret that holds the file, or None for a file of the project."""
        prefix = "secret:"
        return self.bundle.removeprefix(prefix) if self.bundle.startswith(prefix) else None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if sum(one is not None for one in (self.password_secret, self.password_file, self.password_env)) > 1:
            raise ValueError("takes at most one of passwordSecret, passwordFile and passwordEnv")
        return self


class InstallMainSettings(_BundleSettings):
    """Settings of a custom main certificate."""

    adopt: StrictBool = False


class MainSettings(Model):
    """Settings of main: ``issue`` or ``install``."""

    issue: IssueMainSettings = Field(default_factory=IssueMainSettings)
    install: InstallMainSettings | None = None
    replace_now: StrictBool = False
    confirm: Fingerprint | None = None

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.install is not None and "issue" in self.model_fields_set:
            raise ValueError("has both issue and install: keep one of them")
        return self

    def definition(self, offered: OfferedCertificate | None) -> IssueMain | InstallMain:
        """Return the requested main certificate for the core.

        Args:
            offered: certificate in the file of ``install``; None if the file was not read.

        Raises:
            DefinitionError: The file of ``install`` was not read.
        """
        if self.install is not None:
            return InstallMain(offered=_read(Slot.MAIN, offered))
        return IssueMain(validity_days=self.issue.validity_days, key=self.issue.key, generation=self.issue.generation)


class ApplySettings(Model):
    """Apply time of a reserve: exactly one of the three keys."""

    after_current_expires: Literal[True] | None = None
    after_days: Days | None = None
    at: Time | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.after_current_expires, self.after_days, self.at)) != 1:
            raise ValueError("takes exactly one of afterCurrentExpires: true, afterDays and at")
        return self

    def apply_time(self) -> ApplyTime:
        """Return the apply time for the core."""
        if self.after_days is not None:
            return AfterDays(days=self.after_days)
        return AfterCurrentExpires() if self.at is None else AtTime(time=self.at)


class IssueReserveSettings(Model):
    """Settings of an issued reserve, and its apply time."""

    when: When = When.AUTO
    before_days: Days | None = None
    apply: ApplySettings = Field(default_factory=lambda: ApplySettings.model_validate({"afterCurrentExpires": True}))
    validity_days: ValidityDays | None = None
    key: KeyType | None = None
    generation: Generation = 1


class InstallReserveSettings(_BundleSettings):
    """Settings of a custom reserve, and its apply time."""

    apply: ApplySettings = Field(default_factory=lambda: ApplySettings.model_validate({"afterCurrentExpires": True}))


class ReserveSettings(Model):
    """Settings of the reserve: ``issue``, ``install`` or ``none: true``."""

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

    def definition(self, offered: OfferedCertificate | None) -> IssueReserve | InstallReserve | NoReserve | None:
        """Return the requested reserve; None if none is given. Errors as in :meth:`MainSettings.definition`."""
        if self.none is not None:
            return NoReserve()
        if self.install is not None:
            return InstallReserve(offered=_read(Slot.RESERVE, offered), apply=self.install.apply.apply_time())
        issue = self.issue
        if issue is None:
            return None
        return IssueReserve(
            when=issue.when,
            before_days=issue.before_days,
            apply=issue.apply.apply_time(),
            validity_days=issue.validity_days,
            key=issue.key,
            generation=issue.generation,
        )


def max_issued_certificates(main: IssueMainSettings, issue: IssueReserveSettings) -> int:
    """Return the maximum number of issued certificates of a pair that are valid at the same time."""
    validity = timedelta(days=issue.validity_days or main.validity_days)
    interval = (validity - reserve_window(issue.before_days, validity)).days
    if issue.when is When.NOW:
        interval = validity.days if issue.apply.after_days is None else issue.apply.after_days
    return certificates_at_once(main.validity_days, max(interval, 1))


def check_reserve(main: IssueMainSettings, issue: IssueReserveSettings, warn_days: int | None, lead: timedelta) -> None:
    """Check the settings of an issued reserve (R7, R8, and enough validity after the apply time).

    Args:
        main: settings of main.
        issue: settings of its reserve.
        warn_days: setting ``warnDays``; None for the default.
        lead: time between the apply time and the expiry of main.

    Raises:
        ValueError: A setting is invalid; the message names a valid value.
    """
    validity = issue.validity_days or main.validity_days
    if validity > main.validity_days:
        raise ValueError(
            f"reserve.issue.validityDays is {validity}, but a reserve must not be valid for longer than main: "
            f"the maximum is {main.validity_days}"
        )
    after = issue.apply.after_days
    window = _waiting_window(main.validity_days, issue)
    if after is not None and timedelta(days=after) > window:
        raise ValueError(
            f"reserve.issue.apply.afterDays is {after}, which is after main expires: the maximum is {window.days}"
        )
    count = max_issued_certificates(main, issue)
    if count > MAX_CERTIFICATES:
        key = "apply.afterDays" if issue.when is When.NOW else "beforeDays"
        shortest = main.validity_days // (MAX_CERTIFICATES - 1) + 1
        bound = f"the minimum is {shortest}" if issue.when is When.NOW else f"the maximum is {validity - shortest}"
        raise ValueError(
            f"reserve.issue.{key}: main changes so often that {count} certificates are valid at the same time, but a "
            f"secret has labels for {MAX_CERTIFICATES} only: {bound}"
        )
    needed = _needed_time(validity, issue, warn_days)
    left = timedelta(days=validity) - _waiting_time(main.validity_days, issue, lead)
    if left < needed and issue.apply.at is None:
        raise ValueError(
            f"at its apply time, the reserve is valid for only {window_text(max(left, timedelta()))} more, but its own "
            f"successor needs beforeDays + warnDays = {window_text(needed)}: "
            f"{_validity_advice(main, issue, warn_days, lead)}"
        )


def _waiting_window(main_days: int, issue: IssueReserveSettings) -> timedelta:
    """Return the time from the issue of a reserve to the expiry of a main with this validity."""
    validity = timedelta(days=main_days)
    return validity if issue.when is When.NOW else reserve_window(issue.before_days, validity)


def _waiting_time(main_days: int, issue: IssueReserveSettings, lead: timedelta) -> timedelta:
    """Return the time from the issue of a reserve to its apply time, for a main with this validity."""
    if issue.apply.after_days is not None:
        return timedelta(days=issue.apply.after_days)
    window = _waiting_window(main_days, issue)
    return window - min(lead, window / 2)


def _needed_time(days: int, issue: IssueReserveSettings, warn_days: int | None) -> timedelta:
    """Return the validity that a reserve of this number of days must have left at its apply time."""
    validity = timedelta(days=days)
    return reserve_window(issue.before_days, validity) + warning_window(warn_days, validity)


def _validity_advice(
    main: IssueMainSettings, issue: IssueReserveSettings, warn_days: int | None, lead: timedelta
) -> str:
    """Return how to give a reserve enough validity after its apply time."""
    validity = issue.validity_days or main.validity_days
    max_days = (timedelta(days=validity) - _needed_time(validity, issue, warn_days)).days
    if max_days >= 1:
        return f"set apply.afterDays to at most {max_days}"
    for days in range(validity + 1, MAX_VALIDITY_DAYS + 1):
        waits = _waiting_time(max(main.validity_days, days), issue, lead)
        if timedelta(days=days) - waits >= _needed_time(days, issue, warn_days):
            return f"set the validity of the reserve to at least {days} days"
    return "lower beforeDays or warnDays"


def _read(slot: Slot, offered: OfferedCertificate | None) -> OfferedCertificate:
    if offered is None:
        raise DefinitionError(f"{slot}.install: the file of the custom certificate is needed, but cannot be read here")
    return offered
