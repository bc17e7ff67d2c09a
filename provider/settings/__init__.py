"""The definition as users write it: pydantic models of the stack's configuration, camelCase, unknown keys refused.

``docs/definition.schema.json`` is generated from here; ``PairDefinition`` is what remains of it for the core.
"""

from provider.settings.aws import AwsSettings, PromotionSettings
from provider.settings.certificates import InstallMainSettings, InstallReserveSettings
from provider.settings.distribution import DistributionSettings
from provider.settings.parsing import parse_server, parse_stack
from provider.settings.servers import ServerSettings, StackSettings

__all__ = [
    "AwsSettings",
    "DistributionSettings",
    "InstallMainSettings",
    "InstallReserveSettings",
    "PromotionSettings",
    "ServerSettings",
    "StackSettings",
    "parse_server",
    "parse_stack",
]
