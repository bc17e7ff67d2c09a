"""Writes ``docs/definition.schema.json``: ``python -m tools.schema [--check]``.

Types, defaults and limits are those of the models in ``ios_mdm.settings``. Descriptions of keys are copied from the
tables of ``docs/definition.md``, so that an editor shows the same text as the page. A key that only one of them has is
an error.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from pydantic import BaseModel

from ios_mdm.settings import StackSettings
from ios_mdm.settings.servers import FolderStackSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PAGE", "SCHEMA", "Key", "SchemaError", "descriptions", "known_keys", "schema_text"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "definition.md"
SCHEMA = ROOT / "docs" / "definition.schema.json"

_NAMESPACE = "ios-mdm:"
_ROW = re.compile(r"^\| `(?P<key>[A-Za-z.:-]+)` \|.*\| (?P<meaning>[^|]+) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")

_STACKS = (FolderStackSettings, StackSettings)
"""The two forms of a stack's configuration. A key of both forms is taken from the last one."""

_Block = dict[str, object]


class SchemaError(Exception):
    """The page and the models have different keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a definition.

    Args:
        path: Key on the page: ``ios-mdm:servers``, ``aws.region``, and ``main.issue.key`` within a server.
        model: Name of the model with the key.
        alias: Last part of the key, as the model names it.
    """

    path: str
    model: str
    alias: str


def known_keys() -> tuple[Key, ...]:
    """Return every key of the configuration, in the order of the models."""
    keys = {key.path: key for model in _STACKS for key in _keys(model, "")}
    return tuple(keys.values())


def _keys(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    top = model in _STACKS
    for name, field in model.model_fields.items():
        alias = field.alias or name
        path = f"{_NAMESPACE}{alias}" if top else f"{prefix}{alias}"
        yield Key(path=path, model=model.__name__, alias=alias)
        # Nearly all keys belong to a server. They have no prefix.
        inner = "" if path == f"{_NAMESPACE}servers" else f"{path.removeprefix(_NAMESPACE)}."
        for nested in _models(field.annotation):
            yield from _keys(nested, inner)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models in a type, at any depth of lists and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def descriptions(page: str) -> Mapping[str, str]:
    """Return the description of each key in the tables of *page*, as plain text."""
    return {
        row["key"]: _LINK.sub(r"\1", row["meaning"]).replace("`", "").replace("**", "") for row in _ROW.finditer(page)
    }


def schema_text(page: str) -> str:
    """Return the JSON Schema of a stack file. The same models and the same *page* give the same text.

    Raises:
        SchemaError: *page* lacks a key of the models, or has a key that the models lack.
    """
    known, meant = known_keys(), descriptions(page)
    missing, strange = [key.path for key in known if key.path not in meant], meant.keys() - {key.path for key in known}
    if missing or strange:
        raise SchemaError(
            "docs/definition.md "
            + "; ".join(
                f"{what}: {', '.join(sorted(which))}"
                for what, which in (("lacks a row for", missing), ("has a row for an unknown key", strange))
                if which
            )
        )
    generated: _Block = StackSettings.model_json_schema(by_alias=True)
    models = cast("dict[str, _Block]", generated["$defs"])
    folder = FolderStackSettings.model_json_schema(by_alias=True)
    models[StackSettings.__name__] = {"properties": generated["properties"]}
    models[FolderStackSettings.__name__] = {"properties": folder["properties"]}
    for key in known:
        properties = cast("dict[str, _Block]", models[key.model]["properties"])
        properties[key.alias].pop("title", None)
        properties[key.alias]["description"] = meant[key.path]
    stack: dict[str, _Block] = {}
    for form in _STACKS:
        stack |= cast("dict[str, _Block]", models.pop(form.__name__)["properties"])
    config: _Block = {
        "type": "object",
        "description": "The stack's configuration. Keys of other namespaces are left alone.",
        "properties": {f"{_NAMESPACE}{name}": block for name, block in stack.items()},
        # With both keys, or with neither, an editor marks the whole configuration.
        "oneOf": [{"required": [f"{_NAMESPACE}{name}"]} for name in ("servers", "serversDirectory")],
    }
    schema: _Block = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack file of ios-mdm (Pulumi.<stack>.yaml)",
        "type": "object",
        "properties": {"config": config},
        "required": ["config"],
        "$defs": models,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the schema. With ``--check``, write nothing and return 0 if the file is up to date, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.schema", description="Write docs/definition.schema.json.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is out of date")
    check = parser.parse_args().check
    try:
        text = schema_text(PAGE.read_text(encoding="utf-8"))
    except SchemaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if check:
        fresh = SCHEMA.is_file() and SCHEMA.read_text(encoding="utf-8") == text
        if not fresh:
            print("docs/definition.schema.json is out of date: run `python -m tools.schema`", file=sys.stderr)
        return 0 if fresh else 1
    SCHEMA.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
