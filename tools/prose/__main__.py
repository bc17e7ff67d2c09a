"""The command ``python -m tools.prose``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools.prose.check import RULES, check, source_paths

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Print the findings; return 1 if there are any, and 0 if there are none."""
    parser = argparse.ArgumentParser(prog="python -m tools.prose", description="Check the wording of the project.")
    parser.add_argument("--rule", action="append", choices=RULES, help="check only this rule; can be repeated")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="file or folder; the whole repository by default")
    options = parser.parse_args(arguments)
    selected = [os.path.relpath(path, ROOT) for path in options.paths]
    findings = list(check(ROOT, source_paths(ROOT, selected), options.rule or RULES))
    for path, finding in findings:
        print(finding.report_line(path))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
