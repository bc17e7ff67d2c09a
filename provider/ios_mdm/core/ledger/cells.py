"""Groups devices by what their state depends on, so that a ledger can count states without reading each device."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceRecord, DeviceState, StatePolicy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ios_mdm.core.ledger.registers import Enrollment, Progress

__all__ = ["Cell", "State", "cells", "states"]

_DAY: Final = 86_400_000_000
"""Microseconds of a day."""
_ALWAYS: Final = 1 << 62
"""A time after every other one: each device that can be silent is silent before it."""


class State(NamedTuple):
    """States of the devices of a cell.

    Args:
        state: state of the devices; if it depends on ``since``, the state of those that are not silent.
        is_open: whether each device must be read, because some of them are silent and some are not.
    """

    state: DeviceState
    is_open: bool = False


class Cell(NamedTuple):
    """A group of devices. For any ``StatePolicy``, all have the same state, apart from those that become silent.

    A cell without a server has the first two values only.

    Args:
        bare: state of a device to which nothing was sent.
        proved: numbers of the certificates that are proved, sorted. A state with a proof replaces the others.
        former: state if the revision of the policy is another one.
        revision: revision of the profile; 0 in a cell without a server.
        state: state of this revision, if the device is not silent.
        day: number of days from 1970 to the day from whose times a device becomes silent; None if it cannot.
    """

    bare: DeviceState
    proved: tuple[int, ...] = ()
    former: DeviceState = DeviceState.NOT_SENT
    revision: int = 0
    state: DeviceState = DeviceState.NOT_SENT
    day: int | None = None

    @property
    def text(self) -> str:
        """The cell as a text, which sorts by the first two values."""
        head = f"{self.bare};{','.join(map(str, self.proved))}"
        if not self.revision:
            return head
        return f"{head};{self.former};{self.revision};{self.state};{'' if self.day is None else self.day}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the cell of a text."""
        bare, numbers, *rest = text.split(";")
        head = (DeviceState(bare), tuple(int(one) for one in numbers.split(",") if one))
        if not rest:
            return cls(*head)
        former, revision, state, day = rest
        return cls(*head, DeviceState(former), int(revision), DeviceState(state), int(day) if day else None)

    @property
    def without_server(self) -> Cell:
        """The cell of the same devices without a server."""
        return Cell(self.bare, self.proved)


def cells(enrollment: Enrollment, progress: Mapping[str, Progress], reported: Mapping[int, int]) -> dict[str, Cell]:
    """Return the cell of a device for each server with a record, and for the empty name the one without a server.

    A device that is not known is in no cell.

    Args:
        enrollment: record of the events of the device.
        progress: record of each server's profile on the device, by the name of the server.
        reported: time of the last list that has a certificate, by the number of the certificate.
    """
    if not enrollment.is_known:
        return {}
    bare = _state(DeviceRecord(enrollment_id="", enrollment=enrollment))
    is_provable = bare is not DeviceState.GONE
    proved = tuple(sorted(one for one, at in reported.items() if is_provable and enrollment.is_proved(at)))
    found = {"": Cell(bare, proved)}
    for server, one in progress.items():
        record = DeviceRecord(enrollment_id="", enrollment=enrollment, progress=one)
        state = _state(record, one.revision)
        found[server] = Cell(bare, proved, _state(record), one.revision, state, _day(record))
    return found


def _state(record: DeviceRecord, revision: int | None = None, silent_before: int = NEVER) -> DeviceState:
    return device_status(record, StatePolicy(revision=revision, silent_before=silent_before)).state


def _day(record: DeviceRecord) -> int | None:
    """Return the day of the time from which a device becomes silent; None if it cannot."""
    progress = record.progress
    if progress is None or _state(record, progress.revision, _ALWAYS) is not DeviceState.SILENT:
        return None
    times = sorted({record.enrollment.seen, progress.queued, progress.answer.at} - {NEVER})
    last = next(one for one in times if _state(record, progress.revision, one + 1) is DeviceState.SILENT)
    return last // _DAY


def states(
    all_devices: Mapping[Cell, int],
    of_server: Mapping[Cell, int],
    policy: StatePolicy,
    numbers: Mapping[bytes, int],
) -> Counter[State]:
    """Return the number of devices in each state.

    Args:
        all_devices: number of devices in each cell without a server.
        of_server: number of devices in each cell of the server.
        policy: the profile, and the settings from which states are computed.
        numbers: number of each certificate in the server's published profile, by its SHA-256.
    """
    required = [numbers.get(one) for one in policy.certificates]
    found: Counter[State] = Counter()
    bare = Counter(all_devices)
    for cell, count in of_server.items():
        bare[cell.without_server] -= count
        found[_cell_state(cell, policy, required)] += count
    for cell, count in bare.items():
        found[_cell_state(cell, policy, required)] += count
    return Counter({state: count for state, count in found.items() if count})


def _cell_state(cell: Cell, policy: StatePolicy, required: Collection[int | None]) -> State:
    if required and all(one in cell.proved for one in required):
        return State(DeviceState.PROVED)
    if not cell.revision:
        return State(cell.bare)
    if cell.revision != policy.revision:
        return State(cell.former)
    if cell.day is None or policy.silent_before <= cell.day * _DAY:
        return State(cell.state)
    if policy.silent_before >= (cell.day + 1) * _DAY:
        return State(DeviceState.SILENT)
    return State(cell.state, is_open=True)
