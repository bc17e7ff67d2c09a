"""Reduces what Python and Pulumi's SDK do in a program beside the declaration of its resources."""

from __future__ import annotations

import gc

import pulumi

__all__ = ["reduce_overhead"]


def reduce_overhead() -> None:
    """Send none of the SDK's debug messages, and collect no garbage, in the rest of this process.

    The SDK calls the engine with five debug messages for each resource, even if nobody asked for ``--debug``. With many
    resources, that is a third of the time of the program, and a sixth of the engine's.

    Nearly all that a program makes is needed until it ends, so a search for garbage finds little. A process that goes
    on after the program, as one of the Automation API, should not call this.
    """
    gc.disable()
    pulumi.log.debug = _no_message


def _no_message(*_arguments: object, **_options: object) -> None:
    pass
