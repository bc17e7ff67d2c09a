"""Writes a checklist as a JUnit report, which pipelines show in a merge request."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from ios_mdm.core.rules import Outcome
from ios_mdm.core.text import printable

if TYPE_CHECKING:
    from ios_mdm.core.rules import Report

__all__ = ["junit_xml"]


def junit_xml(report: Report, *, name: str) -> bytes:
    """Return the report as XML: a suite with a case for each rule.

    Args:
        report: Result of the rules.
        name: Name of the suite.
    """
    outcomes = [check.outcome for check in report.checklist]
    suite = ET.Element(
        "testsuite",
        name=printable(name),
        tests=str(len(outcomes)),
        failures=str(outcomes.count(Outcome.FAILED)),
        skipped=str(outcomes.count(Outcome.NOT_APPLICABLE)),
        errors="0",
    )
    for check in report.checklist:
        case = ET.SubElement(suite, "testcase", classname=check.requirement, name=check.title)
        if check.violations:
            codes = ", ".join(dict.fromkeys(one.code for one in check.violations))
            failure = ET.SubElement(case, "failure", type=check.violations[0].code, message=codes)
            failure.text = "\n".join(f"{one.code}: {printable(one.message)}" for one in check.violations)
        elif check.outcome is Outcome.NOT_APPLICABLE:
            ET.SubElement(case, "skipped", message=printable("; ".join(check.remarks)))
    if report.notices:
        ET.SubElement(suite, "system-out").text = "\n".join(map(printable, report.notices))
    ET.indent(suite)
    written = BytesIO()
    ET.ElementTree(suite).write(written, encoding="utf-8", xml_declaration=True)
    return written.getvalue()
