"""Finds and reads definition files: a stack file, a mapping with the keys of a stack, or a list of servers."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ios_mdm.cli.output import echo
from ios_mdm.configuration import KEYS, read_configuration
from ios_mdm.errors import DefinitionError
from ios_mdm.files import MIB, file_content
from ios_mdm.settings.engine_yaml import engine_yaml
from ios_mdm.settings.problems import refuse_encrypted
from ios_mdm.settings.size import MAX_SIZE, WARNING_SIZE, configuration_size, too_large_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ios_mdm.settings import ServerSettings, StackSettings

__all__ = ["Definition", "read_definition", "selected_stack_file"]

MAX_BYTES = 4 * MIB
"""Maximum size of a definition file."""
_PROJECT = "Pulumi.yaml"
_CONFIG_FILE = "PULUMI_OPTION_CONFIG_FILE"
"""Environment variable for the engine's option ``--config-file``."""
_NAME = "ios-mdm"
"""Project name if Pulumi.yaml has none, and namespace of the keys in messages about a definition without a stack."""
_STACK_KEYS = {"config", "encryptedkey", "encryptionsalt", "secretsprovider"}
"""A file with one of these keys is a stack file."""
_STACK_FILE = re.compile(r"Pulumi\.(.+)\.ya?ml")
_ADVICE = "name the file: `status Pulumi.<stack>.yaml`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition file that was read.

    Args:
        path: Path of the file.
        base: Folder that relative paths in the definition start from: that of the project, as for the engine.
        settings: Parsed settings.
        stack: ``project/stack`` of a stack file; None for a list of servers, or if the file has another name.
    """

    path: Path
    base: Path
    settings: StackSettings
    stack: str | None = None

    def servers(self, name: str | None) -> Sequence[ServerSettings]:
        """Return the server called *name*, or all servers.

        Raises:
            DefinitionError: No server has this name.
        """
        if name is None:
            return self.settings.servers
        found = [server for server in self.settings.servers if server.name == name]
        if not found:
            known = ", ".join(server.name for server in self.settings.servers)
            raise DefinitionError(f"{self.path.name} has no server {name!r}; its servers: {known}")
        return found


def read_definition(path: Path) -> Definition:
    """Read a definition file.

    Raises:
        DefinitionError: The file cannot be read, is not YAML, contains a Pulumi secret, or breaks a rule.
    """
    raw = _yaml(path)
    if isinstance(raw, list):
        raw = {"servers": raw}
    if not isinstance(raw, dict):
        raise DefinitionError(
            f"{path.name} is not a definition: use a stack file or a list of servers (docs/definition.md)"
        )
    base, name, stack = _base(path), _NAME, None
    if _STACK_KEYS & raw.keys():
        project = _project(base / _PROJECT)
        name = str(project.get("name") or _NAME)
        config = raw.get("config")
        _check_size(path, config, name)
        named = _STACK_FILE.fullmatch(path.name)
        stack = None if named is None else f"{name}/{named[1]}"
        raw = _configuration(config, project, name)
    try:
        refuse_encrypted(raw, f"{name}:")
        settings = read_configuration(raw, project=name, base=base)
    except DefinitionError as error:
        # Lines about a server's file already start with the name of that file.
        lines = [f"{path.name}: {line}" if line.startswith(f"{name}:") else line for line in str(error).splitlines()]
        raise DefinitionError("\n".join(lines)) from None
    return Definition(path=path, base=base, settings=settings, stack=stack)


def _check_size(path: Path, config: object, name: str) -> None:
    """Print a warning if the configuration is nearly too large for the engine.

    Raises:
        DefinitionError: The configuration is too large.
    """
    size = configuration_size(config) if isinstance(config, dict) else 0
    if size > MAX_SIZE:
        raise DefinitionError(f"{path.name}: {too_large_message(size, name)}")
    if size >= WARNING_SIZE:
        echo(f"warning: {path.name}: {too_large_message(size, name)}", err=True)


def selected_stack_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the stack that `pulumi` uses in the working directory.

    If the variable of the option ``--config-file`` is set, it names the file. Otherwise the engine (3.259:
    pkg/workspace/workspace.go) stores the selected stack in a file in its home. The name of that file consists of the
    project name and the SHA-1 of the project's path. It has one stack per backend, or in an older form one for all.

    Raises:
        DefinitionError: The selected stack is unknown, or it has no file.
    """
    here = _working_directory(environ)
    if chosen := environ.get(_CONFIG_FILE):
        return here / chosen
    project = next((file for folder in (here, *here.parents) if (file := folder / _PROJECT).is_file()), None)
    if project is None:
        raise DefinitionError(f"no {_PROJECT} in the working directory or above it: {_ADVICE}")
    settings = _project(project)
    stack = environ.get("PULUMI_STACK") or _recorded_stack(project, settings, environ)
    if not stack:
        raise DefinitionError(f"no stack is selected: run `pulumi stack select`, set PULUMI_STACK, or {_ADVICE}")
    # In organization/project/stack, only the stack is in the file name.
    folder = settings.get("stackConfigDir", settings.get("config"))
    file = project.parent / (folder if isinstance(folder, str) else "") / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    if not file.is_file():
        raise DefinitionError(f"the stack {stack} is selected, but it has no file {file.name}: {_ADVICE}")
    return file


def _project(file: Path) -> Mapping[str, object]:
    """Return the settings in Pulumi.yaml, or an empty mapping if *file* does not exist."""
    settings = _yaml(file) if file.is_file() else None
    return settings if isinstance(settings, dict) else {}


def _configuration(config: object, project: Mapping[str, object], name: str) -> dict[str, object]:
    """Return ``aws``, ``servers`` and ``serversDirectory`` as the engine passes them to a program.

    Args:
        config: Configuration of the stack.
        project: Settings in Pulumi.yaml. They can have values and defaults for keys that the stack does not have.
        name: Name of the project, which is the namespace of keys without a namespace.
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


def _recorded_stack(project: Path, settings: Mapping[str, object], environ: Mapping[str, str]) -> str | None:
    """Return the stack that `pulumi stack select` has stored, or None if no stack is stored for the backend."""
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
        # The engine also reads the backend from its credentials file. This program does not read credentials.
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
    """Return the working directory with the shell's name for it, because the engine hashes that name."""
    actual, named = Path.cwd(), Path(environ.get("PWD") or ".")
    try:
        return named if named.is_absolute() and named.samefile(actual) else actual
    except OSError:
        return actual


def _base(path: Path) -> Path:
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() follows links out of the project
    return next((one for one in (folder, *folder.parents) if (one / _PROJECT).is_file()), folder)


def _yaml(path: Path) -> object:
    """Read a YAML file as the engine does."""
    content = file_content(path, limit=MAX_BYTES, named=path.name, allows_pipe=True)
    try:
        return engine_yaml(content)
    except DefinitionError as error:
        raise DefinitionError(f"{path.name} {error}") from None
