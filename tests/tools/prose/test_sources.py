"""The parts of each kind of file that are read."""

from __future__ import annotations

import re

import pytest

from tools.prose.check import file_findings

FOUND = "moment"
"""A word that the rule of this name finds."""

PYTHON = '''\
"""Summary.

Args:
    value: START the first line holds.
"""
# A comment, at a WORD of
# its OWN.
NAME = "WORD"  # a trailing WORD
"""The WORD of a constant."""
print("a part that is " "VERB", f"the {NAME} WORD", b"the WORD")
print(
    "the first line "
    # a WORD between two parts
    "the second WORD"
)
WORD = TABLE["the_WORD"].WORD
'''


def with_words(template: str) -> str:
    """Return *template* with the words that rules find."""
    words = {"START": "what", "WORD": FOUND, "OWN": "own", "VERB": "told"}
    return re.sub("|".join(words), lambda match: words[match[0]], template)


def findings(path: str, template: str, *rules: str) -> list[tuple[int, str]]:
    """Return line and phrase of each finding of *rules*."""
    return [(finding.line, finding.phrase) for finding in file_findings(path, with_words(template), rules)]


def test_comments_docstrings_and_string_literals_of_python_are_read() -> None:
    """Each with the line that holds the phrase."""
    assert findings("provider/module.py", PYTHON, FOUND) == [
        (6, FOUND),
        (8, FOUND),
        (9, FOUND),
        (10, FOUND),
        (13, FOUND),
        (14, FOUND),
    ]


def test_a_phrase_can_continue_on_the_next_line() -> None:
    """A comment and the parts of a literal are one text."""
    assert [line for line, _ in findings("provider/module.py", PYTHON, "own")] == [6]
    assert findings("provider/module.py", PYTHON, "told") == [(10, "told")]


def test_the_description_of_an_argument_starts_a_sentence() -> None:
    """The label before it does not count."""
    assert findings("provider/module.py", PYTHON, "headless") == [(4, "what")]


@pytest.mark.parametrize(
    ("message", "count"),
    [("START a pair is.", 0), ("START devices were sent is recorded.", 1), ("START a pair is in the state.", 1)],
)
def test_a_message_of_a_few_words_may_have_no_subject(message: str, count: int) -> None:
    """It may be a part of another message."""
    assert len(findings("provider/module.py", f"print('{message}')", "headless")) == count


@pytest.mark.parametrize(
    "source",
    [
        '"""A key, ``VERB``, and `the WORD`."""',
        '"""https://example.com/the/WORD is a page."""',
        "print(VERB, WORD)  # type: ignore[VERB]",
        "print('WORD')",
        "print(f'the {WORD} of the {VERB:>{WORD}}')",
    ],
)
def test_code_is_not_read(source: str) -> None:
    """Code spans, URLs, pragmas, keys and placeholders are no prose."""
    assert not findings("provider/module.py", source, FOUND, "told")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("provider/module.py", [(3, "R26")]), ("tests/test_module.py", [])],
)
def test_the_help_of_a_command_is_a_message(path: str, expected: list[tuple[int, str]]) -> None:
    """The docstring of a click command is shown to users; other docstrings may name a requirement."""
    source = '@click.command()\ndef check() -> None:\n    """Check it (R26)."""\ndef other() -> None:\n    """R27."""\n'
    assert findings(path, source, "requirement-id") == expected


def test_the_name_of_a_module_is_read() -> None:
    """Line 1 stands for the file."""
    assert findings(f"provider/{FOUND}.py", "", "name-word") == [(1, FOUND)]


PAGE = """\
# Headings: the WORD

START it is. The text at a WORD,
with a [link at the WORD](https://example.com/WORD) and `a WORD`.

```python
WORD = "the WORD"
```

| WORD | START it is |
|---|---|
| the WORD | START it is. |

<!-- a comment at the WORD -->
<img alt="WORD">

- > The item of a WORD.
"""


def test_headings_paragraphs_lists_and_tables_of_markdown_are_read() -> None:
    """Code, HTML, comments and the targets of links are not."""
    lines = [line for line, _ in findings("docs/page.md", PAGE, FOUND)]
    assert lines == [1, 3, 4, 10, 12, 17]


def test_a_heading_may_have_no_subject() -> None:
    """Neither a heading nor the head of a table is a sentence."""
    assert findings("docs/page.md", PAGE, "headless") == [(3, "what"), (12, "what")]
    assert not findings("docs/page.md", "## START it shows\n", "headless")


@pytest.mark.parametrize(
    ("path", "source", "lines"),
    [
        ("Makefile", "WORD: ## the WORD of a target\n\t@echo WORD # a WORD\n", [1, 2]),
        ("examples/a.yml", "WORD: x#WORD\n# a WORD\n", [2]),
        ("pyproject.toml", "# a WORD of\n# its end\nWORD = 1", [1]),
        (".ci/run", "#!/WORD\n: WORD # WORD\n", [2]),
        ("tools/main.go", "// a WORD\nvar WORD = 1 // WORD\n", [1, 2]),
        ("tools/host", "#!/usr/bin/env python3\n'the WORD'\n", [2]),
    ],
)
def test_only_the_comments_of_other_sources_are_read(path: str, source: str, lines: list[int]) -> None:
    """Makefile, YAML, TOML, shell and Go have comments; a program without a suffix may be Python."""
    assert [line for line, _ in findings(path, source, FOUND)] == lines
