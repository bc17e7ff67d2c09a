"""From the files of a folder to servers: each file is one server, and has its name."""

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
        name: of the file, without its folder.
        content: None if it cannot be read.
        problem: why it cannot be read; a sentence that starts with the file's name.
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
        DefinitionError: with every violated rule of every file, one a line, each with the file's name at its start.
    """
    servers: dict[str, ServerSettings] = {}
    problems: list[str] = []
    named: dict[str, str] = {}
    identified: dict[str, str] = {}
    for file in files:
        first = named.setdefault(file.server, file.name)
        if first != file.name:
            problems.append(f"{file.name}: the server {file.server!r} has the file {first}, too: remove one of the two")
        try:
            server = _server(file)
        except DefinitionError as error:
            problems.append(str(error))
            continue
        identifier = profile_identifier(server)
        other = file.name if identifier is None else identified.setdefault(identifier, file.name)
        if other != file.name and first == file.name:
            problems.append(
                f"{file.name}: distribution.profile.identifier is that of {other}, too: on a device the one profile "
                "would replace the other"
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
    # A wrong name is reported once, and does not hide the other problems of the file.
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
            f"{file.name}: a file is named for its server: up to 63 lower-case letters, digits and hyphens, "
            "with a letter or digit at both ends, and .yaml"
        )
    elif isinstance(name, str) and name != file.server:
        yield (
            f"{file.name}: name is not that of the file: write `name: {file.server}`, leave name out, or rename "
            "the file"
        )
