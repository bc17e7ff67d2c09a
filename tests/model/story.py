"""The parts of a search: times, definitions that a user switches between, and seeded bugs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import BACKDATED
from ios_mdm.core.pair.definition import (
    AfterDays,
    AtTime,
    InstallMain,
    InstallReserve,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    OfferedCertificate,
    PairDefinition,
    Promotion,
    When,
)
from tests.support.model_pair import CHAIN, fingerprint, root

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["DEFINITIONS", "END", "LIFE", "ONE_CYCLE", "START", "Seed", "Story"]

START = datetime(2040, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
END = START - BACKDATED + 397 * DAY
"""The first time at which the first main is no longer valid."""

_SECOND = END - 60 * DAY - BACKDATED + 397 * DAY
"""The first time at which a reserve that was issued when it was due is no longer valid."""
_THIRD = _SECOND - 60 * DAY - BACKDATED + 397 * DAY

LIFE: Mapping[str, datetime] = {
    "a quiet day": END - 100 * DAY,
    "seven days later": END - 93 * DAY,
    "a reserve is due": END - 60 * DAY,
    "the warning window": END - 30 * DAY,
    "the apply time": END - DAY,
    "the last day": END - DAY / 2,
    "main has expired": END,
    "the next reserve is due": _SECOND - 60 * DAY,
    "the next apply time": _SECOND - DAY,
    "the reserve has expired": _SECOND,
    "the third reserve is due": _THIRD - 60 * DAY,
    "the third apply time": _THIRD - DAY,
    "the third last day": _THIRD - DAY / 2,
    "the next reserve has expired": _THIRD,
}
"""Times in the life of a pair, by name."""
ONE_CYCLE = (*tuple(LIFE)[:7], "the reserve has expired")


class Seed(StrEnum):
    """A bug that is added to the model, and that the search must find."""

    REUSED_NUMBER = "the number of a deleted certificate is used again"
    SHRUNK_PROFILE = "the profile drops a former main before the server has loaded the new main"
    UNDONE_ROLLBACK = "a certificate that an operator took back counts as a waiting reserve"
    NO_SWAP = "the schedule does not say which version it takes the label from"
    NOT_TAKEN_BACK = "a stale schedule is not withdrawn before the first effect"
    NOT_RECORDED = "a run does not know that a promotion is armed"
    ARMED_FIRST = "the schedule is created although devices were not sent the reserve"
    APPLIED_FIRST = "a replacement of main is applied before devices were sent it"
    UNGUARDED = "the profile drops a deleted reserve that the server presents"
    UNCOVERED = "a run does not check again whether its profile covers the pair"
    NOT_MISSED = "a run does not see that the record of the sent certificates is lost"


OFFERED = OfferedCertificate(
    sha256="c" * 64,
    root="d" * 64,
    not_before=START - 10 * DAY,
    not_after=END + 300 * DAY - timedelta(seconds=1),
    chain="c" * 16,
)
"""A custom certificate that is valid from before the first time until long after the first main."""
_IN_USE = OfferedCertificate(
    sha256=fingerprint(1),
    root=root(1),
    not_before=START - BACKDATED,
    not_after=END - timedelta(seconds=1),
    chain=CHAIN,
)
"""The first main of stories with a custom main."""
_NEXT = replace(OFFERED, root=_IN_USE.root, chain="a" * 16)
"""A custom reserve for this main: both have the same root (R24)."""
_OTHER = replace(_NEXT, sha256="e" * 64, chain="e" * 16)
_LATER = replace(_NEXT, not_before=END - 20 * DAY)


def _renewed_certificate(offered: OfferedCertificate) -> OfferedCertificate:
    """Return the same certificate in a file with another chain."""
    return replace(offered, chain=f"{int(offered.chain, 16) + 1:016x}")


def _definition(
    reserve: IssueReserve | InstallReserve | NoReserve | None = None,
    *,
    main: OfferedCertificate | None = None,
    confirm: int | None = None,
    hold: bool = False,
    main_generation: int = 1,
    confirmed: str | None = None,
    replaces: int | None = None,
    distrust: int | None = None,
) -> PairDefinition:
    return PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=IssueMain(key=KeyType.EC_P256, generation=main_generation) if main is None else InstallMain(offered=main),
        replace_main=replaces is not None,
        confirm_main=None if replaces is None else fingerprint(replaces),
        distrust=frozenset() if distrust is None else frozenset({fingerprint(distrust)}),
        reserve=reserve,
        confirm=confirmed if confirm is None else fingerprint(confirm),
        distributed=True,
        promotion=Promotion(hold=hold),
    )


DEFINITIONS: Mapping[str, PairDefinition] = {
    "auto": _definition(),
    "hold": _definition(hold=True),
    "now": _definition(IssueReserve(when=When.NOW, apply=AfterDays(days=7))),
    "at": _definition(IssueReserve(apply=AtTime(time=LIFE["the warning window"]))),
    "at, on hold": _definition(IssueReserve(apply=AtTime(time=LIFE["the warning window"])), hold=True),
    "none": _definition(NoReserve()),
    "none, confirmed": _definition(NoReserve(), confirm=2),
    "another": _definition(IssueReserve(generation=2)),
    "another, confirmed": _definition(IssueReserve(generation=2), confirm=2),
    "a custom one": _definition(InstallReserve(offered=OFFERED)),
    "a custom one after seven days": _definition(InstallReserve(offered=OFFERED, apply=AfterDays(days=7))),
    "a new main": _definition(main_generation=2),
    "main replaced": _definition(replaces=1),
    "main replaced, on hold": _definition(replaces=1, hold=True),
    "main replaced, and raised": _definition(replaces=1, main_generation=2),
    "main replaced, no reserve": _definition(NoReserve(), replaces=1),
    "main replaced, a reserve now": _definition(IssueReserve(when=When.NOW, apply=AfterDays(days=7)), replaces=1),
    "main distrusted": _definition(replaces=1, distrust=1),
    "main replaced by a file": _definition(main=OFFERED, replaces=1),
    "main replaced by a file of its root": _definition(main=_NEXT, replaces=1),
    "main from a file": _definition(main=_IN_USE),
    "main's chain renewed": _definition(main=_renewed_certificate(_IN_USE)),
    "both from files": _definition(InstallReserve(offered=_NEXT), main=_IN_USE),
    "main's chain renewed, with a reserve": _definition(
        InstallReserve(offered=_NEXT), main=_renewed_certificate(_IN_USE)
    ),
    "both chains renewed": _definition(
        InstallReserve(offered=_renewed_certificate(_NEXT)), main=_renewed_certificate(_IN_USE)
    ),
    "both, after seven days": _definition(InstallReserve(offered=_NEXT, apply=AfterDays(days=7)), main=_IN_USE),
    "both, after seven days, renewed": _definition(
        InstallReserve(offered=_renewed_certificate(_NEXT), apply=AfterDays(days=7)), main=_renewed_certificate(_IN_USE)
    ),
    "another file": _definition(InstallReserve(offered=_OTHER), main=_IN_USE),
    "another file, confirmed": _definition(InstallReserve(offered=_OTHER), main=_IN_USE, confirmed=_NEXT.sha256),
    "a file that is valid later": _definition(InstallReserve(offered=_LATER), main=_IN_USE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Bounds of one search, and its possible events.

    Args:
        definitions: names of the definitions that the user switches between.
        moments: names of the times, in order.
        highest: maximum number of certificates; a run does not start if it creates one more.
        runs: maximum number of concurrent runs. Pulumi's lock on a stack allows one.
        born: whether the pair exists at the start; else the first run creates it.
        custom: whether the first main is a custom certificate.
        device: whether a device is checked.
        operator: whether an operator may take a switch back.
        borrows: whether an operator may let the server present the waiting reserve, which the device trusts.
        dies: whether a run may crash at any point.
        diligent: whether a run ends successfully at every time before the next time begins (R11).
        outages: whether Scheduler might not answer a stage of a run. The story then needs apply times that are among
            its times: AWS stops retrying after hours, but in the model a schedule between two times acts at the later
            time.
        forgets: times at which an operator may remove the tag that records the sent certificates, while no run is in
            progress.
        picked_up: whether a due schedule can no longer be deleted, because AWS has begun to act on it and retries for
            hours.
        seed: the bug; None for none.
    """

    definitions: tuple[str, ...]
    moments: tuple[str, ...] = ONE_CYCLE
    highest: int = 4
    runs: int = 1
    born: bool = True
    custom: bool = False
    device: bool = True
    operator: bool = False
    borrows: bool = False
    dies: bool = True
    diligent: bool = False
    outages: bool = False
    forgets: tuple[str, ...] = ()
    picked_up: bool = False
    seed: Seed | None = None
