"""Tests of the decision to send a device a command again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ios_mdm.core.ledger.overdue import CommandKind, LedgerRules, overdue_command
from ios_mdm.core.ledger.registers import Enrollment, Finality, LastAnswer, Progress, microseconds
from ios_mdm.core.ledger.values import DeviceRecord, Publication

START = datetime(2040, 1, 1, tzinfo=UTC)
CERTIFICATE = b"c" * 32
PUBLICATION = Publication(
    server="berlin",
    revision=2,
    profile=b"a profile",
    certificates=frozenset({CERTIFICATE}),
    seed=UUID(int=1),
    at=START,
)
WITHOUT_PROOF, WITH_PROOF = LedgerRules(), LedgerRules(is_proof_configured=True)


def at(days: float) -> int:
    """Return a time as a register."""
    return microseconds(START + timedelta(days=days))


def record(
    *, queued: float | None = 0, progress: Progress | None = None, reported: float | None = None, **times: float
) -> DeviceRecord:
    """Return a device that enrolled a day before the start. Times are days after the start."""
    registers = {"authenticated": at(-1), "seen": at(-1), **{name: at(days) for name, days in times.items()}}
    enrollment = Enrollment(**registers)
    if progress is None and queued is not None:
        progress = Progress(revision=2, queued=at(queued), epoch=at(-1))
    certificates = {} if reported is None else {CERTIFICATE: at(reported)}
    return DeviceRecord(enrollment_id="a", enrollment=enrollment, progress=progress, reported=certificates)


def due_days(one: DeviceRecord, rules: LedgerRules, *, last: int = 40) -> list[tuple[int, CommandKind]]:
    """Return the first day on which a device is sent each kind of command."""
    found: dict[CommandKind, int] = {}
    for day in range(last):
        kind = overdue_command(one, PUBLICATION, rules, START + timedelta(days=day))
        if kind is not None:
            found.setdefault(kind, day)
    return [(day, kind) for kind, day in found.items()]


def failed_progress(queued: float = 0) -> Progress:
    """Return the record of a device that cannot install the profile."""
    answer = LastAnswer(at(queued), Finality.ERROR, at(queued + 0.1), "DDM")
    return Progress(revision=2, queued=at(queued), epoch=at(-1), answer=answer)


ACKNOWLEDGED = Progress(revision=2, queued=at(0), epoch=at(-1), acknowledged=at(0.5))


@pytest.mark.parametrize("rules", [WITHOUT_PROOF, WITH_PROOF])
@pytest.mark.parametrize("one", [record(asked=0), record(progress=failed_progress())], ids=["silent", "failed"])
def test_silent_and_failed_devices_are_sent_the_profile_again(one: DeviceRecord, rules: LedgerRules) -> None:
    """More than seven days after the command, and not before."""  # R45
    assert due_days(one, rules) == [(8, CommandKind.PROFILE)]


@pytest.mark.parametrize("rules", [WITHOUT_PROOF, WITH_PROOF])
def test_a_device_without_any_event_is_sent_nothing_again(rules: LedgerRules) -> None:
    """Its command still waits in the queue of the MDM server. After its first event, it is sent commands again."""
    # R45
    progress = Progress(revision=2, queued=at(0))
    assert due_days(DeviceRecord(enrollment_id="a", progress=progress), rules) == []
    known = DeviceRecord(enrollment_id="a", progress=progress, enrollment=Enrollment(seen=at(9)))
    assert due_days(known, rules)[0][1] is (CommandKind.LIST if rules is WITH_PROOF else CommandKind.PROFILE)


def test_the_time_to_the_next_try_doubles() -> None:
    """A device whose profile declarative management took over always fails. It gets few commands in a year."""  # R45
    days, queued = [], 0.0
    for day in range(366):
        if overdue_command(
            record(progress=failed_progress(queued)), PUBLICATION, WITHOUT_PROOF, START + timedelta(days=day)
        ):
            days.append(day)
            queued = day
    assert days == [8, 17, 35, 71, 143, 287]


def test_a_new_enrollment_starts_with_the_shortest_time() -> None:
    """The profile was published long before the device enrolled again."""  # R42 R45
    enrollment = Enrollment(authenticated=at(300), seen=at(300))
    progress = Progress(revision=2, queued=at(300), epoch=at(300))
    one = DeviceRecord(enrollment_id="a", enrollment=enrollment, progress=progress)
    assert due_days(one, WITHOUT_PROOF, last=330) == [(308, CommandKind.PROFILE)]


def test_a_device_whose_answer_was_lost_is_not_forgotten() -> None:
    """It connects each day, so it is not silent. With a proof, it is only asked for its certificates."""  # R45
    connected = record(seen=39)
    assert due_days(connected, WITHOUT_PROOF) == [(8, CommandKind.PROFILE)]
    assert due_days(record(seen=39, asked=0), WITH_PROOF) == [(8, CommandKind.LIST)]


def test_a_device_without_a_proof_is_asked_again() -> None:
    """Without a proof in the definition, the acknowledgement counts, and nothing is sent."""  # R44
    acknowledged = record(progress=ACKNOWLEDGED, asked=0, seen=1)
    assert due_days(acknowledged, WITHOUT_PROOF) == []
    assert due_days(acknowledged, WITH_PROOF) == [(8, CommandKind.LIST)]
    assert due_days(record(progress=ACKNOWLEDGED), WITH_PROOF) == [(0, CommandKind.LIST)]
    asked_before = record(progress=ACKNOWLEDGED, asked=-2)
    assert due_days(asked_before, WITH_PROOF) == [(0, CommandKind.LIST)], "another enrollment was asked"
    assert due_days(record(progress=ACKNOWLEDGED, asked=0, listed=1, reported=1), WITH_PROOF) == []


def test_a_device_that_lost_its_certificates_is_sent_the_profile_again() -> None:
    """A list without the certificates is newer than the profile."""  # R44 R45
    assert due_days(record(progress=ACKNOWLEDGED, asked=0, listed=1), WITH_PROOF) == [(8, CommandKind.PROFILE)]
    earlier = record(progress=ACKNOWLEDGED, asked=0, listed=0.25, seen=1)
    assert due_days(earlier, WITH_PROOF) == [(8, CommandKind.LIST)]


@pytest.mark.parametrize(
    "one",
    [
        record(queued=None),
        record(progress=Progress(revision=1, queued=at(0), epoch=at(-1))),
        record(authenticated=1),
        record(gone=1),
    ],
    ids=["not sent", "former profile", "erased", "gone"],
)
def test_other_devices_are_sent_nothing_again(one: DeviceRecord) -> None:
    """A profile that was not sent in this enrollment is due at once, and not again."""
    assert due_days(one, WITHOUT_PROOF) == due_days(one, WITH_PROOF) == []
