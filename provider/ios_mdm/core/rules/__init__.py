"""The rules for a custom certificate (R19-R28), one function each. All broken rules are reported together."""

from ios_mdm.core.rules.judge import RULES, Judgment, best_judgment, report, unread_report
from ios_mdm.core.rules.model import Check, Context, Finding, Outcome, Remark, Report, Rule, Violation

__all__ = [
    "RULES",
    "Check",
    "Context",
    "Finding",
    "Judgment",
    "Outcome",
    "Remark",
    "Report",
    "Rule",
    "Violation",
    "best_judgment",
    "report",
    "unread_report",
]
