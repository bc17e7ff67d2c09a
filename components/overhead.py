"""Reduces the work of Python and Pulumi's SDK in a program that declares resources."""

from __future__ import annotations

import gc

import pulumi

__all__ = ["reduce_overhead"]


def reduce_overhead() -> None:
    """Turn off the SDK's debug messages and the garbage collector in this process.

    The SDK calls the engine with five debug messages for each resource, even without ``--debug``. With many resources,
    they take a third of the program's CPU time, and a sixth of the engine's.

    Nearly all objects of a program are needed until it ends, so a search for garbage finds little. A process that
    continues after the program, such as one that uses the Automation API, should not call this.
    """
    gc.disable()
    pulumi.log.debug = _no_message


def _no_message(*_arguments: object, **_options: object) -> None:
    pass
