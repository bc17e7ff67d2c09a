"""Reads servers from the files of a folder: each file defines one server and has its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.errors import DefinitionError
from ios_mdm.settings.engine_yaml import engine_yaml
from ios_mdm.settings.fields import NAME_PATTERN
from ios_mdm.settings.parsing import parse_server_file
from ios_mdm.settings.problems import refuse_encrypted
from ios_mdm.settings.servers import profile_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ios_mdm.settings.servers import ServerSettings

__all__ = ["ServerFile", "is_server_file", "parse_server_files"]

_SUFFIXES = (".yaml", ".yml")
_ANY_NAME = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFile:
    """A file with one server.

    Args:
        name: name of the file, without its folder.
        content: contents of the file; None if it cannot be read.
        problem: reason why it cannot be read, a sentence that starts with the name of the file; else empty.
    """

    name: str
    content: bytes | None
    problem: str = ""

    @property
    def server(self) -> str:
        """The name of the server."""
        return self.name.rpartition(".")[0]


def is_server_file(name: str) -> bool:
    """Return whether a file with this name defines a server: ``*.yaml`` or ``*.yml``, and not hidden."""
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")


def parse_server_files(files: Iterable[ServerFile]) -> Sequence[ServerSettings]:
    """Return the servers in *files*, in the order of the files.

    Raises:
        DefinitionError: A file is invalid; one line for each problem of each file, starting with the name of the file.
    """
    servers: dict[str, ServerSettings] = {}
    problems: list[str] = []
    named: dict[str, str] = {}
    identified: dict[str, str] = {}
    for file in files:
        first = named.setdefault(file.server, file.name)
        if first != file.name:
            problems.append(
                f"{file.name}: {first} defines the server {file.server!r}, too: remove one of the two files"
            )
        try:
            server = _server(file)
        except DefinitionError as error:
            problems.append(str(error))
            continue
        identifier = profile_identifier(server)
        other = file.name if identifier is None else identified.setdefault(identifier, file.name)
        if other != file.name and first == file.name:
            problems.append(
                f"{file.name}: {other} has the same distribution.profile.identifier, so that one profile replaces the "
                "other on a device: choose a unique identifier for each server"
            )
        servers[file.name] = server
    if problems:
        raise DefinitionError("\n".join(problems))
    return list(servers.values())


def _server(file: ServerFile) -> ServerSettings:
    if file.content is None:
        raise DefinitionError(file.problem)
    try:
        raw = engine_yaml(file.content, single=True)
    except DefinitionError as error:
        raise DefinitionError(f"{file.name} {error}") from None
    if not isinstance(raw, dict):
        found = {list: "is a list", type(None): "is empty"}.get(type(raw), "is not a mapping")
        raise DefinitionError(
            f"{file.name} {found}: it must hold the keys of one server, such as `address` (docs/definition.md)"
        )
    problems = list(_name_problems(file, raw.get("name")))
    # An invalid name is reported once and does not hide the other problems of the file.
    name = {"name": _ANY_NAME if problems else file.server}
    try:
        refuse_encrypted(raw, f"{file.name}: ")
        server = parse_server_file({**name, **raw, **(name if problems else {})}, file.name)
    except DefinitionError as error:
        problems.append(str(error))
    if problems:
        raise DefinitionError("\n".join(problems))
    return server


def _name_problems(file: ServerFile, name: object) -> Iterator[str]:
    if not re.fullmatch(NAME_PATTERN, file.server):
        yield (
            f"{file.name}: the name of the file is not a server name: use up to 63 lower-case letters, digits and "
            "hyphens, with a letter or digit at both ends, followed by .yaml"
        )
    elif isinstance(name, str) and name != file.server:
        yield (
            f"{file.name}: name differs from the name of the file: write `name: {file.server}`, remove name, or "
            "rename the file"
        )
