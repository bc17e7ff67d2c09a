"""Settings of the distribution: the profile, the MDM server that sends it, and the devices."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, StrictInt, StrictStr, Tag, model_validator
from pydantic.alias_generators import to_camel

from ios_mdm.core.enrollment import ENROLLMENT_ID, MAX_ENROLLMENT_ID_LENGTH
from ios_mdm.core.ledger.overdue import LedgerRules
from ios_mdm.settings.channels.channel import ChannelModel, DeviceChannelSettings, FileChannelSettings
from ios_mdm.settings.channels.directory import DirectorySettings
from ios_mdm.settings.channels.nanomdm import NanoMdmSettings
from ios_mdm.settings.fields import Model

__all__ = ["ChannelSettings", "DevicesSettings", "DistributionSettings", "ProfileSettings", "ProofSettings"]


_LEDGER_ADVICE: Final = "`ledger: sqlite:///path` or `ledger: dynamodb://table`"


class ProfileSettings(Model):
    """Identity of the configuration profile. The identifier must not change, because devices update a profile by it."""

    identifier: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
    organization: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None


class ChannelSettings(Model):
    """The MDM server that sends the profile to the devices: exactly one channel."""

    nanomdm: NanoMdmSettings | None = None
    directory: DirectorySettings | None = None

    @property
    def chosen(self) -> ChannelModel:
        """The settings of the channel that is given."""
        return self._all_channels[0]

    @property
    def devices(self) -> DeviceChannelSettings | None:
        """The settings of the MDM server whose API queues commands; None if files are written."""
        return self.chosen if isinstance(self.chosen, DeviceChannelSettings) else None

    @property
    def files(self) -> FileChannelSettings | None:
        """The settings of the files that another tool distributes; None if an MDM server is used."""
        return self.chosen if isinstance(self.chosen, FileChannelSettings) else None

    @property
    def _all_channels(self) -> list[ChannelModel]:
        return [channel for name in type(self).model_fields if (channel := getattr(self, name)) is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._all_channels) != 1:
            raise ValueError(f"takes exactly one channel: {' or '.join(type(self).model_fields)}")
        return self


class DevicesSettings(Model):
    """Source of the list of devices: a file with one enrollment id per line, or the enrolled devices of the ledger."""

    file: StrictStr | None = None
    ledger: Literal[True] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.file is None) == (self.ledger is None):
            raise ValueError("takes exactly one of file and ledger: true")
        return self


class ProofSettings(Model):
    """How devices report the certificates that they have."""

    certificate_list: Literal[True]


def _unique_devices(devices: list[str]) -> list[str]:
    if not devices:
        raise ValueError("is empty: list the enrollment ids of the devices, or remove distribution")
    twice = sorted(device for device, count in Counter(devices).items() if count > 1)
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
    ] = Field(default_factory=list)
    ledger: Annotated[StrictStr, Field(pattern=r"^(sqlite:///.+|dynamodb://[A-Za-z0-9_.-]{3,255})$")] | None = None
    proof: ProofSettings | None = None
    resend_days: Annotated[StrictInt, Field(ge=1, le=365)] = 7
    retention_days: Annotated[StrictInt, Field(ge=1, le=3650)] = 30

    @property
    def ledger_rules(self) -> LedgerRules:
        """The settings of proof, resending and retention."""
        return LedgerRules(
            is_proof_configured=self.proof is not None,
            resend_days=self.resend_days,
            retention_days=self.retention_days,
        )

    @property
    def is_for_all(self) -> bool:
        """Whether the devices are those of the ledger."""
        return isinstance(self.devices, DevicesSettings) and self.devices.ledger is not None

    @model_validator(mode="after")
    def _devices_of_the_channel(self) -> Self:
        if self.channel.files is None and "devices" not in self.model_fields_set:
            raise ValueError("names no devices: add `devices`")
        without_effect = {"devices", "ledger", "proof", "resend_days", "retention_days"} & self.model_fields_set
        if self.channel.files is not None and without_effect:
            names = ", ".join(to_camel(one) for one in sorted(without_effect))
            raise ValueError(
                "has a channel that only writes files, so this program sends nothing to devices and gets no answers: "
                f"remove {names}"
            )
        return self

    @model_validator(mode="after")
    def _inventory(self) -> Self:
        if self.is_for_all and self.ledger is None:
            raise ValueError(f"takes its devices from the ledger, but names no ledger: add {_LEDGER_ADVICE}")
        without_effect = {"proof", "resend_days", "retention_days"} & self.model_fields_set
        if self.ledger is None and without_effect:
            names = ", ".join(to_camel(one) for one in sorted(without_effect))
            raise ValueError(f"has {names}, but names no ledger, which records answers: add {_LEDGER_ADVICE}")
        return self
