"""States of the model: values that are quick to compare, with certificates as numbers and sets of them as masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.model.deciding import View

__all__ = ["Next", "Run", "State"]


class Run(NamedTuple):
    """A run in progress.

    Args:
        view: inputs of its decision.
        at: its next action.
    """

    view: View
    at: str


class State(NamedTuple):
    """A state of the model; certificates are numbers, sets of them masks.

    Args:
        moment: number of the time.
        secret: number of the secret.
        schedule: number of the schedule, 0 for none.
        outdated: whether the schedule is older than the last move by an operator.
        under_way: number of the schedule that AWS acts on and that can no longer be deleted, 0 for none.
        runs: runs in progress, sorted.
        served: the certificate that the server presents, 0 for none.
        device: the certificates that the device trusts; None if the device is no longer checked.
        queue: the profiles that wait for the device, in order.
        sent: the certificates of the profile in Pulumi's state.
        carried: the certificates that were ever pushed.
        on_hold: whether a run with `hold` has checked the schedule, and no run without `hold` has started since.
        taken_back: the certificates that an operator took back.
        done: whether a run has ended since the last time step; only set in diligent stories.
    """

    moment: int
    secret: int
    schedule: int = 0
    outdated: bool = False
    under_way: int = 0
    runs: tuple[Run, ...] = ()
    served: int = 0
    device: int | None = None
    queue: tuple[int, ...] = ()
    sent: int = 0
    carried: int = 0
    on_hold: bool = False
    taken_back: int = 0
    done: bool = False


class Next(NamedTuple):
    """A possible next event.

    Args:
        state: state afterwards.
        event: description of the event.
        complaint: the violated property; empty if there is none.
    """

    state: State
    event: str
    complaint: str = ""
