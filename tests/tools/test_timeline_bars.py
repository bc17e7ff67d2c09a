"""Certificates as bars of text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tools.timeline_bars import Bar, bar_chart

START = datetime(2040, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=366)


def test_a_row_for_each_certificate_with_the_months_below() -> None:
    """The bars show reserve, main and former main, and the legend explains them."""  # R14
    first = Bar("certificate 1", START, START + 1.1 * YEAR, START, START + YEAR)
    second = Bar("certificate 2", START + 0.9 * YEAR, START + 2 * YEAR, START + YEAR)
    main, reserve, months, legend = bar_chart([first, second], width=40).plain.splitlines()
    assert main == f"  certificate 1   {'█' * 20}··"
    assert reserve == f"  certificate 2   {' ' * 18}░░{'█' * 20}"
    assert months.index("2041-01") == main.index("█") + 20
    assert legend.split("   ")[-3:] == ["░ reserve", "█ main", "· former main, still trusted"]


def test_a_legend_explains_only_what_is_there() -> None:
    """A new pair has neither a reserve nor a former main."""
    legend = bar_chart([Bar("certificate 1", START, START + YEAR, START)]).plain.splitlines()[-1]
    assert legend.strip() == "█ main"
