"""What a definition says of AWS: where the secrets are, and how the switch is made."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from ios_mdm.settings.fields import AlarmArn, AwsTags, BoundaryArn, Model, QueueArn, RoleArn, SecretPrefix

__all__ = ["AwsSettings", "PromotionSettings"]

_PREFIX = "ios-mdm"


class AwsSettings(Model):
    """Where the pairs' secrets are, and how they are kept."""

    region: StrictStr | None = None
    secret_prefix: SecretPrefix = _PREFIX
    kms_key: StrictStr | None = None
    tags: AwsTags = Field(default_factory=dict)
    allowed_account_ids: list[Annotated[StrictStr, Field(pattern=r"^[0-9]{12}$")]] = Field(default_factory=list)
    recovery_window_days: Annotated[StrictInt, Field(ge=7, le=30)] = 30

    def secret_name(self, server: str) -> str:
        """Return the name of the secret that holds the pair of the server with this name."""
        return f"{self.secret_prefix}/{server}"


class PromotionSettings(Model):
    """How the switch is made, and who is told when the machinery stops."""

    lead_minutes: Annotated[StrictInt, Field(ge=0, le=60 * 24 * 30)] = 1440
    hold: StrictBool = False
    schedule: StrictBool = True
    role_arn: RoleArn | None = None
    permissions_boundary_arn: BoundaryArn | None = None
    dead_letter_arn: QueueArn | None = None
    alarm_arn: AlarmArn | None = None

    @model_validator(mode="after")
    def _no_setting_without_effect(self) -> Self:
        if self.role_arn is not None and self.permissions_boundary_arn is not None:
            raise ValueError("has permissionsBoundaryArn beside roleArn: a boundary is for the role that is made here")
        if self.alarm_arn is not None and not self.schedule:
            raise ValueError("has alarmArn beside schedule: false: an alarm is a schedule, so remove one of the two")
        return self
