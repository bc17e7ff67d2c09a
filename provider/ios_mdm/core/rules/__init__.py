"""The rules for a custom certificate, each a function with its requirement (R19-R28). All that are broken are told."""

from ios_mdm.core.rules.judge import RULES, Judgement, judged, report, unread
from ios_mdm.core.rules.model import Check, Context, Finding, Outcome, Remark, Report, Rule, Violation

__all__ = [
    "RULES",
    "Check",
    "Context",
    "Finding",
    "Judgement",
    "Outcome",
    "Remark",
    "Report",
    "Rule",
    "Violation",
    "judged",
    "report",
    "unread",
]
