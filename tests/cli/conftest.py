"""Fixtures: pairs on a real emulator, and a pair in memory."""

from tests.support.backends import ministack_url, no_aws
from tests.support.command_line import pair
from tests.support.sent_stack import stack

__all__ = ["ministack_url", "no_aws", "pair", "stack"]
