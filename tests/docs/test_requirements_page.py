"""docs/requirements.md lists each requirement once, and a test names each requirement that is built."""

from __future__ import annotations

import re

import pytest

from tools.toolchain import ROOT

PAGE = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
HIGHEST = 49
NOT_BUILT = re.findall(r"^\| (R\d+) \| not built \|", PAGE, re.MULTILINE)
BUILT = [f"R{number}" for number in range(1, HIGHEST + 1) if f"R{number}" not in NOT_BUILT]
LINES = [
    line
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
    for line in path.read_text(encoding="utf-8").splitlines()
]


def test_each_requirement_has_one_row() -> None:
    """The rows are R1 to R49, in this order."""
    assert re.findall(r"^\| (R\d+) \|", PAGE, re.MULTILINE) == [f"R{number}" for number in range(1, HIGHEST + 1)]


def test_the_status_of_each_row_is_known() -> None:
    """A row of the fleet is built, built in part, or not built."""
    _, _, fleet = PAGE.partition("\n## The fleet\n")
    assert set(re.findall(r"^\| R\d+ \| ([^|]+) \|", fleet, re.MULTILINE)) <= {"built", "in part", "not built"}


@pytest.mark.parametrize("requirement", BUILT)
def test_a_test_names_each_requirement_that_is_built(requirement: str) -> None:
    """The id is in a comment or in a docstring."""
    assert [line for line in LINES if re.search(rf"\b{requirement}\b", line)]
