"""Converts YAML, JSON or the arguments of a Python program to settings."""

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
    """Return the settings of a stack.

    Args:
        raw: mapping with ``aws`` and ``servers``, parsed from YAML or JSON.
        project: name of the Pulumi project, which is the namespace of its keys.

    Raises:
        DefinitionError: *raw* is invalid; one line for each problem.
    """
    return _parse(StackSettings, raw, f"{project}:")


def parse_folder_stack(raw: object, *, project: str = "ios-mdm") -> FolderStackSettings:
    """Like :func:`parse_stack`, for a stack with ``serversDirectory`` instead of ``servers``."""
    return _parse(FolderStackSettings, raw, f"{project}:")


def parse_server_file(raw: object, file: str) -> ServerSettings:
    """Return the settings of the server in a file. Each line of an error starts with the name of the file."""
    return _parse(ServerSettings, raw, f"{file}: ")


def parse_server(raw: object, name: str) -> ServerSettings:
    """Return the settings of one server. Each line of an error starts with the name of the server."""
    return _parse(ServerSettings, raw, f"server {name}: ")


def parse_arguments(
    name: str, arguments: Mapping[str, object], aws: AwsSettings | None = None
) -> tuple[ServerSettings, AwsSettings]:
    """Return the settings of one server that a Python program declares.

    Args:
        name: name of the server.
        arguments: given fields of ``ServerSettings`` by their Python names, without the name.
        aws: settings of AWS; None for the defaults.

    Raises:
        DefinitionError: The arguments are invalid; one line for each problem.
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
