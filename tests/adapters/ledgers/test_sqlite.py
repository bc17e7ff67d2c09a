"""Tests of the SQLite file of a ledger: its permissions, its errors, and what is deleted from it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger, open_ledger
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, DeviceState, DeviceStatus, EnqueuedCommand
from ios_mdm.errors import DefinitionError, DeliveryError
from tests.support.events import record_answer, record_device, record_sent, status_of, statuses_of
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.ports import Ledger

START = datetime(2040, 1, 1, tzinfo=UTC)


def later(seconds: int) -> datetime:
    """Return a time after the start."""
    return START + timedelta(seconds=seconds)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A ledger that has no file yet."""
    return SqliteLedger(tmp_path / "ledger.db")


def send(ledger: Ledger, uuid: str = "c1", *, to: Sequence[str] = ("a",), at: int = 0) -> None:
    """Note that a command with the profile was queued."""
    record_sent(ledger, uuid, enrollment_ids=to, at=later(at))


def events_of(ledger: SqliteLedger) -> list[bytes]:
    """Return the identities of the events that the ledger keeps."""
    with closing(sqlite3.connect(ledger.path)) as connection:
        return [identity for (identity,) in connection.execute("SELECT identity FROM event ORDER BY at")]


def answer_event(identity: bytes, at: datetime, status: AnswerStatus = AnswerStatus.ACKNOWLEDGED) -> DeviceEvent:
    """Return the event of an answer of device a to command c1."""
    answer = Answer(command_uuid="c1", status=status)
    return DeviceEvent(identity=identity, at=at, topic="mdm.Connect", enrollment_id="a", enrolled=True, answer=answer)


def test_an_answer_of_the_year_1_can_be_read(ledger: SqliteLedger) -> None:
    """Go writes this for a time that is not set. One such event must not make the ledger unreadable."""
    # R42
    send(ledger)
    record_device(ledger, "a", enrolled=True, at=START)
    early = datetime(1, 1, 1, tzinfo=UTC)
    ledger.record_events([answer_event(b"1" * 16, early)], now=later(1))
    assert (status_of(ledger, "a").state, status_of(ledger, "a").at) == (DeviceState.ACKNOWLEDGED, early)


def test_identities_of_events_are_kept_for_a_week(ledger: SqliteLedger) -> None:
    """An event that is older when it comes is not kept at all: its time alone decides what it changes."""  # R42
    week = 7 * 86_400
    send(ledger)
    ledger.record_events([answer_event(b"1" * 16, later(0)), answer_event(b"2" * 16, later(9))], now=later(9))
    ledger.record_events([answer_event(b"3" * 16, later(8))], now=later(9 + week))
    assert events_of(ledger) == [b"2" * 16]
    assert ledger.enrolled_ids() == ("a",)
    assert status_of(ledger, "a") == DeviceStatus(
        enrollment_id="a", state=DeviceState.ACKNOWLEDGED, has_profile=True, at=later(9)
    )


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """A preview and a status leave no file, and neither does naming a ledger."""
    ledger = open_ledger("sqlite:///state/ledger.db", base=tmp_path)
    assert ledger.enrolled_ids() == ()
    assert status_of(ledger, "a").state == DeviceState.NOT_SENT
    assert list(tmp_path.iterdir()) == []


def test_the_file_and_its_folders_are_private(tmp_path: Path) -> None:
    """Mode 0600 and 0700; folders that were there stay as they are."""
    tmp_path.chmod(0o755)
    send(open_ledger("sqlite:///one/two/ledger.db", base=tmp_path))
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
        send(SqliteLedger(tmp_path / "ledger.db"))
    finally:
        os.umask(before)
    assert [set(one.values()) for one in modes] == [{0o600}]
    assert _modes(tmp_path) == {"ledger.db": 0o600}


def _modes(folder: Path) -> dict[str, int]:
    return {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o622])
def test_a_file_that_others_can_write_is_refused(ledger: SqliteLedger, mode: int) -> None:
    """Its answers may be forged, so it is neither read nor written, and the message gives the way out."""  # R40
    send(ledger)
    ledger.path.chmod(mode)
    for use in (lambda: send(ledger, "c2"), ledger.enrolled_ids):
        with pytest.raises(DeliveryError, match=rf"other users can write it \(mode {mode:04o}\); .* `chmod 600`"):
            use()
    ledger.path.chmod(0o600)
    send(ledger, "c2")


def test_a_file_that_other_users_can_read_becomes_private(ledger: SqliteLedger) -> None:
    """A write removes the permissions of other users. The group can still read."""  # R40
    send(ledger)
    for mode, expected in ((0o644, 0o640), (0o604, 0o600), (0o640, 0o640)):
        ledger.path.chmod(mode)
        assert ledger.enrolled_ids() == ()
        assert ledger.path.stat().st_mode & 0o777 == mode
        record_device(ledger, "a", enrolled=False, at=START)
        assert ledger.path.stat().st_mode & 0o777 == expected


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    """A link in a shared folder cannot cause a file to be created in another folder. A link to a file works."""  # R40
    link, target = tmp_path / "ledger.db", tmp_path / "elsewhere.db"
    link.symlink_to(target)
    ledger = SqliteLedger(link)
    assert ledger.enrolled_ids() == ()
    with pytest.raises(DeliveryError, match="symbolic link to a file that does not exist"):
        send(ledger)
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.db"]
    send(SqliteLedger(target))
    send(ledger, "c2")
    assert status_of(ledger, "a").state == DeviceState.QUEUED


def test_a_relative_url_starts_at_the_project_and_an_absolute_one_does_not(tmp_path: Path) -> None:
    """Three slashes are relative, four absolute; odd characters stay in the file's name."""
    send(open_ledger("sqlite:///a b%20é.db", base=tmp_path))
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
    """A URL that does not name an SQLite file is an error in the definition."""
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
        connection.execute("PRAGMA user_version = 2")


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
    """A file of another program is not overwritten, and the message names it."""
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    make(path)
    if path.is_file():
        path.chmod(0o644)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DeliveryError, match=rf"the ledger .*ledger\.db cannot be used: .*{words}"):
        send(SqliteLedger(path))
    with pytest.raises(DeliveryError, match=words):
        SqliteLedger(path).enrolled_ids()
    assert (path.read_bytes() if path.is_file() else None) == before
    assert not path.is_file() or stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_empty_file_is_an_empty_ledger(tmp_path: Path) -> None:
    """A writer that was killed right after it made the file leaves no damage."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.path.touch()
    assert ledger.enrolled_ids() == ()
    send(ledger)
    assert status_of(ledger, "a").state == DeviceState.QUEUED


def test_a_failed_write_leaves_nothing(ledger: SqliteLedger) -> None:
    """A batch is noted as a whole or not at all."""
    send(ledger, "c0", to=["z"])
    publication = ledger.publication("berlin")
    assert publication is not None
    command = EnqueuedCommand(command_uuid="c1", epochs={"a": 1, "b": None}, at=START)  # type: ignore[dict-item]
    with pytest.raises(DeliveryError):
        ledger.record_commands([command], publication=publication)
    assert status_of(ledger, "a").state == DeviceState.NOT_SENT


def test_answers_to_commands_of_other_senders_are_deleted(ledger: SqliteLedger) -> None:
    """An answer waits for a week until its command is recorded. Then it is deleted."""
    week = 7 * 86_400
    send(ledger)
    for uuid, device in (("c1", "a"), ("early", "b"), ("foreign", "a")):
        record_answer(ledger, uuid, device, AnswerStatus.ACKNOWLEDGED, at=later(1))
    send(ledger, "early", to=["b"], at=2)
    record_answer(ledger, "another", "a", AnswerStatus.ACKNOWLEDGED, at=later(2 + week))
    assert [one.state for one in statuses_of(ledger, "ab")] == [DeviceState.ACKNOWLEDGED] * 2
    with closing(sqlite3.connect(ledger.path)) as connection:
        waiting = {uuid for (uuid,) in connection.execute("SELECT command_uuid FROM stray")}
    assert waiting == {"another"}


def test_the_history_of_a_profile_is_deleted(ledger: SqliteLedger) -> None:
    """With ten former profiles, the file has as many rows as with one."""
    counts = []
    for number in range(10):
        record_sent(ledger, f"c{number}", profile=b"%d" % number, enrollment_ids=["a", "b"], at=later(number))
        record_answer(ledger, f"c{number}", "a", AnswerStatus.ACKNOWLEDGED, at=later(number))
        with closing(sqlite3.connect(ledger.path)) as connection:
            tables = ("publication", "command", "delivery", "stray", "device")
            counts.append([connection.execute(f"SELECT count(*) FROM {one}").fetchone() for one in tables])  # noqa: S608 - a constant
    assert counts == [[(1,), (1,), (2,), (0,), (0,)]] * 10


def test_the_words_of_states_are_frozen() -> None:
    """``status --json`` has these words."""
    assert [str(state) for state in DeviceState] == [
        *("not-sent", "queued", "acknowledged", "proved", "not-now", "failed", "silent", "erased", "gone"),
    ]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.core.ledger.values import AnswerStatus
from tests.support.events import record_answer, record_sent

ledger, name = SqliteLedger(Path(sys.argv[1])), sys.argv[2]
at = datetime(2040, 1, 1, tzinfo=UTC)
sys.stdin.readline()
for number in range(150):
    uuid = f"{number}"
    if name == "up":
        record_sent(ledger, uuid, enrollment_ids=[uuid], at=at)
    else:
        record_answer(ledger, uuid, uuid, AnswerStatus.ACKNOWLEDGED, detail="", at=at)
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
    assert [one.state for one in statuses_of(ledger, ids)] == [DeviceState.ACKNOWLEDGED] * 150
