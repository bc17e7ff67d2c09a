"""The clock of this machine, or a fixed clock that a rehearsal on an emulator sets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ios_mdm.core.times import parsed_time
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.ports import Clock

__all__ = ["VARIABLE", "FixedClock", "SystemClock", "clock_from_environment"]

VARIABLE = "IOS_MDM_CLOCK"
"""Environment variable with the time of a rehearsal, RFC 3339: ``2040-01-01T00:00:00Z``."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """Return the time, aware UTC, whole seconds."""
        return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedClock:
    """A clock that always returns the same time.

    Args:
        time: the time, aware.
    """

    time: datetime

    def now(self) -> datetime:
        """Return the time, aware UTC, whole seconds."""
        return self.time.astimezone(UTC).replace(microsecond=0)


def clock_from_environment(environ: Mapping[str, str]) -> Clock:
    """Return this machine's clock, or the fixed clock that ``IOS_MDM_CLOCK`` in *environ* sets for a rehearsal.

    Raises:
        DefinitionError: The variable is not an RFC 3339 date and time, or AWS is not an emulator on loopback. A
            certificate with invented dates must not be stored in a real account.
    """
    text = environ.get(VARIABLE, "").strip()
    if not text:
        return SystemClock()
    from ios_mdm.adapters.aws import Aws

    if not Aws(environ=environ).is_emulator:
        raise DefinitionError(
            f"{VARIABLE} sets the clock for rehearsals only, with an AWS emulator on this machine. "
            f"Unset it, or point AWS_ENDPOINT_URL at the emulator on 127.0.0.1."
        )
    try:
        return FixedClock(time=parsed_time(text))
    except ValueError as error:
        raise DefinitionError(f"{VARIABLE}: {error}") from None
