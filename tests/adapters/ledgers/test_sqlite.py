"""The ledger: what counts does not depend on the order in which webhooks come, nor on who else writes."""

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger, open_ledger
from ios_mdm.errors import DefinitionError, DeliveryError
from ios_mdm.ports import Answer, Coverage, DeliveryStatus, DeviceEvent, DeviceStatus
from tests.support.events import record_answer, record_device
from tests.support.long import examples
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.ports import Ledger

PROFILE = "ab" * 32
OTHER = "cd" * 32
START = datetime(2040, 1, 1, tzinfo=UTC)


def later(seconds: int) -> datetime:
    """Return a moment after the start."""
    return START + timedelta(seconds=seconds)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A ledger that has no file yet."""
    return SqliteLedger(tmp_path / "ledger.db")


def sent(ledger: Ledger, uuid: str = "c1", *, to: Sequence[str] = ("a",), at: int = 0, profile: str = PROFILE) -> None:
    """Note that a command with the profile was queued."""
    ledger.record_enqueued(uuid, server="berlin", profile=profile, enrollment_ids=to, at=later(at))


def status(ledger: Ledger, device: str = "a", *, profile: str = PROFILE, server: str = "berlin") -> DeviceStatus:
    """Return what is known of one device."""
    (one,) = ledger.coverage(server=server, profile=profile, enrollment_ids=[device]).devices
    return one


def test_a_command_without_answer_is_pending(ledger: SqliteLedger) -> None:
    """What was queued and not answered waits since the moment it was queued."""  # R15
    sent(ledger, at=5)
    assert status(ledger) == DeviceStatus(enrollment_id="a", status=DeliveryStatus.PENDING, at=later(5))


def test_an_answer_replaces_pending(ledger: SqliteLedger) -> None:
    """An acknowledgement counts as one device that has the profile."""
    sent(ledger, to=["a", "b"])
    record_answer(ledger, "c1", "b", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(9))
    coverage = ledger.coverage(server="berlin", profile=PROFILE, enrollment_ids=["b", "c", "a"])
    assert coverage == Coverage(
        profile=PROFILE,
        devices=(
            DeviceStatus(enrollment_id="b", status=DeliveryStatus.ACKNOWLEDGED, at=later(9)),
            DeviceStatus(enrollment_id="c", status=DeliveryStatus.NOT_SENT),
            DeviceStatus(enrollment_id="a", status=DeliveryStatus.PENDING, at=START),
        ),
    )


def test_an_answer_may_come_before_its_command_is_recorded(ledger: SqliteLedger) -> None:
    """A device can be quicker than the `up` that queued its command."""
    record_answer(ledger, "c1", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(1))
    assert status(ledger).status == DeliveryStatus.NOT_SENT
    sent(ledger, at=2)
    assert status(ledger) == DeviceStatus(enrollment_id="a", status=DeliveryStatus.ACKNOWLEDGED, at=later(1))


def test_an_error_carries_the_words_of_the_device(ledger: SqliteLedger) -> None:
    """What the device says of an error is kept."""
    sent(ledger)
    record_answer(ledger, "c1", "a", DeliveryStatus.ERROR, detail="no space (X 1)", at=later(1))
    assert status(ledger).detail == "no space (X 1)"


def test_a_resent_profile_is_pending_again_until_it_is_acknowledged(ledger: SqliteLedger) -> None:
    """The newest command speaks for a device that never acknowledged."""
    sent(ledger, "c1")
    record_answer(ledger, "c1", "a", DeliveryStatus.ERROR, detail="x", at=later(1))
    sent(ledger, "c2", at=10)
    assert status(ledger) == DeviceStatus(enrollment_id="a", status=DeliveryStatus.PENDING, at=later(10))
    record_answer(ledger, "c1", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(11))
    assert status(ledger).status == DeliveryStatus.ACKNOWLEDGED
    record_answer(ledger, "c2", "a", DeliveryStatus.ERROR, detail="y", at=later(12))
    assert status(ledger).status == DeliveryStatus.ACKNOWLEDGED


def test_the_newest_command_is_the_one_that_was_sent_last(ledger: SqliteLedger) -> None:
    """Time decides which command is newer, not its CommandUUID nor the order in which they were recorded."""
    sent(ledger, "c1", at=10)
    sent(ledger, "c2", at=0)
    record_answer(ledger, "c2", "a", DeliveryStatus.ERROR, detail="", at=later(1))
    assert status(ledger) == DeviceStatus(enrollment_id="a", status=DeliveryStatus.PENDING, at=later(10))


@pytest.mark.parametrize(
    "order", [(DeliveryStatus.NOT_NOW, DeliveryStatus.ERROR), (DeliveryStatus.ERROR, DeliveryStatus.NOT_NOW)]
)
def test_a_device_that_was_busy_has_failed_since(ledger: SqliteLedger, order: tuple[DeliveryStatus, ...]) -> None:
    """An error ends the command, so NotNow came before it, whenever it is heard of."""
    sent(ledger)
    for second, answer in enumerate(order):
        record_answer(ledger, "c1", "a", answer, detail="", at=later(second))
    assert status(ledger).status == DeliveryStatus.ERROR


def test_servers_and_profiles_are_apart(ledger: SqliteLedger) -> None:
    """An answer counts for the profile and the server of its command only."""
    sent(ledger)
    record_answer(ledger, "c1", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(1))
    assert status(ledger, profile=OTHER).status == DeliveryStatus.NOT_SENT
    assert status(ledger, server="paris").status == DeliveryStatus.NOT_SENT


def test_a_repeated_enqueue_changes_nothing(ledger: SqliteLedger) -> None:
    """An `up` that repeats a command after a crash does not make it younger."""
    sent(ledger, at=1)
    sent(ledger, at=9, profile=OTHER)
    assert status(ledger).at == later(1)
    assert status(ledger, profile=OTHER).status == DeliveryStatus.NOT_SENT


EVENTS = st.one_of(
    st.tuples(st.none(), st.sampled_from(["c1", "c2"]), st.just("")),
    st.tuples(
        st.sampled_from([DeliveryStatus.ACKNOWLEDGED, DeliveryStatus.ERROR, DeliveryStatus.NOT_NOW]),
        st.sampled_from(["c1", "c2", "foreign"]),
        st.sampled_from(["", "x", "y"]),
    ),
)


@settings(max_examples=examples(40))
@given(
    events=st.lists(st.tuples(EVENTS, st.integers(0, 3)), min_size=1, max_size=7).flatmap(
        lambda events: st.tuples(st.just(events), st.permutations(events + events[:3]))
    )
)
def test_order_and_repetition_make_no_difference(
    events: tuple[
        list[tuple[tuple[DeliveryStatus | None, str, str], int]],
        list[tuple[tuple[DeliveryStatus | None, str, str], int]],
    ],
) -> None:
    """Any order of the same events, some of them twice, gives the same coverage."""
    # the moment at which one command was sent is one moment, however often it is recorded
    moments = {"c1": 0, "c2": 1}
    results = []
    for order in events:
        with tempfile.TemporaryDirectory() as folder:
            ledger = SqliteLedger(Path(folder) / "ledger.db")
            for (what, uuid, detail), second in order:
                if what is None:
                    sent(ledger, uuid, at=moments[uuid])
                else:
                    record_answer(ledger, uuid, "a", what, detail=detail, at=later(second))
            results.append(status(ledger))
    assert results[0] == results[1]


def test_a_profile_that_another_replaced_is_not_sent(ledger: SqliteLedger) -> None:
    """From the moment that B is queued after A, A has to be sent again, whatever the device said before."""  # R15 R17
    for second, (uuid, profile) in enumerate([("c9", PROFILE), ("c1", OTHER)]):
        sent(ledger, uuid, at=second, profile=profile)
        record_answer(ledger, uuid, "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(second))
    assert status(ledger) == DeviceStatus(enrollment_id="a", status=DeliveryStatus.NOT_SENT)
    assert status(ledger, profile=OTHER).status == DeliveryStatus.ACKNOWLEDGED
    sent(ledger, "c5", at=2)
    assert status(ledger) == DeviceStatus(enrollment_id="a", status=DeliveryStatus.PENDING, at=later(2))
    assert status(ledger, profile=OTHER).status == DeliveryStatus.NOT_SENT
    record_answer(ledger, "c5", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(3))
    assert status(ledger).status == DeliveryStatus.ACKNOWLEDGED
    assert status(ledger, profile=OTHER).status == DeliveryStatus.NOT_SENT


def test_a_profile_of_another_server_replaces_nothing(ledger: SqliteLedger) -> None:
    """Two servers have profiles of two identifiers, which live on a device side by side."""
    sent(ledger)
    record_answer(ledger, "c1", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(1))
    ledger.record_enqueued("c2", server="paris", profile=OTHER, enrollment_ids=["a"], at=later(2))
    record_answer(ledger, "c2", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(3))
    assert status(ledger).status == DeliveryStatus.ACKNOWLEDGED


@settings(max_examples=examples(60))
@given(
    deliveries=st.lists(
        st.tuples(
            st.uuids().map(str),
            st.sampled_from([PROFILE, OTHER]),
            st.integers(0, 1),  # seconds since the delivery before: many share one
            st.sampled_from([None, DeliveryStatus.ERROR, DeliveryStatus.NOT_NOW, DeliveryStatus.ACKNOWLEDGED]),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda delivery: delivery[0],
    )
)
def test_only_the_profile_that_was_queued_last_counts(
    deliveries: list[tuple[str, str, int, DeliveryStatus | None]],
) -> None:
    """Whatever is sent and answered: what was queued before another profile is not sent any more."""  # R15
    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db")
        second = 0
        for uuid, profile, pause, _ in deliveries:
            second += pause
            sent(ledger, uuid, at=second, profile=profile)
        for uuid, _, _, answer in reversed(deliveries):  # the order of the webhooks is nobody's promise
            if answer is not None:
                record_answer(ledger, uuid, "a", answer, detail="", at=later(10))
        newest = deliveries[-1][1]
        run = [answer for _, _, _, answer in itertools.takewhile(lambda one: one[1] == newest, reversed(deliveries))]
        expected = (
            DeliveryStatus.ACKNOWLEDGED if DeliveryStatus.ACKNOWLEDGED in run else (run[0] or DeliveryStatus.PENDING)
        )
        assert status(ledger, profile=newest).status == expected
        assert status(ledger, profile=PROFILE if newest == OTHER else OTHER).status == DeliveryStatus.NOT_SENT


@pytest.mark.parametrize(
    "order", list(itertools.permutations([DeliveryStatus.NOT_NOW, DeliveryStatus.ERROR, DeliveryStatus.ACKNOWLEDGED]))
)
def test_acknowledged_is_final(ledger: SqliteLedger, order: tuple[DeliveryStatus, ...]) -> None:
    """A device that has the profile has it, whatever comes late."""
    sent(ledger)
    for second, answer in enumerate(order):
        record_answer(ledger, "c1", "a", answer, detail="", at=later(second))
    assert status(ledger).status == DeliveryStatus.ACKNOWLEDGED


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_last_enrollment_or_checkout_counts_by_its_own_time(ledger: SqliteLedger, order: tuple[int, ...]) -> None:
    """The order of arrival makes no difference, even within a second or at the same microsecond."""  # R42
    half = timedelta(microseconds=500_000)
    events = [
        ("left", True, later(1)),
        ("left", False, later(1) + half),
        ("came back", False, later(1) + half),
        ("came back", True, later(1) + half),
    ]
    for number in order:
        device, enrolled, at = events[number]
        record_device(ledger, device, enrolled=enrolled, at=at)
    assert ledger.enrolled_ids() == ("came back",)


def test_an_event_older_than_what_is_known_changes_nothing(ledger: SqliteLedger) -> None:
    """A CheckOut that is replayed after a year, when its identity is no longer kept, does not make a device gone."""
    # R42
    record_device(ledger, "a", enrolled=False, at=later(0))
    record_device(ledger, "a", enrolled=True, at=later(5))
    checkout = DeviceEvent(identity=b"1" * 16, at=later(1), topic="mdm.CheckOut", enrollment_id="a", enrolled=False)
    ledger.record_events([checkout], now=later(365 * 86_400))
    assert ledger.enrolled_ids() == ("a",)


def events_of(ledger: SqliteLedger) -> list[bytes]:
    """Return the identities of the events that the ledger keeps."""
    with closing(sqlite3.connect(ledger.path)) as connection:
        return [identity for (identity,) in connection.execute("SELECT identity FROM event ORDER BY at")]


def answered(identity: bytes, at: datetime, status: DeliveryStatus = DeliveryStatus.ACKNOWLEDGED) -> DeviceEvent:
    """Return the event of an answer of device a to command c1."""
    answer = Answer(command_uuid="c1", status=status)
    return DeviceEvent(identity=identity, at=at, topic="mdm.Connect", enrollment_id="a", enrolled=True, answer=answer)


def test_an_answer_of_the_year_1_can_be_read(ledger: SqliteLedger) -> None:
    """Go writes this for a time that is not set. One such event must not make the ledger unreadable."""
    # R42
    sent(ledger)
    early = datetime(1, 1, 1, tzinfo=UTC)
    ledger.record_events([answered(b"1" * 16, early)], now=later(1))
    assert (status(ledger).status, status(ledger).at) == (DeliveryStatus.ACKNOWLEDGED, early)


def test_an_event_counts_once(ledger: SqliteLedger) -> None:
    """A second event with the identity and the time of a first one is a copy, in the same batch or a later one."""
    # R42
    sent(ledger)
    first = answered(b"1" * 16, later(1), DeliveryStatus.ERROR)
    ledger.record_events([first, replace(first, enrollment_id="b")], now=later(1))
    ledger.record_events([answered(b"1" * 16, later(1), DeliveryStatus.ACKNOWLEDGED)], now=later(2))
    assert status(ledger).status == DeliveryStatus.ERROR
    assert ledger.enrolled_ids() == ("a",)
    assert events_of(ledger) == [b"1" * 16]


def test_identities_of_events_are_kept_for_a_week(ledger: SqliteLedger) -> None:
    """An event that is older when it comes is not kept at all: its time alone decides what it changes."""  # R42
    week = 7 * 86_400
    sent(ledger)
    ledger.record_events([answered(b"1" * 16, later(0)), answered(b"2" * 16, later(9))], now=later(9))
    ledger.record_events([answered(b"3" * 16, later(8))], now=later(9 + week))
    assert events_of(ledger) == [b"2" * 16]
    assert ledger.enrolled_ids() == ("a",)
    assert status(ledger) == DeviceStatus(enrollment_id="a", status=DeliveryStatus.ACKNOWLEDGED, at=START)


def test_a_batch_of_events_is_recorded_as_a_whole_or_not_at_all(ledger: SqliteLedger) -> None:
    """One event that cannot be written takes the others back, and a repetition counts them."""
    sent(ledger)
    good = answered(b"1" * 16, later(1))
    with pytest.raises(DeliveryError):
        ledger.record_events([good, replace(good, identity=b"2" * 16, enrollment_id=None)], now=later(1))  # type: ignore[arg-type]
    assert ledger.enrolled_ids() == ()
    ledger.record_events([good], now=later(1))
    assert ledger.enrolled_ids() == ("a",)


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """A preview and a status leave no file, and neither does naming a ledger."""
    ledger = open_ledger("sqlite:///state/ledger.db", base=tmp_path)
    assert ledger.enrolled_ids() == ()
    assert status(ledger).status == DeliveryStatus.NOT_SENT
    assert list(tmp_path.iterdir()) == []


def test_the_file_and_its_folders_are_private(tmp_path: Path) -> None:
    """Mode 0600 and 0700; folders that were there stay as they are."""
    tmp_path.chmod(0o755)
    sent(open_ledger("sqlite:///one/two/ledger.db", base=tmp_path))
    modes = {one.name: one.stat().st_mode & 0o777 for one in (tmp_path, *tmp_path.rglob("*"))}
    assert modes == {tmp_path.name: 0o755, "one": 0o700, "two": 0o700, "ledger.db": 0o600}


def test_the_file_is_created_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any umask, no file has ever other permissions than 0600, and no scratch file stays."""  # R40
    modes = []
    real = os.link

    def link(scratch: str, path: Path) -> None:
        modes.append(_modes(tmp_path))
        real(scratch, path)

    monkeypatch.setattr(os, "link", link)
    before = os.umask(0)
    try:
        sent(SqliteLedger(tmp_path / "ledger.db"))
    finally:
        os.umask(before)
    assert [set(one.values()) for one in modes] == [{0o600}]
    assert _modes(tmp_path) == {"ledger.db": 0o600}


def _modes(folder: Path) -> dict[str, int]:
    return {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o622])
def test_a_file_that_others_can_write_is_refused(ledger: SqliteLedger, mode: int) -> None:
    """Its answers may be forged, so it is neither read nor written, and the message gives the way out."""  # R40
    sent(ledger)
    ledger.path.chmod(mode)
    for use in (lambda: sent(ledger, "c2"), ledger.enrolled_ids):
        with pytest.raises(DeliveryError, match=rf"other users can write it \(mode {mode:04o}\); .* `chmod 600`"):
            use()
    ledger.path.chmod(0o600)
    sent(ledger, "c2")


def test_a_file_that_everybody_can_read_becomes_private(ledger: SqliteLedger) -> None:
    """A write takes the permissions of the world away; a group that may read still may."""  # R40
    sent(ledger)
    for mode, expected in ((0o644, 0o640), (0o604, 0o600), (0o640, 0o640)):
        ledger.path.chmod(mode)
        assert ledger.enrolled_ids() == ()
        assert ledger.path.stat().st_mode & 0o777 == mode
        record_device(ledger, "a", enrolled=False, at=START)
        assert ledger.path.stat().st_mode & 0o777 == expected


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    """Who can make links in a shared folder cannot make us create a file elsewhere; a link to a file works."""  # R40
    link, target = tmp_path / "ledger.db", tmp_path / "elsewhere.db"
    link.symlink_to(target)
    ledger = SqliteLedger(link)
    assert ledger.enrolled_ids() == ()
    with pytest.raises(DeliveryError, match="symbolic link to a file that does not exist"):
        sent(ledger)
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.db"]
    sent(SqliteLedger(target))
    sent(ledger, "c2")
    assert ledger.commands("berlin") == 2


def test_a_relative_url_starts_at_the_project_and_an_absolute_one_does_not(tmp_path: Path) -> None:
    """Three slashes are relative, four absolute; odd characters stay in the file's name."""
    sent(open_ledger("sqlite:///a b%20é.db", base=tmp_path))
    assert [one.name for one in tmp_path.iterdir()] == ["a b%20é.db"]
    assert open_ledger(f"sqlite:///{tmp_path}/x.db", base=Path("nowhere")) == SqliteLedger(tmp_path / "x.db")


@pytest.mark.parametrize(
    "url",
    [
        *("", "sqlite://", "sqlite:///", "sqlite:////", "sqlite:///:memory:", "sqlite://host/x.db", "ledger.db"),
        *("dynamodb://table", "sqlite:///x.db?mode=ro", "sqlite:///x\0.db", "sqlite:///folder/", "SQLITE:///x"),
    ],
)
def test_another_url_is_refused(url: str, tmp_path: Path) -> None:
    """What is no SQLite file is an error in the definition."""
    with pytest.raises(DefinitionError, match="ledger: "):
        open_ledger(url, base=tmp_path)


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever its name says" * 100)


def _folder(path: Path) -> None:
    path.mkdir()


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE users (name)")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")


def _inside_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("no folder")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_garbage, "no SQLite file"),
        (_folder, "is a folder"),
        (_foreign, "of another program"),
        (_newer, "newer ios-mdm"),
        (_older, "older ios-mdm"),
        (_inside_a_file, "is a file"),
    ],
)
def test_a_file_that_is_no_ledger_is_an_error_and_stays_as_it_is(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    """Nothing of somebody else's is overwritten, and the message names the file."""
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    make(path)
    if path.is_file():
        path.chmod(0o644)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DeliveryError, match=rf"the ledger .*ledger\.db cannot be used: .*{words}"):
        sent(SqliteLedger(path))
    with pytest.raises(DeliveryError, match=words):
        SqliteLedger(path).enrolled_ids()
    assert (path.read_bytes() if path.is_file() else None) == before
    assert not path.is_file() or stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_empty_file_is_an_empty_ledger(tmp_path: Path) -> None:
    """A writer that was killed right after it made the file leaves no damage."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.path.touch()
    assert ledger.enrolled_ids() == ()
    sent(ledger)
    assert status(ledger).status == DeliveryStatus.PENDING


def test_a_failed_write_leaves_nothing(ledger: SqliteLedger) -> None:
    """A batch is noted as a whole or not at all."""
    sent(ledger, "c0", to=["z"])
    with pytest.raises(DeliveryError):
        sent(ledger, to=["a", None])  # type: ignore[list-item]
    assert status(ledger).status == DeliveryStatus.NOT_SENT


def test_answers_to_commands_of_others_do_not_pile_up(ledger: SqliteLedger) -> None:
    """A week after it came, an answer that belongs to no command of ours is forgotten; one that does is kept."""
    week = 7 * 86_400
    sent(ledger)
    record_answer(ledger, "c1", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(1))
    record_answer(ledger, "early", "b", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(1))
    record_answer(ledger, "foreign", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(1))
    sent(ledger, "early", to=["b"], at=2)
    record_answer(ledger, "another", "a", DeliveryStatus.ACKNOWLEDGED, detail="", at=later(2 + week))
    with closing(sqlite3.connect(ledger.path)) as connection:
        kept = {uuid for (uuid,) in connection.execute("SELECT command_uuid FROM answer")}
    assert kept == {"c1", "early", "another"}


def test_the_stored_words_of_answers_are_frozen(ledger: SqliteLedger) -> None:
    """A ledger outlives the code that wrote it, and ``status --json`` has the same words."""
    for answer in (DeliveryStatus.ACKNOWLEDGED, DeliveryStatus.ERROR, DeliveryStatus.NOT_NOW):
        record_answer(ledger, "c1", f"{answer}-device", answer, detail="", at=START)
    with closing(sqlite3.connect(ledger.path)) as connection:
        stored = list(connection.execute("SELECT enrollment_id, status, typeof(status) FROM answer ORDER BY status"))
    assert stored == [(f"{word}-device", word, "text") for word in ("acknowledged", "error", "not-now")]
    assert {str(status) for status in DeliveryStatus} == {"not-sent", "pending", "not-now", "error", "acknowledged"}


def test_an_unknown_answer_or_a_time_without_zone_is_a_mistake_of_the_caller(ledger: SqliteLedger) -> None:
    """Only the three words of the port, and only aware times, are written."""
    with pytest.raises(ValueError, match="not an answer"):
        record_answer(ledger, "c1", "a", DeliveryStatus.PENDING, detail="", at=START)
    with pytest.raises(ValueError, match="zone"):
        record_device(ledger, "a", enrolled=True, at=START.replace(tzinfo=None))


def test_times_are_kept_in_utc(ledger: SqliteLedger) -> None:
    """A moment told in another zone is the same moment."""
    berlin = START.astimezone(timezone(timedelta(hours=1)))
    ledger.record_enqueued("c1", server="berlin", profile=PROFILE, enrollment_ids=["a"], at=berlin)
    assert status(ledger).at == START


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.ports import DeliveryStatus
from tests.support.events import record_answer

ledger, name = SqliteLedger(Path(sys.argv[1])), sys.argv[2]
at = datetime(2040, 1, 1, tzinfo=UTC)
sys.stdin.readline()
for number in range(150):
    uuid = f"{number}"
    if name == "up":
        ledger.record_enqueued(uuid, server="berlin", profile="ab" * 32, enrollment_ids=[uuid], at=at)
    else:
        record_answer(ledger, uuid, uuid, DeliveryStatus.ACKNOWLEDGED, detail="", at=at)
"""


def test_processes_write_at_the_same_time(ledger: SqliteLedger) -> None:
    """`up` and two receivers start on no file at once, and every record of each is there."""  # R41
    command = [sys.executable, "-c", WRITER, str(ledger.path)]
    names = ("up", "receiver", "receiver")
    writers = [subprocess.Popen([*command, name], cwd=ROOT, stdin=subprocess.PIPE) for name in names]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    ids = [str(number) for number in range(150)]
    coverage = ledger.coverage(server="berlin", profile=PROFILE, enrollment_ids=ids)
    assert [one.status for one in coverage.devices] == [DeliveryStatus.ACKNOWLEDGED] * 150


def test_forty_thousand_devices_are_covered_in_one_go(ledger: SqliteLedger) -> None:
    """More devices than SQLite takes parameters in one statement."""
    ids = [str(number) for number in range(40_000)]
    sent(ledger, to=ids)
    coverage = ledger.coverage(server="berlin", profile=PROFILE, enrollment_ids=ids)
    assert {one.status for one in coverage.devices} == {DeliveryStatus.PENDING}
