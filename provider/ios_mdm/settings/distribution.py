"""Settings of the distribution: the profile, the MDM server that sends it, and the devices."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, StrictBool, StrictStr, Tag, model_validator

from ios_mdm.core.enrollment import ENROLLMENT_ID, MAX_ENROLLMENT_ID_LENGTH
from ios_mdm.settings.fields import ChannelUrl, Model, SecretName

__all__ = ["ChannelSettings", "DevicesSettings", "DistributionSettings", "NanoMdmSettings", "ProfileSettings"]


class ProfileSettings(Model):
    """Identity of the configuration profile. The identifier must not change, because devices update a profile by it."""

    identifier: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
    organization: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None


class NanoMdmSettings(Model):
    """The API of a NanoMDM server."""

    url: ChannelUrl
    api_key_secret: SecretName
    ca_file: StrictStr | None = None
    push: StrictBool = True


class ChannelSettings(Model):
    """The MDM server that sends the profile to the devices."""

    nanomdm: NanoMdmSettings


class DevicesSettings(Model):
    """Source of the list of devices: a file with one enrollment id per line, or the enrolled devices of the ledger."""

    file: StrictStr | None = None
    ledger: Literal[True] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.file is None) == (self.ledger is None):
            raise ValueError("takes exactly one of file and ledger: true")
        return self


def _unique_devices(devices: list[str]) -> list[str]:
    if not devices:
        raise ValueError("is empty: list the enrollment ids of the devices, or remove distribution")
    twice = (
        sorted({device for device in devices if devices.count(device) > 1}) if len(set(devices)) < len(devices) else []
    )
    if twice:
        raise ValueError(f"has {twice[0]} more than once: list each device once")
    return devices


def _devices_kind(devices: object) -> str:
    """Return the form of the value, so that an error describes this form only."""
    return "list" if isinstance(devices, list) else "from"


EnrollmentId = Annotated[StrictStr, Field(pattern=f"^{ENROLLMENT_ID}$", max_length=MAX_ENROLLMENT_ID_LENGTH)]
DeviceList = Annotated[list[EnrollmentId], AfterValidator(_unique_devices)]


class DistributionSettings(Model):
    """Settings of the distribution of the public certificates to the devices."""

    profile: ProfileSettings
    channel: ChannelSettings
    devices: Annotated[
        Annotated[DeviceList, Tag("list")] | Annotated[DevicesSettings, Tag("from")], Discriminator(_devices_kind)
    ]
    ledger: Annotated[StrictStr, Field(pattern=r"^(sqlite:///.+|dynamodb://[A-Za-z0-9_.-]{3,255})$")] | None = None

    @model_validator(mode="after")
    def _inventory(self) -> Self:
        if isinstance(self.devices, DevicesSettings) and self.devices.ledger and self.ledger is None:
            raise ValueError(
                "takes its devices from the ledger, but names no ledger: add `ledger: sqlite:///path` or `ledger: dynamodb://table`"
            )
        return self
