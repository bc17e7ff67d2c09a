"""Finds the phrases of ``phrases.toml`` and British spellings in texts."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tools.prose.spelling import american_spellings
from tools.prose.text import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.prose.text import Finding, Text

__all__ = ["SPELLING", "phrase_findings", "phrase_rules"]

SPELLING = "spelling"

_FILE = Path(__file__).with_name("phrases.toml")
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseRule:
    """An entry of ``phrases.toml``, which describes the fields."""

    name: str
    words: frozenset[str]
    pattern: re.Pattern[str]
    write: str
    kinds: frozenset[Kind]
    skipped_paths: tuple[str, ...]


@cache
def phrase_rules() -> tuple[PhraseRule, ...]:
    """Return the rules of ``phrases.toml``."""
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(_rule(entry) for entry in data["phrase"])


def phrase_findings(path: str, text: Text) -> Iterator[Finding]:
    """Return what breaks a rule in *text*.

    Args:
        path: path of the file in the repository.
        text: a text of it.
    """
    prose = text.prose
    words = set(_WORD.findall(prose.lower()))
    for rule in {rule for word in words & _rules_by_word().keys() for rule in _rules_by_word()[word]} | _unbound():
        if text.kind in rule.kinds and not path.startswith(rule.skipped_paths):
            for match in rule.pattern.finditer(prose):
                yield text.finding(rule.name, match.start(), match.end(), rule.write)
    for word in words & american_spellings().keys():
        for match in re.finditer(rf"\b{word}\b", prose, re.IGNORECASE):
            yield text.finding(SPELLING, match.start(), match.end(), f'"{american_spellings()[word]}"')


@cache
def _rules_by_word() -> Mapping[str, list[PhraseRule]]:
    found: dict[str, list[PhraseRule]] = defaultdict(list)
    for rule in phrase_rules():
        for word in rule.words:
            found[word].append(rule)
    return found


@cache
def _unbound() -> frozenset[PhraseRule]:
    return frozenset(rule for rule in phrase_rules() if not rule.words)


def _rule(entry: Mapping[str, str | list[str]]) -> PhraseRule:
    words = entry.get("words", [])
    pattern = entry.get("pattern") or rf"\b(?:{'|'.join(words)})\b"
    return PhraseRule(
        name=str(entry["rule"]),
        words=frozenset(words),
        pattern=re.compile(str(pattern), re.IGNORECASE),
        write=str(entry["write"]),
        kinds=frozenset(map(Kind, entry.get("kinds", list(Kind)))),
        skipped_paths=tuple(entry.get("except", [])),
    )
