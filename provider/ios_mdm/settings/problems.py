"""Reports all problems of a definition in one error, one sentence for each problem."""

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
    """Refuse a definition that contains the text of a private key anywhere.

    Raises:
        DefinitionError: *raw* contains a private key. The message does not quote it.
    """
    if "PRIVATE KEY-----" in repr(raw):
        raise DefinitionError(
            f"{prefix.rstrip()} the configuration holds a private key: remove it, because private keys belong in AWS "
            "Secrets Manager only"
        )


def refuse_encrypted(raw: object, prefix: str) -> None:
    """Refuse a definition that contains a value encrypted by Pulumi (``secure:``) anywhere.

    Raises:
        DefinitionError: *raw* contains such a value. The message names its key.
    """
    if (where := _encrypted_path(raw, "")) is not None:
        raise DefinitionError(
            f"{prefix}{where} is encrypted (`secure:`), but a definition holds no secrets: write the value as plain "
            "text, or, if it is confidential, name a secret of AWS Secrets Manager that holds it"
        )


def _encrypted_path(value: object, where: str) -> str | None:
    """Return the path of the first value encrypted by Pulumi in *value*, which is at *where*; None if there is none."""
    if isinstance(value, dict):
        if value.keys() == {"secure"}:
            return where
        parts = [(f"{where}.{key}" if where else str(key), part) for key, part in value.items()]
    else:
        parts = [(f"{where}[{index}]", part) for index, part in enumerate(value if isinstance(value, list) else ())]
    return next((found for name, part in parts if (found := _encrypted_path(part, name)) is not None), None)


def definition_error(error: ValidationError, prefix: str, within: Sequence[int | str] = ()) -> DefinitionError:
    """Return the problems of *error* as one error, with one line for each problem.

    Args:
        error: validation error of pydantic.
        prefix: start of each line.
        within: start of the locations, left out of the lines because *prefix* names it.
    """
    problems = dict.fromkeys(
        _sentence(prefix, _inner(problem["loc"], tuple(within)), problem["type"], problem["msg"])
        for problem in error.errors()
    )
    return DefinitionError("\n".join(problems))


def _inner(location: tuple[int | str, ...], within: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return location[len(within) :] if location[: len(within)] == within else location


def _sentence(prefix: str, location: tuple[int | str, ...], kind: str, message: str) -> str:
    """Return a validation error as a sentence, without the value, which may be a misplaced password."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _UNION_TAGS:
            path += f".{part}" if path else part
    match kind:
        case "too_short":
            message = "is empty: add at least one entry"
        case "extra_forbidden" if not _KEY.fullmatch(str(location[-1])):
            # This is not a misspelled key. The text is not quoted, because it may be confidential.
            return (
                f"{prefix}{path.removesuffix(str(location[-1])).removesuffix('.')} has a key that is not a name "
                "(see docs/definition.md)"
            )
        case "extra_forbidden":
            message = "is not a known key (see docs/definition.md)"
        case "missing":
            message = "is missing"
        case _:
            message = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{prefix}{path}".rstrip() + f" {message}"
