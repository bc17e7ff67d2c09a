"""An opt-out keeps a phrase on its line, and needs a reason."""

from __future__ import annotations

import pytest

from tools.prose.check import RULES, file_findings

WORD = "moment"
"""A word that the rule of this name finds."""

VERB = "told"
REASON = f"prose: allow {WORD}: AWS uses the word"


def findings(path: str, source: str, rules: tuple[str, ...] = RULES) -> list[tuple[str, str]]:
    """Return rule and phrase of each finding."""
    return [(finding.rule, finding.phrase) for finding in file_findings(path, source, rules)]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("provider/module.py", f"print('the {WORD}')  # {REASON}"),
        ("provider/module.py", f"# The {WORD}.  # {REASON}"),
        ("provider/module.py", f'"""Summary.\n\nThe {WORD}.\n"""  # {REASON}\n'),
        ("provider/module.py", "MOST_KEYS = 8  # prose: allow name-word: the name in the protocol"),
        ("docs/page.md", f"The {WORD}. <!-- {REASON} -->"),
        ("docs/page.md", f"| the {WORD} | <!-- {REASON} -->"),
        ("docs/page.md", "One. Two. <!-- prose: allow sentence-per-line: a quotation -->"),
        ("examples/a.yaml", f"key: 1 # the {WORD} # {REASON}"),
        ("tools/main.go", f"// the {WORD} // {REASON}"),
        ("Makefile", f"# the {WORD} it {VERB} # {REASON} # prose: allow {VERB}: a quotation"),
    ],
)
def test_a_phrase_with_an_opt_out_is_kept(path: str, source: str) -> None:
    """On the same line, or after the end of the string that holds the phrase."""
    assert not findings(path, source)


def test_an_opt_out_concerns_one_rule_and_one_line() -> None:
    """Other findings stay."""
    source = f"print('the {WORD} it {VERB}')  # {REASON}\nprint('the {WORD}')\n"
    assert findings("provider/module.py", source) == [(VERB, VERB), (WORD, WORD)]


@pytest.mark.parametrize("reason", ["", ":", ": "])
def test_an_opt_out_without_a_reason_is_an_error(reason: str) -> None:
    """The phrase itself is no further finding."""
    source = f"The {WORD}. <!-- prose: allow {WORD}{reason} -->"
    assert findings("docs/page.md", source) == [("opt-out", f"prose: allow {WORD} (without a reason)")]


@pytest.mark.parametrize("rule", [WORD, "no-such-rule"])
def test_an_opt_out_that_suppresses_nothing_is_an_error(rule: str) -> None:
    """Whether or not the rule exists."""
    expected = [("opt-out", f"prose: allow {rule} (suppresses nothing)")]
    assert findings("provider/module.py", f"# The time.  # prose: allow {rule}: because") == expected


def test_an_opt_out_of_a_rule_that_is_not_checked_is_no_error() -> None:
    """The rule would not be found without it, either."""
    assert not findings("provider/module.py", f"print('the {WORD}')  # {REASON}", (VERB, "opt-out"))


def test_an_opt_out_in_a_string_is_text() -> None:
    """Only a comment of Python counts."""
    assert findings("provider/module.py", f"print('the # {REASON}')") == [(WORD, WORD)]
