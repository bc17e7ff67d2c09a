"""Days in the life of a pair, as variables that set the clock of the engine's processes."""

from __future__ import annotations

DAY_0 = "2040-01-01T00:00:00Z"
DAY_10 = "2040-01-11T00:00:00Z"
DAY_31 = "2040-02-01T00:00:00Z"
DAY_62 = "2040-03-03T00:00:00Z"


def at(moment: str) -> dict[str, str]:
    """Return the variable that sets the clock."""
    return {"IOS_MDM_CLOCK": moment}
