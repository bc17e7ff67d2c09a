"""Fixtures: pairs on a real emulator."""

from tests.support.backends import ministack_url, no_aws
from tests.support.command_line import pair

__all__ = ["ministack_url", "no_aws", "pair"]
