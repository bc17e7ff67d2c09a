"""Reads the configuration of a stack, and the files of its servers if any, for the program and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.errors import DefinitionError
from ios_mdm.settings import StackSettings, parse_stack
from ios_mdm.settings.parsing import parse_folder_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ios_mdm.settings import ServerSettings

__all__ = ["KEYS", "read_configuration"]

MAX_SERVER_FILE = 1 << 20
"""Size limit of the file of a server, in bytes."""
KEYS = ("aws", "servers", "serversDirectory", "watch")
"""The keys of the configuration of a stack, without their namespace."""


def read_configuration(raw: Mapping[str, object], *, project: str, base: Path) -> StackSettings:
    """Return the settings of a stack.

    Args:
        raw: values by the keys in KEYS; Pulumi.yaml sets an empty list or text for a key that the user does not set.
        project: name of the Pulumi project, which is the namespace of its keys.
        base: folder of the project.

    Raises:
        DefinitionError: The configuration or a file is invalid; one line for each problem in any of them.
    """
    servers, folder = raw.get("servers"), raw.get("serversDirectory")
    # The keys of both forms of a configuration.
    common = {key: raw[key] for key in ("aws", "watch") if raw.get(key) is not None}
    unknown = {key: value for key, value in raw.items() if key not in KEYS}
    if folder in (None, ""):
        if servers in (None, []) and not unknown:
            raise DefinitionError(
                f"{project}:servers is missing: declare a server in Pulumi.<stack>.yaml (README.md has a definition to "
                f"copy), or name a folder with one file for each server in {project}:serversDirectory"
            )
        given = {} if servers is None else {"servers": servers}
        return parse_stack({**common, **given, **unknown}, project=project)
    if servers not in (None, []):
        raise DefinitionError(
            f"{project}:servers and {project}:serversDirectory are both set: keep one of them (docs/scale.md)"
        )
    problems: list[str] = []
    found: Sequence[ServerSettings] = ()
    try:
        settings = parse_folder_stack({**common, "serversDirectory": folder, **unknown}, project=project)
    except DefinitionError as error:
        problems.append(str(error))
    if isinstance(folder, str):
        try:
            found = _servers(folder, f"{project}:serversDirectory", base)
        except DefinitionError as error:
            problems.append(str(error))
    if problems:
        raise DefinitionError("\n".join(problems))
    return StackSettings(aws=settings.aws, servers=list(found), watch=settings.watch)


def _servers(name: str, key: str, base: Path) -> Sequence[ServerSettings]:
    """Return the servers in the folder *name*.

    A file or a link that leads out of the project is an error, so that a review of the project covers all servers.
    """
    # Imported here, because a program without such a folder does not need the readers of files and YAML.
    from ios_mdm.files import file_content
    from ios_mdm.settings.server_files import ServerFile, is_server_file, parse_server_files

    def read(file: Path) -> ServerFile:
        if not _is_within(file, base):
            problem = f"{file.name} is a link that leads out of the project: replace it with the file"
        elif not file.is_file() and file.exists():
            problem = f"{file.name} is not a file: rename it, or move it elsewhere"
        else:
            try:
                content = file_content(file, limit=MAX_SERVER_FILE, named=file.name)
                return ServerFile(name=file.name, content=content)
            except DefinitionError as error:
                problem = str(error)
        return ServerFile(name=file.name, content=None, problem=problem)

    folder = base / name
    if not _is_within(folder, base):
        raise DefinitionError(f"{key}: the folder {name!r} is outside of the project: move it into the project")
    try:
        files = sorted((file for file in folder.iterdir() if is_server_file(file.name)), key=lambda file: file.name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a zero byte"
        raise DefinitionError(
            f"{key}: the folder {name!r} cannot be read: {reason}. It is relative to the folder of Pulumi.yaml"
        ) from None
    if not files:
        raise DefinitionError(f"{key}: the folder {name!r} has no file *.yaml: add one for each server")
    return parse_server_files(map(read, files))


def _is_within(path: Path, base: Path) -> bool:
    """Return whether *path* is in the folder *base*, with links followed."""
    try:
        return path.resolve().is_relative_to(base.resolve())
    except (OSError, RuntimeError, ValueError):  # such as a link that leads to itself
        return True  # reading the file then reports the reason
