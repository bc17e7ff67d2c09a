# ruff: noqa: INP001 - a program of its own, which the engine starts in its folder
"""As many resources that do nothing as the configuration says."""

import pulumi
from trivial import Trivial

for number in range(pulumi.Config().require_int("count")):
    Trivial(f"r{number}")
