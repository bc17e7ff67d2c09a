"""Reads YAML as the Pulumi engine does, so that the command line and a program see the same values.

The engine (3.259) decodes with Go's yaml.v3 and passes the values to a program as JSON. That differs from YAML 1.1,
which PyYAML reads: ``no``, ``on`` and ``1:30`` are text, a time becomes the text of Go's ``time.Time``, 1.0 becomes 1,
and a key that appears twice is an error. tests/engine/test_stack_file.py compares both.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode
from datetime import datetime
from decimal import Decimal
from typing import Any

import yaml

from ios_mdm.errors import DefinitionError

__all__ = ["engine_yaml"]

_CORE = "tag:yaml.org,2002:"
_PLAIN = "!plain"
"""Tag of an untagged scalar without quotes."""
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), ("null", None)),
    **dict.fromkeys(("true", "True", "TRUE"), ("bool", True)),
    **dict.fromkeys(("false", "False", "FALSE"), ("bool", False)),
    **{f"{sign}{word}": ("float", math.inf) for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), ("float", math.nan)),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:([Tt ])(\d\d?):(\d\d?):(\d\d?)(?:[.,](\d+))?(Z|[-+]\d\d:\d\d)?)?", re.ASCII
)
_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)
_MAX_WHOLE_NUMBER = 1e21
"""From this value on, Go writes a whole number with an exponent, which makes it a float in JSON."""


def engine_yaml(content: bytes, *, single: bool = False) -> object:
    """Return the value of the first document in *content*, or None if there is no document. Times are text.

    Args:
        content: contents of a file, in UTF-8, or in UTF-16 with a byte order mark.
        single: whether further documents are an error. The engine ignores them.

    Raises:
        DefinitionError: *content* is not YAML that the engine accepts, or has further documents that *single* forbids.
            The message names reason and position, and quotes nothing.
    """
    try:
        documents = yaml.load_all(content, Loader=_Loader)
        first = next(documents, None)
        if single and any(True for _ in documents):
            raise DefinitionError("has more than one YAML document (`---`): keep one of them")
    except (UnicodeDecodeError, yaml.reader.ReaderError, RecursionError):
        reason, mark = "is not YAML: it is binary, or nested too deeply", None
    except yaml.MarkedYAMLError as error:
        reason, mark = str(error.problem) if isinstance(error, _RefusalError) else "is not YAML", error.problem_mark
    else:
        return first
    raise DefinitionError(reason if mark is None else f"{reason}: see line {mark.line + 1}, column {mark.column + 1}")


class _RefusalError(yaml.MarkedYAMLError):
    """The engine refuses the YAML. The problem quotes nothing."""

    def __init__(self, problem: str, node: yaml.Node) -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the values of the engine."""

    def scan_to_next_token(self) -> None:
        """Skip tabs, too, unless they are indentation."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        """Refuse a repeated key, before merges add further keys."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _RefusalError("has the same key twice", key)
                seen.add(key.value)
        return node

    def value(self, node: yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode) -> object:
        """Return the value of *node* in the engine. Its parts are built first, so a node cannot contain itself."""
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        self.flatten_mapping(node)
        return {self.key(key): self.construct_object(value, deep=True) for key, value in node.value}

    def key(self, node: yaml.Node) -> str:
        """Return a key as text."""
        match self.construct_object(node, deep=True):
            case str() as key:
                return key
            case list() | dict():
                raise _RefusalError("has a key that is a list or a mapping", node)
            case None:
                return "<nil>"
            case key:
                return str(key).lower()


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(f"{_CORE}merge", re.compile("<<$"), ["<"])
_Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)
_Loader.yaml_constructors = {None: _Loader.value}


def _scalar(node: yaml.ScalarNode) -> object:
    tag, text = node.tag.removeprefix(_CORE), str(node.value)
    match tag:
        case "!plain" if node.style is None:
            value = _value(text)[1]
            if isinstance(value, float) and not math.isfinite(value):
                raise _RefusalError("has a number that JSON cannot represent", node)
            return value
        case "binary":
            try:
                return b64decode("".join(text.split()), validate=True).decode(errors="replace")
            except binascii.Error:
                raise _RefusalError("has binary data that is not base64", node) from None
        case "null" | "bool" | "int" | "float" | "timestamp":
            found, value = _value(text)
            if found not in {tag, "int" if tag == "float" else tag}:
                raise _RefusalError(f"has a value that does not match its tag {tag}", node)
            return value
        case _:
            return text


def _value(text: str) -> tuple[str, object]:
    """Return the type and the value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text.isascii() and text[0] in "+-.0123456789":
        if (time := _time(text)) is not None:
            return "timestamp", time
        plain = text.replace("_", "")
        try:
            # Go and YAML 1.1 still accept octal numbers without an o.
            whole = int(plain, 8 if re.fullmatch("[-+]?0[0-7]+", plain) else 0)
        except ValueError:
            whole = None
        if whole is not None and (whole in _INT64 or whole in _UINT64):
            return "int", whole if whole in _INT64 else _number(float(whole))
        if _FLOAT.fullmatch(plain) and math.isfinite(number := float(plain)):
            return "float", _number(number)
    return "str", text


def _number(number: float) -> float:
    """Return a number as Go writes it in JSON: with the fewest digits, and without a point if it is whole."""
    return int(Decimal(repr(number))) if number.is_integer() and abs(number) < _MAX_WHOLE_NUMBER else number


def _time(text: str) -> str | None:
    """Return a time as Go prints it, ``2027-03-01 00:00:00 +0000 UTC``, or None if yaml.v3 does not read a time."""
    if (found := _TIME.fullmatch(text)) is None:
        return None
    year, month, day, separator, hour, minute, second, fraction, zone = found.groups()
    if separator is not None and (separator == " ") != (zone is None):
        return None
    try:
        time = datetime.strptime(
            f"{year}-{month}-{day} {hour or 0}:{minute or 0}:{second or 0} {zone or 'Z'}", "%Y-%m-%d %H:%M:%S %z"
        )
    except ValueError:
        return None
    digits = (fraction or "")[:9].rstrip("0")  # nanoseconds
    clock = time.replace(tzinfo=None).isoformat(" ") + (f".{digits}" if digits else "")
    offset = f"{time:%z}"
    return f"{clock} {offset} {offset if time.utcoffset() else 'UTC'}"
