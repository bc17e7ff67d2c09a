"""Fixtures: the dynamic providers, called in the same way as by the engine."""

from tests.support.dynamic_provider import engine

__all__ = ["engine"]
