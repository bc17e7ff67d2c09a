# ruff: noqa: INP001 - a program of its own, which the engine starts in its folder
"""A program that declares nothing: what every run costs."""

import pulumi

__all__ = ["pulumi"]
