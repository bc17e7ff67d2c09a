"""Fixtures: a stack as in the engine's tests, which the pipelines' shell lines work on."""

from tests.support.engine import world

__all__ = ["world"]
