"""Fixtures: the dynamic providers, called in the same way as by the engine."""

from tests.support.distribution_run import run
from tests.support.dynamic_provider import engine

__all__ = ["engine", "run"]
