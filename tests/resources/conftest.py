"""Fixtures: the dynamic providers, called as the engine calls them."""

from tests.support.dynamic_provider import engine

__all__ = ["engine"]
