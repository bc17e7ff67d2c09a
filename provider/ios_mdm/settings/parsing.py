"""From YAML or JSON to settings, and from a validation error to sentences."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ios_mdm.errors import DefinitionError
from ios_mdm.settings.servers import ServerSettings, StackSettings

__all__ = ["parse_server", "parse_stack"]


def parse_stack(raw: object, *, project: str = "ios-mdm") -> StackSettings:
    """Return a stack's settings.

    Args:
        raw: a mapping with ``aws`` and ``servers`` as YAML or JSON has them.
        project: the name of the Pulumi project, which is the namespace of its keys.

    Raises:
        DefinitionError: with every violated rule, one a line.
    """
    return _parse(StackSettings, raw, f"{project}:")


def parse_server(raw: object, name: str) -> ServerSettings:
    """Return one server's settings; like :func:`parse_stack`."""
    return _parse(ServerSettings, raw, f"server {name}: ")


_Parsed = TypeVar("_Parsed", bound=BaseModel)


def _parse(model: type[_Parsed], raw: object, prefix: str) -> _Parsed:
    text = repr(raw)
    if "PRIVATE KEY-----" in text:
        raise DefinitionError(
            f"{prefix} the configuration holds a private key: keys live in Secrets Manager only (R29)"
        )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = dict.fromkeys(
            _sentence(prefix, problem["loc"], problem["type"], problem["msg"]) for problem in error.errors()
        )
        raise DefinitionError("\n".join(problems)) from None


_UNION_TAGS = {"list", "from"}


def _sentence(prefix: str, location: tuple[int | str, ...], kind: str, message: str) -> str:
    """Return a validation error as a sentence; never the value, which may be a password in the wrong place."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _UNION_TAGS:
            path += f".{part}" if path else part
    match kind:
        case "too_short":
            message = "is empty: at least one is needed"
        case "extra_forbidden":
            message = "is not a known key (see docs/definition.md)"
        case "missing":
            message = "is missing"
        case _:
            message = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{prefix}{path} {message}".strip()
