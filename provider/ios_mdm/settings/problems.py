"""Turns the problems of a wrong definition into one error with a sentence for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

__all__ = ["definition_error", "refuse_encrypted", "refuse_private_keys"]

_UNION_TAGS = {"list", "from"}
_KEY = re.compile(r"[A-Za-z_]{1,40}")
"""Keys of a definition have this form."""


def refuse_private_keys(raw: object, prefix: str) -> None:
    """Refuse a definition with the text of a private key, wherever it is in *raw*.

    Raises:
        DefinitionError: without the key.
    """
    if "PRIVATE KEY-----" in repr(raw):
        raise DefinitionError(
            f"{prefix.rstrip()} the configuration holds a private key: keys live in Secrets Manager only"
        )


def refuse_encrypted(raw: object, prefix: str) -> None:
    """Refuse a definition with a value that Pulumi has encrypted (``secure:``), wherever it is in *raw*.

    Raises:
        DefinitionError: It names the key, after the prefix.
    """
    if (where := _encrypted(raw, "")) is not None:
        raise DefinitionError(
            f"{prefix}{where} is encrypted (`secure:`). A definition holds no secrets: write it in the clear, and "
            "for a value that must not be read name a secret of AWS Secrets Manager"
        )


def _encrypted(value: object, where: str) -> str | None:
    """Return the key under *where* at which *value* holds a secret of Pulumi's, None if there is none."""
    if isinstance(value, dict):
        if value.keys() == {"secure"}:
            return where
        parts = [(f"{where}.{key}" if where else str(key), part) for key, part in value.items()]
    else:
        parts = [(f"{where}[{index}]", part) for index, part in enumerate(value if isinstance(value, list) else ())]
    return next((found for name, part in parts if (found := _encrypted(part, name)) is not None), None)


def definition_error(error: ValidationError, prefix: str, within: Sequence[int | str] = ()) -> DefinitionError:
    """Return the problems of *error* as one error, one problem a line.

    Args:
        error: of pydantic.
        prefix: starts each line.
        within: start of the locations that the lines leave out, because the prefix names it.
    """
    problems = dict.fromkeys(
        _sentence(prefix, _inner(problem["loc"], tuple(within)), problem["type"], problem["msg"])
        for problem in error.errors()
    )
    return DefinitionError("\n".join(problems))


def _inner(location: tuple[int | str, ...], within: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return location[len(within) :] if location[: len(within)] == within else location


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
        case "extra_forbidden" if not _KEY.fullmatch(str(location[-1])):
            # Not a misspelled key: the file holds something else, which is not quoted.
            return (
                f"{prefix}{path.removesuffix(str(location[-1])).removesuffix('.')} has an unknown key that is no name "
                "(see docs/definition.md)"
            )
        case "extra_forbidden":
            message = "is not a known key (see docs/definition.md)"
        case "missing":
            message = "is missing"
        case _:
            message = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{prefix}{path}".rstrip() + f" {message}"
