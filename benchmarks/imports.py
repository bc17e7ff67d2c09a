"""Measures the import time of each package with ``python -X importtime``."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from benchmarks.scenarios import INSTALLATION
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PROCESSES", "heaviest_packages", "package_times"]

PROCESSES: Mapping[str, str] = {
    "program": "import pulumi, components",
    "provider": (
        "import pulumi.dynamic, ios_mdm.resources.pair_hooks; "
        "import os; from ios_mdm.adapters.aws import Aws; "
        "aws = Aws(environ=os.environ, region='eu-west-1'); "
        "aws.secrets_manager(); aws.scheduler(); aws.iam(); aws.sqs()"
    ),
}
"""Imports of our two Python processes in a run without distribution and without pending changes."""

_LINE = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")
_PROJECT_PACKAGES = {"ios_mdm", "components"}


def package_times(log: str) -> Mapping[str, float]:
    """Return the milliseconds of each package without its imports, from the output of ``-X importtime``."""
    found: dict[str, float] = {}
    for microseconds, module in _LINE.findall(log):
        package = module.partition(".")[0]
        package = "ios-mdm" if package in _PROJECT_PACKAGES else package
        found[package] = found.get(package, 0.0) + int(microseconds) / 1000
    return found


def heaviest_packages(python: Path, code: str, count: int = 8) -> Mapping[str, float]:
    """Run *code*; return the milliseconds of the *count* expensive packages, and the sum of all packages as ``all``."""
    done = subprocess.run(
        [python, "-X", "importtime", "-c", code],
        cwd=ROOT,
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true", **INSTALLATION},
        capture_output=True,
        text=True,
        check=True,
    )
    found = package_times(done.stderr)
    ranked = sorted(found.items(), key=lambda item: -item[1])[:count]
    return {**dict(ranked), "all": sum(found.values())}
