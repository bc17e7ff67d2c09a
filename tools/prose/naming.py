"""Finds names that break the rules of ``names.toml``: pronouns, bare participles, replaced words, British spellings."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tools.prose.phrases import SPELLING
from tools.prose.spelling import american_spellings
from tools.prose.text import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.prose.python_source import Name

__all__ = ["NAME_RULES", "name_findings"]

PRONOUN = "name-pronoun"
PARTICIPLE = "name-participle"
WORD = "name-word"
NAME_RULES = (PRONOUN, PARTICIPLE, WORD)

_FILE = Path(__file__).with_name("names.toml")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ED = re.compile(r"[a-z]{2,}ed")


class _Words(NamedTuple):
    pronouns: frozenset[str]
    participles: frozenset[str]
    nouns: frozenset[str]
    accepted: frozenset[str]
    replaced: dict[str, str]


@cache
def _words() -> _Words:
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return _Words(
        frozenset(data["pronouns"]),
        frozenset(data["participles"]),
        frozenset(data["nouns"]),
        frozenset(data["accepted"]),
        dict(data["words"]),
    )


def name_findings(name: Name) -> Iterator[Finding]:
    """Return what breaks a rule in a name that a Python file defines."""
    if name.text in _words().accepted:
        return
    parts = [part.lower() for part in _PART.findall(name.text)]
    is_test = parts[:1] == ["test"] and name.kind not in {"module", "constant"}
    # The name of a test is a sentence: a pronoun in it may refer to its subject.
    subjects = parts[1:2] if is_test else parts
    if any(part in _words().pronouns for part in subjects):
        yield _finding(name, PRONOUN, "a name with the noun")
    # Local functions and fixtures are exempt: code near the definition, or a parameter, shows their use.
    if name.kind == "function" and len(parts) == 1 and _is_participle(parts[0]):
        yield _finding(name, PARTICIPLE, "a noun phrase, a verb, or is_…")
    for part in dict.fromkeys(parts):
        if part in _words().replaced and not (is_test and part in {"most", "least"}):
            yield _finding(name, WORD, _words().replaced[part])
        if part in american_spellings():
            yield _finding(name, SPELLING, f'"{american_spellings()[part]}"')


def _is_participle(word: str) -> bool:
    return word in _words().participles or (_ED.fullmatch(word) is not None and word not in _words().nouns)


def _finding(name: Name, rule: str, write: str) -> Finding:
    return Finding(rule=rule, line=name.line, last_line=name.line, phrase=name.text, write=write)
