"""Text from outside cannot control a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.text import one_line, printable


@given(st.text(), st.integers(min_value=1, max_value=20))
def test_any_text_becomes_printable_and_short(text: str, longest: int) -> None:
    """The result has no control characters, escapes, bidirectional marks or line ends."""
    for shown in (printable(text, limit=longest), one_line(text, limit=longest)):
        assert shown.isprintable()
        assert len(shown) <= longest


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_a_printable_text_stays_as_it_is(text: str) -> None:
    """Letters of every alphabet are kept."""
    assert printable(text) == one_line(text, limit=len(text) or 1) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "?[31mred?[0m"),
        ("one\ntwo\r\n", "one?two??"),
        ("\u202egpj.exe", "?gpj.exe"),
        ("bücher\N{NO-BREAK SPACE}", "bücher?"),
    ],
)
def test_a_mark_stands_where_something_was(text: str, shown: str) -> None:
    """A name with hidden characters does not look like a name without them."""
    assert printable(text) == shown
    assert printable(text, mark="") == shown.replace("?", "")


def test_line_feeds_may_stay() -> None:
    """A message of several lines keeps its line feeds, but no other control characters."""
    assert printable("one\ntwo\r", keep="\n") == "one\ntwo?"


def test_one_line_has_single_spaces() -> None:
    """Line ends and indentation become single spaces."""
    assert one_line("  first\n\t second\x00line ", limit=100) == "first second line"


@pytest.mark.parametrize(("text", "shown"), [("abcd", "abcd"), ("abcde", "abc…")])
def test_a_long_text_ends_with_an_ellipsis(text: str, shown: str) -> None:
    """The ellipsis counts as a character."""
    assert printable(text, limit=4) == one_line(text, limit=4) == shown
