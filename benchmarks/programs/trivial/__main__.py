# ruff: noqa: INP001 - a separate program, which the engine starts in this folder
"""Declares resources that do nothing. The key ``count`` of the configuration is their number."""

import pulumi
from trivial import Trivial

for number in range(pulumi.Config().require_int("count")):
    Trivial(f"r{number}")
