"""What a state of the model is: values that are quick to compare, certificates as ordinals, sets of them as masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.model.deciding import View

__all__ = ["Next", "Run", "State"]


class Run(NamedTuple):
    """A run that is under way.

    Args:
        view: what it decides from.
        at: what it does next.
    """

    view: View
    at: str


class State(NamedTuple):
    """A state of the world; certificates are ordinals, sets of them masks.

    Args:
        moment: by number.
        secret: by number.
        schedule: by number, 0 for none.
        outdated: the schedule is from before the last move by an operator.
        under_way: the schedule that AWS acts on and nobody can take back, 0 for none.
        runs: under way, sorted.
        served: the certificate that the server presents, 0 for none.
        device: the certificates that it trusts; None where it is not looked at any further.
        queue: the profiles that wait for it, in their order.
        sent: the certificates of the profile that Pulumi's state tells of.
        carried: the certificates that a push ever carried.
        on_hold: a run with `hold` has looked at the schedule, and none without has come since.
        taken_back: the certificates that an operator took back.
        done: a run has come to its end since the last moment; only where the story is of a diligent one.
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
    """What may happen next.

    Args:
        state: afterwards.
        event: in words.
        complaint: what must never be seen and is; else empty.
    """

    state: State
    event: str
    complaint: str = ""
