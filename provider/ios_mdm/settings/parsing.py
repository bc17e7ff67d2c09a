"""From YAML, JSON or a Python program's arguments to settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from ios_mdm.settings.problems import definition_error, refuse_private_keys
from ios_mdm.settings.servers import FolderStackSettings, ServerSettings, StackSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.settings.aws import AwsSettings

__all__ = ["parse_arguments", "parse_folder_stack", "parse_server", "parse_server_file", "parse_stack"]


def parse_stack(raw: object, *, project: str = "ios-mdm") -> StackSettings:
    """Return a stack's settings.

    Args:
        raw: a mapping with ``aws`` and ``servers`` as YAML or JSON has them.
        project: the name of the Pulumi project, which is the namespace of its keys.

    Raises:
        DefinitionError: with every violated rule, one a line.
    """
    return _parse(StackSettings, raw, f"{project}:")


def parse_folder_stack(raw: object, *, project: str = "ios-mdm") -> FolderStackSettings:
    """Return the settings of a stack whose servers are in a folder: ``aws`` and ``serversDirectory``.

    It is like :func:`parse_stack`.
    """
    return _parse(FolderStackSettings, raw, f"{project}:")


def parse_server_file(raw: object, file: str) -> ServerSettings:
    """Return the settings of the server in a file; each line of an error starts with the name of the file."""
    return _parse(ServerSettings, raw, f"{file}: ")


def parse_server(raw: object, name: str) -> ServerSettings:
    """Return one server's settings; like :func:`parse_stack`."""
    return _parse(ServerSettings, raw, f"server {name}: ")


def parse_arguments(
    name: str, arguments: Mapping[str, object], aws: AwsSettings | None = None
) -> tuple[ServerSettings, AwsSettings]:
    """Return the settings of one server that a Python program declares.

    Args:
        name: of the server.
        arguments: the other fields of ``ServerSettings`` by their Python names, only those that the program gives.
        aws: None for the defaults.

    Raises:
        DefinitionError: with every violated rule, one a line.
    """
    prefix = f"server {name}: "
    raw = {"servers": [{"name": name, **arguments}], **({} if aws is None else {"aws": aws})}
    refuse_private_keys(raw, prefix)
    try:
        stack = StackSettings.model_validate(raw, by_alias=False, by_name=True)
    except ValidationError as error:
        raise definition_error(error, prefix, within=("servers", 0)) from None
    return stack.servers[0], stack.aws


_Parsed = TypeVar("_Parsed", bound=BaseModel)


def _parse(model: type[_Parsed], raw: object, prefix: str) -> _Parsed:
    refuse_private_keys(raw, prefix)
    try:
        return model.model_validate(raw, by_alias=True, by_name=False)
    except ValidationError as error:
        raise definition_error(error, prefix) from None
