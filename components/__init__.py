"""The component for Pulumi programs: one iOS MDM server with its pair of certificates, and its typed settings."""

from ios_mdm.core.pair.definition import KeyType, When
from ios_mdm.errors import DefinitionError
from ios_mdm.settings.aws import AwsSettings, PromotionSettings
from ios_mdm.settings.certificates import (
    ApplySettings,
    InstallMainSettings,
    InstallReserveSettings,
    IssueMainSettings,
    IssueReserveSettings,
    MainSettings,
    ReserveSettings,
)
from ios_mdm.settings.channels.directory import DirectorySettings
from ios_mdm.settings.channels.nanomdm import NanoMdmSettings
from ios_mdm.settings.distribution import ChannelSettings, DevicesSettings, DistributionSettings, ProfileSettings

from .ios_mdm_server import IosMdmServer
from .outputs import CertificateOutput, ProfileOutputs, PromotionOutputs
from .overhead import reduce_overhead
from .settings import ServerArguments, load_settings, server_arguments

__all__ = [
    "ApplySettings",
    "AwsSettings",
    "CertificateOutput",
    "ChannelSettings",
    "DefinitionError",
    "DevicesSettings",
    "DirectorySettings",
    "DistributionSettings",
    "InstallMainSettings",
    "InstallReserveSettings",
    "IosMdmServer",
    "IssueMainSettings",
    "IssueReserveSettings",
    "KeyType",
    "MainSettings",
    "NanoMdmSettings",
    "ProfileOutputs",
    "ProfileSettings",
    "PromotionOutputs",
    "PromotionSettings",
    "ReserveSettings",
    "ServerArguments",
    "When",
    "load_settings",
    "reduce_overhead",
    "server_arguments",
]
