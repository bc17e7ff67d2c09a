"""Finds and reads definitions: a stack's file, a mapping with the keys of one, or a bare list of servers."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ios_mdm.configuration import KEYS, read_configuration
from ios_mdm.errors import DefinitionError
from ios_mdm.files import MIB, file_content
from ios_mdm.settings.engine_yaml import engine_yaml
from ios_mdm.settings.problems import refuse_encrypted
from ios_mdm.settings.size import LARGE, LARGEST, configuration_size, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ios_mdm.settings import ServerSettings, StackSettings

__all__ = ["Definition", "read_definition", "selected_stack_file"]

MAX_BYTES = 4 * MIB
"""Of a definition in one file."""
_PROJECT = "Pulumi.yaml"
_CONFIG_FILE = "PULUMI_OPTION_CONFIG_FILE"
"""The variable by which the engine takes its option ``--config-file``."""
_NAME = "ios-mdm"
"""Name of the project without a Pulumi.yaml, and of the definition's keys in messages about a bare definition."""
_STACK_KEYS = {"config", "encryptedkey", "encryptionsalt", "secretsprovider"}
"""Any of them makes a file a stack's."""
_ADVICE = "name the file: `status Pulumi.<stack>.yaml`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition file that was read.

    Args:
        path: of the file.
        base: the folder that relative paths in it start from: the project's, as for the engine.
        settings: what it holds.
    """

    path: Path
    base: Path
    settings: StackSettings

    def servers(self, name: str | None) -> Sequence[ServerSettings]:
        """Return the server called *name*, or all.

        Raises:
            DefinitionError: There is no such server.
        """
        if name is None:
            return self.settings.servers
        found = [server for server in self.settings.servers if server.name == name]
        if not found:
            known = ", ".join(server.name for server in self.settings.servers)
            raise DefinitionError(f"{self.path.name} has no server {name!r}; it has: {known}")
        return found


def read_definition(path: Path) -> Definition:
    """Read the definition in the file *path*.

    Raises:
        DefinitionError: It cannot be read, is not YAML, holds a Pulumi secret, or breaks a rule of the definition.
    """
    raw = _yaml(path)
    if isinstance(raw, list):
        raw = {"servers": raw}
    if not isinstance(raw, dict):
        raise DefinitionError(f"{path.name} is no definition: a stack file, or a list of servers (docs/definition.md)")
    base, name = _base(path), _NAME
    if _STACK_KEYS & raw.keys():
        project = _project(base / _PROJECT)
        name = str(project.get("name") or _NAME)
        config = raw.get("config")
        _check_size(path, config, name)
        raw = _configuration(config, project, name)
    try:
        refuse_encrypted(raw, f"{name}:")
        settings = read_configuration(raw, project=name, base=base)
    except DefinitionError as error:
        # The line of a server's own file starts with the name of that file.
        lines = [f"{path.name}: {line}" if line.startswith(f"{name}:") else line for line in str(error).splitlines()]
        raise DefinitionError("\n".join(lines)) from None
    return Definition(path=path, base=base, settings=settings)


def _check_size(path: Path, config: object, name: str) -> None:
    """Warn of a configuration that is nearly too large for a program.

    Raises:
        DefinitionError: It is too large.
    """
    size = configuration_size(config) if isinstance(config, dict) else 0
    if size > LARGEST:
        raise DefinitionError(f"{path.name}: {too_large(size, name)}")
    if size >= LARGE:
        click.echo(f"warning: {path.name}: {too_large(size, name)}", err=True)


def selected_stack_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the stack that `pulumi` would use here.

    It is the file of the option ``--config-file`` if its variable is set. Else
    the engine (3.259: pkg/workspace/workspace.go) notes the selected stack in a file in its home, which is named for
    the project and the SHA-1 of its path: one stack for each backend, or, as it used to, one for all.

    Raises:
        DefinitionError: Which stack it is cannot be told, or it has no file.
    """
    here = _working_directory(environ)
    if chosen := environ.get(_CONFIG_FILE):
        return here / chosen
    project = next((file for folder in (here, *here.parents) if (file := folder / _PROJECT).is_file()), None)
    if project is None:
        raise DefinitionError(f"there is no {_PROJECT} here or in a folder above: {_ADVICE}")
    settings = _project(project)
    stack = environ.get("PULUMI_STACK") or _noted_stack(project, settings, environ)
    if not stack:
        raise DefinitionError(f"no stack is selected: `pulumi stack select`, set PULUMI_STACK, or {_ADVICE}")
    # organization/project/stack: the file is named for the stack alone.
    folder = settings.get("stackConfigDir", settings.get("config"))
    file = project.parent / (folder if isinstance(folder, str) else "") / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    if not file.is_file():
        raise DefinitionError(f"the stack {stack} is selected, but there is no file {file.name}: {_ADVICE}")
    return file


def _project(file: Path) -> Mapping[str, object]:
    """Return the project's settings, none if it has no file."""
    settings = _yaml(file) if file.is_file() else None
    return settings if isinstance(settings, dict) else {}


def _configuration(config: object, project: Mapping[str, object], name: str) -> dict[str, object]:
    """Return ``aws``, ``servers`` and ``serversDirectory`` as the engine hands them to a program.

    Args:
        config: of the stack.
        project: Pulumi.yaml, which may have a value or a default for a key that the stack does not have.
        name: of the project: a key without a namespace is the project's.
    """
    declared = {
        key: value.get("default", value.get("value")) if isinstance(value, dict) else value
        for key, value in _keys_of(name, project.get("config"))
    }
    found = {key: value for key, value in declared.items() if value is not None} | dict(_keys_of(name, config))
    return {key: found[key] for key in KEYS if key in found}


def _keys_of(name: str, config: object) -> Iterator[tuple[str, object]]:
    for key, value in config.items() if isinstance(config, dict) else ():
        namespace, colon, own = key.partition(":")
        if not colon or namespace == name:
            yield (own.removeprefix("config:") if colon else key), value


def _noted_stack(project: Path, settings: Mapping[str, object], environ: Mapping[str, str]) -> str | None:
    """Return the stack that `pulumi stack select` has noted, None where it has not, or for another backend only."""
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    for path in dict.fromkeys((project, project.resolve())):
        name = f"{settings.get('name')}-{hashlib.sha1(str(path).encode(), usedforsecurity=False).hexdigest()}"
        try:
            noted = json.loads(
                file_content(home / "workspaces" / f"{name}-workspace.json", limit=MAX_BYTES, named=name)
            )
        except (DefinitionError, ValueError):
            continue
        if not isinstance(noted, dict):
            continue
        stacks = noted["stacks"] if isinstance(noted.get("stacks"), dict) else {}
        backend = environ.get("PULUMI_BACKEND_URL") or _backend(settings)
        # Without either, the engine looks into its credentials file for the backend; that one is not ours to read.
        stack = stacks.get(backend) if backend else next(iter(stacks.values())) if len(stacks) == 1 else None
        stack = stack or (None if stacks and not backend else noted.get("stack"))
        if isinstance(stack, str) and stack:
            return stack
    return None


def _backend(settings: Mapping[str, object]) -> str | None:
    backend = settings.get("backend")
    url = backend.get("url") if isinstance(backend, dict) else None
    return url if isinstance(url, str) else None


def _working_directory(environ: Mapping[str, str]) -> Path:
    """Return where we are, by the name that the shell has for it: the engine takes that, and hashes it."""
    actual, named = Path.cwd(), Path(environ.get("PWD") or ".")
    try:
        return named if named.is_absolute() and named.samefile(actual) else actual
    except OSError:
        return actual


def _base(path: Path) -> Path:
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would follow links out of the project
    return next((one for one in (folder, *folder.parents) if (one / _PROJECT).is_file()), folder)


def _yaml(path: Path) -> object:
    """Read a YAML file as the engine does."""
    content = file_content(path, limit=MAX_BYTES, named=path.name, allows_pipe=True)
    try:
        return engine_yaml(content)
    except DefinitionError as error:
        raise DefinitionError(f"{path.name} {error}") from None
