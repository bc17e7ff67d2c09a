"""Finds and reads definitions: a stack's file, a mapping with ``aws`` and ``servers``, or a bare list of servers."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.settings import ServerSettings, StackSettings

__all__ = ["Definition", "read_definition", "selected_stack_file"]

_PROJECT = "Pulumi.yaml"
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
    if "config" in raw:
        config = raw["config"] if isinstance(raw["config"], dict) else {}
        raw = {key: config[f"ios-mdm:{key}"] for key in ("aws", "servers") if f"ios-mdm:{key}" in config}
    if (where := _secure(raw)) is not None:
        raise DefinitionError(
            f"{path.name}: {where} is encrypted (`secure:`). A definition holds no secrets: write it in the clear, and "
            "for a value that must not be read name a secret of AWS Secrets Manager"
        )
    try:
        settings = parse_stack(raw)
    except DefinitionError as error:
        raise DefinitionError(f"{path.name}: {error}") from None
    return Definition(path=path, base=_base(path), settings=settings)


def selected_stack_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the stack that `pulumi` would use here.

    The engine (3.259: pkg/workspace/workspace.go) notes the selected stack in a file in its home, which is named for
    the project and the SHA-1 of its path: one stack for each backend, or, as it used to, one for all.

    Raises:
        DefinitionError: Which stack it is cannot be told, or it has no file.
    """
    here = _working_directory(environ)
    project = next((file for folder in (here, *here.parents) if (file := folder / _PROJECT).is_file()), None)
    if project is None:
        raise DefinitionError(f"there is no {_PROJECT} here or in a folder above: {_ADVICE}")
    settings = _yaml(project)
    settings = settings if isinstance(settings, dict) else {}
    stack = environ.get("PULUMI_STACK") or _noted_stack(project, settings, environ)
    if not stack:
        raise DefinitionError(f"no stack is selected: `pulumi stack select`, set PULUMI_STACK, or {_ADVICE}")
    # organization/project/stack: the file is named for the stack alone.
    folder = settings.get("stackConfigDir")
    file = project.parent / (folder if isinstance(folder, str) else "") / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    if not file.is_file():
        raise DefinitionError(f"the stack {stack} is selected, but there is no file {file.name}: {_ADVICE}")
    return file


def _noted_stack(project: Path, settings: Mapping[str, object], environ: Mapping[str, str]) -> str | None:
    """Return the stack that `pulumi stack select` has noted, None where it has not, or for another backend only."""
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    for path in dict.fromkeys((project, project.resolve())):
        name = f"{settings.get('name')}-{hashlib.sha1(str(path).encode(), usedforsecurity=False).hexdigest()}"
        try:
            noted = json.loads((home / "workspaces" / f"{name}-workspace.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
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
    """Read a YAML file; what is wrong with it is told by its line, and not quoted."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except (UnicodeDecodeError, ValueError, RecursionError):
        reason = "is not YAML: it is binary, or holds a value that cannot be"
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        reason = "is not YAML" if mark is None else f"is not YAML: see line {mark.line + 1}, column {mark.column + 1}"
    raise DefinitionError(f"{path.name} {reason}")


def _secure(value: object, where: str = "ios-mdm") -> str | None:
    """Return where in *value* a secret of Pulumi's is, None for nowhere."""
    if isinstance(value, dict):
        if value.keys() == {"secure"}:
            return where
        parts = [(f"{where}:{key}" if where == "ios-mdm" else f"{where}.{key}", part) for key, part in value.items()]
    else:
        parts = [(f"{where}[{index}]", part) for index, part in enumerate(value if isinstance(value, list) else ())]
    return next((found for name, part in parts if (found := _secure(part, name)) is not None), None)
