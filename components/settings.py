"""Reads the stack's configuration as settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_stack

if TYPE_CHECKING:
    import pulumi

    from ios_mdm.settings import StackSettings

__all__ = ["load_settings"]


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
