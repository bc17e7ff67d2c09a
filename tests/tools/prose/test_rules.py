"""Each rule finds its phrases, and accepts plain sentences; ``cases.toml`` holds both."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tools.prose.check import RULES, file_findings
from tools.prose.opt_out import OPT_OUT

CASES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("cases.toml").read_text(encoding="utf-8"))
ROWS: list[dict[str, Any]] = CASES["row"]

SUMMARY = '"""Summary."""\n'
TABLE_ROWS = 17
"""Rows of the table of the style."""


def broken_rules(path: str, source: str) -> set[str]:
    """Return the rules that a file breaks."""
    return {finding.rule for finding in file_findings(path, source)}


def source_of(text: str, kind: str = "docstring") -> str:
    """Return a module with *text* as its docstring, or as a message."""
    return f'"""{text}"""\n' if kind == "docstring" else f'{SUMMARY}print("{text}")\n'


def cases(group: str, part: str) -> list[tuple[str, str]]:
    """Return the rules of a group with their texts; *part* is ``finds`` or ``accepts``."""
    return [(rule, text) for rule, entry in CASES[group].items() for text in entry[part]]


@pytest.mark.parametrize("row", ROWS, ids=[row["before"] for row in ROWS])
def test_each_row_of_the_table_is_found(row: dict[str, Any]) -> None:
    """The first column breaks the rules of the row, and the second column breaks none."""
    assert sorted(broken_rules("provider/module.py", source_of(row["before"]))) == row["rules"]
    assert not broken_rules("provider/module.py", source_of(row["after"]))


def test_all_rows_of_the_table_are_covered() -> None:
    """A rule finds each row."""
    assert len({row["before"] for row in ROWS}) == TABLE_ROWS
    assert all(row["rules"] for row in ROWS)


@pytest.mark.parametrize(("rule", "text"), cases("rule", "finds"))
def test_a_phrase_is_found_once(rule: str, text: str) -> None:
    """A sentence with the phrase has one finding."""
    source = source_of(text, CASES["rule"][rule].get("kind", "docstring"))
    assert [finding.rule for finding in file_findings("provider/module.py", source, {rule})] == [rule]


@pytest.mark.parametrize(("rule", "text"), cases("rule", "accepts"))
def test_a_plain_sentence_is_accepted(rule: str, text: str) -> None:
    """A sentence with a similar phrase has no finding."""
    source = source_of(text, CASES["rule"][rule].get("kind", "docstring"))
    assert not file_findings("provider/module.py", source, {rule})


@pytest.mark.parametrize(("rule", "source"), cases("name", "finds"))
def test_a_name_is_found_once(rule: str, source: str) -> None:
    """A definition with the name has one finding."""
    assert [finding.rule for finding in file_findings("provider/module.py", source, {rule})] == [rule]


@pytest.mark.parametrize(("rule", "source"), cases("name", "accepts"))
def test_a_plain_name_is_accepted(rule: str, source: str) -> None:
    """A definition with a similar name has no finding."""
    assert not file_findings("provider/module.py", source, {rule})


@pytest.mark.parametrize(("rule", "source"), cases("page", "finds"))
def test_a_fault_of_layout_is_found_once(rule: str, source: str) -> None:
    """A page with the fault has one finding."""
    assert [finding.rule for finding in file_findings("docs/page.md", source, {rule})] == [rule]


@pytest.mark.parametrize(("rule", "source"), cases("page", "accepts"))
def test_a_page_with_one_sentence_per_line_is_accepted(rule: str, source: str) -> None:
    """Tables, code, HTML and URLs are exempt."""
    assert not file_findings("docs/page.md", source, {rule})


def test_each_rule_has_cases() -> None:
    """A rule without a case that it finds and one that it accepts fails here."""
    groups = [CASES[group] for group in ("rule", "name", "page")]
    assert set(chain.from_iterable(groups)) == set(RULES) - {OPT_OUT}
    for group in groups:
        assert all(entry["finds"] and entry["accepts"] for entry in group.values())
