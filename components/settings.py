"""Reads the configuration of a stack as settings, and converts them to arguments of a component."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Required, TypedDict, cast

import pulumi

from ios_mdm.configuration import read_configuration
from ios_mdm.settings.size import WARNING_SIZE, configuration_size, too_large_message

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    take_over: str | None
    moved_from: str | None
    lost_main: str | None
    distrust: Sequence[str]


def load_settings(config: pulumi.Config, base: Path | None = None) -> StackSettings:
    """Return the settings in the configuration of the stack and in the files of `serversDirectory`.

    Logs a warning if the configuration is nearly too large to be passed to a program.

    Args:
        config: configuration of the stack.
        base: folder to which `serversDirectory` is relative; None for the folder of the project.

    Raises:
        DefinitionError: The configuration is invalid; one line for each problem.
    """
    raw = {
        "aws": config.get_object("aws"),
        "servers": config.get_object("servers"),
        "serversDirectory": config.get("serversDirectory"),
        "watch": config.get_object("watch"),
    }
    size = configuration_size({f"{config.name}:{key}": value for key, value in raw.items() if value is not None})
    if size >= WARNING_SIZE:
        pulumi.log.warn(too_large_message(size, config.name))
    return read_configuration(raw, project=config.name, base=base or Path(pulumi.get_root_directory()))


def server_arguments(server: ServerSettings) -> ServerArguments:
    """Return the settings that the definition gives as arguments, without defaults, because previews show arguments."""
    given = {field: getattr(server, field) for field in server.model_fields_set if field != "name"}
    return cast("ServerArguments", given)
