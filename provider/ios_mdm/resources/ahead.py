"""The reads of a run's checks, ahead of them.

The program passes two inputs that only ``check`` sees: ``run``, which is random for each run of the program, and
``readings``, which the first pairs have for all. ``check`` does not return them, so no state and no preview has them.
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

__all__ = ["INPUTS", "changed", "reads_of"]

INPUTS: Final = frozenset({"run", "readings"})
"""Names of the inputs that are not kept."""

_ahead: Ahead[Wiring] = Ahead()


def reads_of(news: Wire, reader: str) -> Wiring:
    """Return the wiring for one check: it reads each answer of AWS once, or has read it already.

    Args:
        news: the inputs of the program.
        reader: the kind of resource.
    """
    run = str(news.get("run") or "")
    if isinstance(readings := news.get("readings"), list):
        _ahead.start(run, _readings(readings), _read)
    return _ahead.take(run, str(news["secret"]), reader) or wiring.here().remembering()


def changed(secret: str) -> None:
    """Forget what was read ahead of a secret: it is about to be changed."""
    _ahead.drop(secret)


def _readings(texts: Sequence[object]) -> list[Reading]:
    servers = [one for text in texts for one in json.loads(str(text))]
    return [Reading(**{**one, "endpoints": tuple(one["endpoints"])}) for one in servers]


def _read(reading: Reading) -> Wiring:
    here = wiring.here().remembering()
    region = reading.region
    read_server(reading, here.pairs(region), here.scheduler(region), here.prerequisites(region))
    return here
