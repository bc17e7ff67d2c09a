"""Settings of AWS: the secrets of the pairs, and the schedules of the switch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from ios_mdm.settings.fields import AlarmArn, AwsTags, BoundaryArn, Model, QueueArn, RoleArn, SecretPrefix

__all__ = ["AwsSettings", "PromotionSettings"]

_PREFIX = "ios-mdm"


class AwsSettings(Model):
    """Location, name and encryption of the secrets of the pairs."""

    region: StrictStr | None = None
    secret_prefix: SecretPrefix = _PREFIX
    kms_key: StrictStr | None = None
    tags: AwsTags = Field(default_factory=dict)
    allowed_account_ids: list[Annotated[StrictStr, Field(pattern=r"^[0-9]{12}$")]] = Field(default_factory=list)
    recovery_window_days: Annotated[StrictInt, Field(ge=7, le=30)] = 30

    def secret_name(self, server: str) -> str:
        """Return the name of the secret for the pair of *server*."""
        return f"{self.secret_prefix}/{server}"


class PromotionSettings(Model):
    """Settings of the switch, its schedules and their alarm."""

    lead_minutes: Annotated[StrictInt, Field(ge=0, le=60 * 24 * 30)] = 1440
    hold: StrictBool = False
    schedule: StrictBool = True
    minimum_coverage: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    ignore_silent_days: Annotated[StrictInt, Field(ge=1, le=3650)] | None = None
    role_arn: RoleArn | None = None
    permissions_boundary_arn: BoundaryArn | None = None
    dead_letter_arn: QueueArn | None = None
    alarm_arn: AlarmArn | None = None

    @model_validator(mode="after")
    def _no_setting_without_effect(self) -> Self:
        if self.role_arn is not None and self.permissions_boundary_arn is not None:
            raise ValueError(
                "has both roleArn and permissionsBoundaryArn: a boundary applies only to a role that is created here, "
                "so remove one of them"
            )
        if self.alarm_arn is not None and not self.schedule:
            raise ValueError("has both alarmArn and schedule: false: an alarm is a schedule, so remove one of them")
        if self.ignore_silent_days is not None and self.minimum_coverage is None:
            raise ValueError(
                "has ignoreSilentDays without minimumCoverage, so it has no effect: add minimumCoverage, or remove it"
            )
        return self
