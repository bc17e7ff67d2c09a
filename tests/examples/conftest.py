"""Fixtures: the stack of the engine's tests, on which the shell lines of the pipelines run."""

from tests.support.engine import world

__all__ = ["world"]
