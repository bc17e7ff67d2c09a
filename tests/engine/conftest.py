"""Fixtures: the real engine, an AWS emulator and NanoMDM."""

from tests.support.engine import aws, world

__all__ = ["aws", "world"]
