"""Reduces the work of Python and Pulumi's SDK in a program that declares resources."""

from __future__ import annotations

import gc

import pulumi

__all__ = ["reduce_overhead"]


def reduce_overhead() -> None:
    """Turn off the SDK's debug messages and the garbage collector in this process.

    The SDK sends five debug messages for each resource to the engine, even without ``--debug``. With many resources,
    they take a third of the program's CPU time and a sixth of the engine's CPU time.

    A program needs nearly all its objects until it ends, so garbage collection finds little. A process that continues
    after the program, for example with the Automation API, should not call this function.
    """
    gc.disable()
    pulumi.log.debug = _no_message


def _no_message(*_arguments: object, **_options: object) -> None:
    pass
