"""The definition as users write it: pydantic models of the stack's configuration. Unknown keys are refused.

``docs/definition.schema.json`` is generated from these models. The core receives a ``PairDefinition``.
"""

from ios_mdm.settings.aws import AwsSettings, PromotionSettings
from ios_mdm.settings.certificates import InstallMainSettings, InstallReserveSettings
from ios_mdm.settings.channels.nanomdm import NanoMdmApiSettings, NanoMdmSettings
from ios_mdm.settings.distribution import DistributionSettings
from ios_mdm.settings.parsing import parse_server, parse_stack
from ios_mdm.settings.servers import ServerSettings, StackSettings
from ios_mdm.settings.watch import WatchSettings

__all__ = [
    "AwsSettings",
    "DistributionSettings",
    "InstallMainSettings",
    "InstallReserveSettings",
    "NanoMdmApiSettings",
    "NanoMdmSettings",
    "PromotionSettings",
    "ServerSettings",
    "StackSettings",
    "WatchSettings",
    "parse_server",
    "parse_stack",
]
