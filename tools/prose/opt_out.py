"""Opt-outs: comments that keep a phrase, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.prose.text import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tools.prose.text import Line

__all__ = ["OPT_OUT", "opt_outs", "remaining"]

OPT_OUT = "opt-out"

_MARKER = re.compile(r"(?:#|//|<!--)\s*prose: allow (?P<rule>[\w-]+)(?::(?P<reason>(?:(?!#\s*prose:|-->).)*))?")


@dataclass(frozen=True, slots=True)
class OptOut:
    """A comment that allows the findings of one rule on its line.

    Args:
        line: number of the line.
        rule: name of the rule.
        reason: empty if there is none.
    """

    line: int
    rule: str
    reason: str


def opt_outs(comments: Iterable[Line]) -> tuple[OptOut, ...]:
    """Return the opt-outs of lines or comments."""
    return tuple(
        OptOut(number, match["rule"], (match["reason"] or "").strip())
        for number, comment in comments
        if "prose:" in comment
        for match in _MARKER.finditer(comment)
    )


def remaining(findings: Iterable[Finding], found: Collection[OptOut], unchecked: Collection[str]) -> Iterator[Finding]:
    """Return the findings that no opt-out allows, and the opt-outs that are wrong.

    Args:
        findings: of one file.
        found: the opt-outs of the file.
        unchecked: the rules that this run does not check. An unused opt-out of such a rule is not wrong.
    """
    used = set()
    for finding in findings:
        allowed = [one for one in found if one.rule == finding.rule and _covers(one.line, finding)]
        used.update(allowed)
        if not allowed:
            yield finding
    for one in found:
        if one not in used and one.rule not in unchecked:
            yield _wrong(one, "suppresses nothing", "no opt-out")
        elif not one.reason:
            yield _wrong(one, "without a reason", f"prose: allow {one.rule}: REASON")


def _covers(line: int, finding: Finding) -> bool:
    return finding.line <= line <= finding.last_line or line == finding.closing


def _wrong(one: OptOut, fault: str, write: str) -> Finding:
    phrase = f"prose: allow {one.rule} ({fault})"
    return Finding(rule=OPT_OUT, line=one.line, last_line=one.line, phrase=phrase, write=write)
