"""Reads the stack's configuration as settings, and gives them to a component as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Required, TypedDict, cast

from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from ios_mdm.settings import DistributionSettings, PromotionSettings, ServerSettings, StackSettings
    from ios_mdm.settings.certificates import MainSettings, ReserveSettings

__all__ = ["ServerArguments", "load_settings", "server_arguments"]


class ServerArguments(TypedDict, total=False):
    """Keyword arguments of :class:`IosMdmServer` that describe its server."""

    address: Required[str]
    main: MainSettings
    reserve: ReserveSettings | None
    promotion: PromotionSettings
    distribution: DistributionSettings | None
    endpoints: Sequence[str] | None
    warn_days: int
    protect: bool
    take_over: bool
    moved_from: str | None
    lost_main: str | None


def load_settings(config: pulumi.Config) -> StackSettings:
    """Return the settings in the stack's configuration.

    Raises:
        DefinitionError: with every violated rule, one a line.
    """
    servers = config.get_object("servers")
    if servers is None:
        raise DefinitionError(
            f"{config.name}:servers is missing: declare a server in Pulumi.<stack>.yaml "
            "(README.md has a definition to copy)"
        )
    return parse_stack({"aws": config.get_object("aws") or {}, "servers": servers}, project=config.name)


def server_arguments(server: ServerSettings) -> ServerArguments:
    """Return the settings of a server as arguments: only those that the definition gives, for previews show them."""
    given = {field: getattr(server, field) for field in server.model_fields_set if field != "name"}
    return cast("ServerArguments", given)
