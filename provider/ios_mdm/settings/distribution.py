"""How a definition says which devices get the profile, and through which MDM server."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, StrictBool, StrictStr, Tag, model_validator

from ios_mdm.core.enrollment import ENROLLMENT_ID, LONGEST_ENROLLMENT_ID
from ios_mdm.settings.fields import ChannelUrl, Model, SecretName

__all__ = ["ChannelSettings", "DevicesSettings", "DistributionSettings", "NanoMdmSettings", "ProfileSettings"]


class ProfileSettings(Model):
    """How the configuration profile presents itself. The identifier must not change: it is what an update replaces."""

    identifier: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
    organization: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None


class NanoMdmSettings(Model):
    """A NanoMDM server's API."""

    url: ChannelUrl
    api_key_secret: SecretName
    ca_file: StrictStr | None = None
    push: StrictBool = True


class ChannelSettings(Model):
    """Through which MDM server devices get the profile."""

    nanomdm: NanoMdmSettings


class DevicesSettings(Model):
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


EnrollmentId = Annotated[StrictStr, Field(pattern=f"^{ENROLLMENT_ID}$", max_length=LONGEST_ENROLLMENT_ID)]
DeviceList = Annotated[list[EnrollmentId], AfterValidator(_unique_devices)]


class DistributionSettings(Model):
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
