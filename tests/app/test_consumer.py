"""The files that a server reads: always a matching pair, reloaded after every change, kept while AWS is away."""

from __future__ import annotations

import fcntl
import json
import os
import ssl
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.consumer import FILES, Consumer, ConsumerError
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.core.x509.issuing import issue
from ios_mdm.errors import StoreError
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ios_mdm.core.x509.values import Credential

NOW = datetime(2040, 1, 1, tzinfo=UTC)


def made() -> Credential:
    """Return a new certificate with its key."""
    return issue("mdm.example.com", key=KeyType.EC_P256, validity_days=397, now=NOW)


@dataclass(slots=True)
class Shelf:
    """Holds one value, or none, or is away."""

    value: str | None = None
    away: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def labelled_value(self, name: str, label: str) -> str | None:
        """Return the value."""
        self.asked.append((name, label))
        if self.away:
            raise StoreError("no answer from AWS: run again")
        return self.value


@dataclass(slots=True)
class Server:
    """A folder, a shelf, and a command that counts how often it ran."""

    folder: Path
    shelf: Shelf = field(default_factory=Shelf)

    @property
    def log(self) -> Path:
        """Where the command notes what it saw."""
        return self.folder.parent / "reloads"

    @property
    def reloads(self) -> list[str]:
        """What the command saw as tls.crt, each time."""
        return self.log.read_text(encoding="utf-8").split("|")[:-1] if self.log.exists() else []

    def consumer(self, *, fails: bool = False) -> Consumer:
        """Return a consumer with a real command."""
        program = "import pathlib, sys; a, b = map(pathlib.Path, sys.argv[1:3]); "
        program += "open(b, 'a').write(a.read_text() + '|'); sys.exit(int(sys.argv[3]))"
        command = (sys.executable, "-c", program, str(self.folder / "tls.crt"), str(self.log), "7" if fails else "0")
        return Consumer(source=self.shelf, secret="ios-mdm/berlin", directory=self.folder, command=command)  # noqa: S106

    def put(self, credential: Credential) -> None:
        """Let AWSCURRENT be this certificate."""
        self.shelf.value = credential_to_json(credential)

    def read(self) -> tuple[str, ...]:
        """Return what a server would read."""
        return tuple((self.folder / file).read_text(encoding="ascii") for file in FILES)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A server that has got nothing yet."""
    return Server(folder=tmp_path / "tls")


def contents(credential: Credential) -> tuple[str, ...]:
    """Return what the three files of a certificate hold."""
    return (credential.certificate, credential.private_key, credential.root)


def loads(folder: Path) -> None:
    """Load certificate and key as a TLS server does: fails where they do not match."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "tls.crt", folder / "tls.key")


def test_the_first_round_writes_and_reloads_and_the_second_does_nothing(server: Server) -> None:
    """AWSCURRENT is asked for and nothing else; files are for the owner alone."""  # R11 R29
    first = made()
    server.put(first)
    done = server.consumer().round()
    assert (done.changed, done.reloaded, done.certificate.sha256) == (True, True, first.sha256)
    assert server.read() == contents(first)
    loads(server.folder)
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((server.folder / file).stat().st_mode) for file in FILES} == {0o600}
    again = server.consumer().round()
    assert (again.changed, again.reloaded) == (False, False)
    assert server.reloads == [first.certificate]
    assert set(server.shelf.asked) == {("ios-mdm/berlin", Label.MAIN)}


def test_a_change_swaps_all_three_and_reloads_once(server: Server) -> None:
    """After a promotion the new certificate, its key and its root are there before the command runs."""  # R11
    first, second, third = made(), made(), made()
    for one in (first, second, third):
        server.put(one)
        server.consumer().round()
        assert server.read() == contents(one)
    assert server.reloads == [first.certificate, second.certificate, third.certificate]
    kept = [folder for folder in server.folder.iterdir() if folder.is_dir() and not folder.is_symlink()]
    assert len(kept) == 2, "the one that is served, and the one before it"
    server.put(first)
    server.consumer().round()
    assert server.read() == contents(first), "an operator's rollback is followed"


@pytest.mark.parametrize("broken", ["away", "gone", "no json", "another key", "wide space"])
def test_what_cannot_be_served_leaves_the_last_good_files(server: Server, broken: str) -> None:
    """AWS away, a missing secret or a broken one: an error, the same files, no reload."""  # R32
    first = made()
    server.put(first)
    server.consumer().round()
    match broken:
        case "away":
            server.shelf.away = True
        case "gone":
            server.shelf.value = None
        case "no json":
            server.shelf.value = "{"
        case "wide space":  # which cryptography reads, and OpenSSL does not
            value = json.loads(server.shelf.value or "")
            server.shelf.value = json.dumps(value | {"tls.crt": value["tls.crt"].replace("\n", "\u2003\n", 2)})
        case _:
            crossed = json.loads(credential_to_json(made())) | {
                "tls.key": json.loads(credential_to_json(made()))["tls.key"]
            }
            server.shelf.value = json.dumps(crossed)
    with pytest.raises(StoreError) as caught:
        server.consumer().round()
    assert "PRIVATE KEY" not in str(caught.value)
    assert server.read() == contents(first)
    assert len(server.reloads) == 1


def test_a_command_that_failed_runs_again_until_it_succeeds(server: Server) -> None:
    """Also after a restart, and although nothing has changed since."""
    server.put(made())
    for _ in range(2):
        with pytest.raises(ConsumerError, match="ended with 7"):
            server.consumer(fails=True).round()
    assert server.consumer().round().reloaded
    assert not server.consumer().round().reloaded
    assert len(server.reloads) == 3


def test_a_change_back_is_reloaded_after_a_change_whose_reload_failed(server: Server) -> None:
    """The failed command may have loaded the other certificate, so what was reloaded long ago counts no more."""  # R32
    first, second = made(), made()
    server.put(first)
    server.consumer().round()
    server.put(second)
    with pytest.raises(ConsumerError, match="ended with 7"):
        server.consumer(fails=True).round()
    server.put(first)
    assert server.consumer().round().reloaded
    assert server.reloads == [first.certificate, second.certificate, first.certificate]


def test_a_command_that_does_not_end_is_ended(server: Server) -> None:
    """Or a server whose reload hangs would never get another certificate."""
    first = made()
    server.put(first)
    waits = (sys.executable, "-c", "import signal; signal.pause()")
    stuck = Consumer(source=server.shelf, secret="s", directory=server.folder, command=waits, patience=0.2)  # noqa: S106
    with pytest.raises(ConsumerError, match=r"did not end within 0\.2 s"):
        stuck.round()
    assert server.read() == contents(first)
    assert server.consumer().round().reloaded


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("loss", ["deleted", "emptied"])
def test_a_file_that_was_damaged_is_made_again(server: Server, file: str, loss: str) -> None:
    """What is in the folder is held against the secret at every round; the repair is reloaded."""
    first = made()
    server.put(first)
    server.consumer().round()
    damaged = (server.folder / file).resolve()
    damaged.unlink() if loss == "deleted" else damaged.write_bytes(b"")
    done = server.consumer().round()
    assert (done.changed, done.reloaded) == (True, True)
    assert server.read() == contents(first)


@pytest.mark.parametrize("file", FILES)
def test_files_of_somebody_else_stay(server: Server, file: str) -> None:
    """Two files cannot be taken over in one step, and the key may be the only one."""  # R32
    server.folder.mkdir()
    (server.folder / file).write_text("theirs", encoding="ascii")
    server.put(made())
    with pytest.raises(ConsumerError, match=rf"{file} was not made by `consume`"):
        server.consumer().round()
    found = {path.name: path.read_text(encoding="ascii") for path in server.folder.iterdir()}
    assert found == {file: "theirs", ".lock": ""}
    assert server.reloads == []


def test_a_second_consumer_is_kept_out_of_the_folder(server: Server) -> None:
    """While one is at work, here in its command, another one says so and touches nothing."""
    server.put(made())
    another = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.app.test_consumer import compete; compete(sys.argv[2])"
    )
    command = (sys.executable, "-c", another, str(ROOT), str(server.folder))
    consumer = Consumer(source=server.shelf, secret="s", directory=server.folder, command=command)  # noqa: S106
    assert consumer.round().reloaded
    assert consumer.round().reloaded is False


def compete(folder: str) -> None:
    """Be the other consumer, in a process of its own; fail unless it is kept out."""
    with pytest.raises(ConsumerError, match="another `consume` is at work"):
        Consumer(source=Shelf(value=credential_to_json(made())), secret="s", directory=Path(folder)).round()  # noqa: S106


def test_a_folder_that_cannot_be_written_is_told(server: Server) -> None:
    """Here because a file is in its place."""
    server.folder.write_text("", encoding="ascii")
    server.put(made())
    with pytest.raises(ConsumerError, match="cannot be written: File exists"):
        server.consumer().round()


def test_a_command_that_is_not_there_is_told(server: Server) -> None:
    """One line with its name; the files are there."""
    first = made()
    server.put(first)
    missing = Consumer(source=server.shelf, secret="s", directory=server.folder, command=("/no/such/reload",))  # noqa: S106
    with pytest.raises(ConsumerError, match=r"`/no/such/reload` could not be run"):
        missing.round()
    assert server.read() == contents(first)


class DeathError(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("rounds", [0, 1, 3], ids=["the first", "a change", "a change that also prunes"])
def test_a_round_that_dies_anywhere_leaves_a_matching_pair(
    tmp_path: Path, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of its calls, the folder holds the old pair or the new one; the next round ends it."""  # R32
    certificates = [made() for _ in range(rounds + 1)]
    for number in count(1):
        server = Server(folder=tmp_path / f"{number}" / "tls")
        server.folder.parent.mkdir()
        for one in certificates[:-1]:
            server.put(one)
            Consumer(source=server.shelf, secret="s", directory=server.folder).round()  # noqa: S106
        server.put(certificates[-1])
        with monkeypatch.context() as patch:
            _die_at(number, patch)
            try:
                server.consumer().round()
            except DeathError:
                pass
            else:
                assert number > 20, "a round makes more calls than that"
                break
        if rounds or all((server.folder / file).exists() for file in FILES):
            assert server.read() in [contents(one) for one in certificates[-2:]]
            loads(server.folder)
        server.consumer().round()
        assert server.read() == contents(certificates[-1])
        assert server.reloads[-1] == certificates[-1].certificate
        assert not list(server.folder.glob(".new-*"))
        assert len(list(server.folder.glob("certificate-*"))) <= 2


def _die_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Let the process die instead of making its call of this number that changes anything."""
    seen = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def either(*arguments: object, **named: object) -> object:
            nonlocal seen
            seen += 1
            if seen == number:
                raise DeathError
            return call(*arguments, **named)

        return either

    for name in ("open", "mkdir", "fsync", "rename", "symlink", "replace", "unlink", "rmdir"):
        patch.setattr(os, name, counted(getattr(os, name)))
    patch.setattr(Path, "write_text", counted(Path.write_text))
    patch.setattr(subprocess, "run", counted(subprocess.run))


def test_a_reader_meets_a_matching_pair_at_every_moment(server: Server) -> None:
    """A server that reloads again and again while certificates change never loads two that do not belong together."""
    certificates = [made() for _ in range(6)]
    server.put(certificates[0])
    quiet = Consumer(source=server.shelf, secret="s", directory=server.folder)  # noqa: S106
    quiet.round()
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            folder = (server.folder / "current").resolve()
            try:
                loads(folder)
            except ssl.SSLError as error:
                failures.append(error)
                return
            except FileNotFoundError:
                continue  # two changes since the link was read: no server is that slow, and none that quick

    reader = threading.Thread(target=read)
    reader.start()
    for one in certificates * 10:
        server.put(one)
        quiet.round()
    stop.set()
    reader.join()
    assert failures == []


def test_the_dates_of_what_is_served_are_told(server: Server) -> None:
    """For the line that `consume` prints."""
    server.put(made())
    told = server.consumer().round().certificate
    assert told.not_after == NOW - timedelta(minutes=5) + timedelta(days=397, seconds=-1)


def running(server: Server, program: str, *, combined: bool = False) -> Consumer:
    """Return a consumer whose command is a Python program."""
    command = (sys.executable, "-c", program)
    return Consumer(
        source=server.shelf,
        secret="ios-mdm/berlin",  # noqa: S106
        directory=server.folder,
        command=command,
        environ=os.environ,
        combined=combined,
    )


def test_a_corrected_command_is_run_for_the_same_certificate(server: Server) -> None:
    """Row 23: the first one ended with success and reloaded nothing; each command succeeds once for a certificate."""
    server.put(made())
    assert running(server, "pass").round().reloaded
    assert server.consumer().round().reloaded
    assert len(server.reloads) == 1
    assert server.consumer().round().reloaded is False


def test_the_command_gets_no_credentials_of_aws(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload needs none, and what it starts keeps its environment for long."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("LANG", "C")
    server.put(made())
    program = f"import os; open({str(server.log)!r}, 'w').write(repr(sorted(os.environ)))"
    running(server, program).round()
    names = server.log.read_text(encoding="utf-8")
    assert "AWS_" not in names
    assert "'LANG'" in names


def test_a_reader_of_the_folder_cannot_lock_it(server: Server) -> None:
    """Renewals would stop for as long as any user likes."""
    server.put(made())
    server.folder.mkdir(mode=0o755)
    descriptor = os.open(server.folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert server.consumer().round().reloaded
    finally:
        os.close(descriptor)
    assert stat.S_IMODE((server.folder / ".lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", [".new-.reloaded", ".new-current", ".reloaded", ".new-x"])
def test_a_link_that_the_command_makes_is_not_followed(server: Server, name: str) -> None:
    """The command, or a worker that it starts, may be of a user with fewer rights."""
    victim = server.folder.parent / "victim"
    victim.write_text("theirs", encoding="ascii")
    server.put(made())
    program = f"import os; os.path.lexists(p := {str(server.folder / name)!r}) or os.symlink({str(victim)!r}, p)"
    assert running(server, program).round().reloaded
    server.put(made())
    assert running(server, program).round().reloaded
    assert victim.read_text(encoding="ascii") == "theirs"
    loads(server.folder)


def test_a_link_in_the_place_of_the_lock_is_not_followed(server: Server) -> None:
    """Nothing is made where it leads."""
    server.put(made())
    server.folder.mkdir()
    (server.folder / ".lock").symlink_to(server.folder.parent / "made")
    with pytest.raises(ConsumerError, match="cannot be written"):
        server.consumer().round()
    assert not (server.folder.parent / "made").exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_can_write_is_refused(server: Server, mode: int) -> None:
    """They would decide what tls.key is; nothing is written there."""
    server.put(made())
    server.folder.mkdir()
    server.folder.chmod(mode)
    with pytest.raises(ConsumerError, match=rf"can be written by its group or by all users \(mode {mode:04o}\).*go-w"):
        server.consumer().round()
    assert list(server.folder.iterdir()) == []


def test_a_folder_below_one_that_others_can_write_is_refused(server: Server) -> None:
    """They would replace it as a whole; with the sticky bit, as of /tmp, they cannot."""
    server.put(made())
    parent = server.folder.parent / "shared"
    inside = replace(server, folder=parent / "tls")
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(ConsumerError, match=r"shared can be written by its group or by all users"):
        inside.consumer().round()
    link = server.folder.parent / "link"
    link.symlink_to(inside.folder)
    with pytest.raises(ConsumerError, match=r"shared can be written by its group or by all users"):
        replace(server, folder=link).consumer().round()
    parent.chmod(0o1777)
    assert inside.consumer().round().reloaded


def test_a_link_in_a_folder_that_others_can_write_is_refused(server: Server) -> None:
    """They would let it lead elsewhere. It is neither where the path begins nor where it ends."""
    server.put(made())
    server.folder.mkdir(mode=0o700)
    shared, link = server.folder.parent / "shared", server.folder.parent / "link"
    shared.mkdir()
    (shared / "hop").symlink_to("../tls")
    link.symlink_to("shared/hop")
    linked = replace(server, folder=link)
    assert linked.consumer().round().reloaded
    shared.chmod(0o777)
    with pytest.raises(ConsumerError, match=r"shared can be written by its group or by all users"):
        linked.consumer().round()


def test_a_lock_with_a_second_name_is_refused(server: Server) -> None:
    """Its mode would change for whoever uses the file under its other name."""
    server.put(made())
    server.folder.mkdir(mode=0o700)
    other = server.folder.parent / "other"
    other.touch(mode=0o644)
    (server.folder / ".lock").hardlink_to(other)
    with pytest.raises(ConsumerError, match=r"\.lock was not made by `consume`"):
        server.consumer().round()
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


def test_a_folder_of_another_user_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner can give themselves each right to it."""
    server.put(made())
    server.folder.mkdir()
    owner = server.folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(ConsumerError, match=rf"tls belongs to the user {owner}, and this process runs as 54321.*chown"):
        server.consumer().round()
    assert list(server.folder.iterdir()) == []


def test_certificate_and_key_in_one_file(server: Server) -> None:
    """Row 24: HAProxy reads both from one file. It is made for a certificate that is there already, too."""
    first = made()
    server.put(first)
    assert server.consumer().round().changed
    assert not (server.folder / "tls.pem").exists()
    assert running(server, "pass", combined=True).round().changed
    path = server.folder / "tls.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    assert path.read_text(encoding="ascii") == first.certificate.rstrip() + "\n" + first.private_key.rstrip() + "\n"
    loads(server.folder)
    assert running(server, "pass", combined=True).round().changed is False
    second = made()
    server.put(second)
    assert running(server, "pass", combined=True).round().changed
    assert second.private_key in path.read_text(encoding="ascii")
    third = made()
    server.put(third)
    assert server.consumer().round().changed
    assert third.private_key in path.read_text(encoding="ascii"), "a server may read it since"
