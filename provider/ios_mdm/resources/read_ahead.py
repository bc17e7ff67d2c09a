"""Reads ahead of the checks of a run.

The program passes two inputs that only ``check`` gets. ``run`` is a random id of the run of the program. ``readings``
lists the reads for all servers; only the first pairs have this input. ``check`` does not return the two inputs, so
they are in no state and no preview.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ios_mdm import wiring
from ios_mdm.app.read_ahead import ReadAhead, Reading, read_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.resources.plain import Wire
    from ios_mdm.wiring import Wiring

__all__ = ["INPUTS", "forget", "readings_of", "reads_of"]

INPUTS: Final = frozenset({"run", "readings"})
"""Names of the inputs that are not kept."""

_ahead: ReadAhead[Wiring] = ReadAhead()


def reads_of(news: Wire, reader: str) -> Wiring:
    """Return the wiring for one check. It makes each read of AWS once, and may have made it ahead.

    Args:
        news: inputs of the program.
        reader: kind of the resource, ``pair`` or ``distribution``.
    """
    run = str(news.get("run") or "")
    if isinstance(readings := news.get("readings"), list):
        _ahead.start(run, readings_of(readings), _read)
    return _ahead.take(run, str(news["secret"]), reader) or wiring.process_wiring().with_cached_reads()


def forget(secret: str) -> None:
    """Drop the reads that were made ahead for a secret, before the secret is changed."""
    _ahead.drop(secret)


def readings_of(texts: Sequence[object]) -> list[Reading]:
    """Parse the input ``readings``: JSON arrays of objects without the default values."""
    servers = [one for text in texts for one in json.loads(str(text))]
    return [Reading(**{**one, "endpoints": tuple(one.get("endpoints", ()))}) for one in servers]


def _read(reading: Reading) -> Wiring:
    here = wiring.process_wiring().with_cached_reads()
    region = reading.region
    read_server(reading, here.pairs(region), here.scheduler(region), here.prerequisites(region))
    return here
