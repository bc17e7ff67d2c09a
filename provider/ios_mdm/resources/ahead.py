"""Reads ahead for the checks of a run.

The program passes two inputs that only ``check`` sees. ``run`` is random for each run of the program. ``readings``
lists what to read for all servers; only the first pairs have it. ``check`` does not return them, so no state and no
preview has them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ios_mdm import wiring
from ios_mdm.app.ahead import Ahead, Reading, read_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.resources.plain import Wire
    from ios_mdm.wiring import Wiring

__all__ = ["INPUTS", "forget", "readings_of", "reads_of"]

INPUTS: Final = frozenset({"run", "readings"})
"""Names of the inputs that are not kept."""

_ahead: Ahead[Wiring] = Ahead()


def reads_of(news: Wire, reader: str) -> Wiring:
    """Return the wiring for one check, which reads each answer of AWS once, or has read it ahead.

    Args:
        news: the inputs of the program.
        reader: the kind of resource.
    """
    run = str(news.get("run") or "")
    if isinstance(readings := news.get("readings"), list):
        _ahead.start(run, readings_of(readings), _read)
    return _ahead.take(run, str(news["secret"]), reader) or wiring.here().remembering()


def forget(secret: str) -> None:
    """Drop what was read ahead for a secret that is about to be changed."""
    _ahead.drop(secret)


def readings_of(texts: Sequence[object]) -> list[Reading]:
    """Return what to read from the input ``readings``, in which defaults are left out."""
    servers = [one for text in texts for one in json.loads(str(text))]
    return [Reading(**{**one, "endpoints": tuple(one.get("endpoints", ()))}) for one in servers]


def _read(reading: Reading) -> Wiring:
    here = wiring.here().remembering()
    region = reading.region
    read_server(reading, here.pairs(region), here.scheduler(region), here.prerequisites(region))
    return here
