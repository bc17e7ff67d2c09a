# ruff: noqa: INP001 - a separate program, which the engine starts in this folder
"""A program that declares nothing. Its cost is the minimum cost of a run."""

import pulumi

__all__ = ["pulumi"]
