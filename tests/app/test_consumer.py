"""The files of a TLS server: always a matching pair, loaded after each change, and kept if AWS does not answer."""

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


def new_credential() -> Credential:
    """Return a new certificate with its key."""
    return issue("mdm.example.com", key=KeyType.EC_P256, validity_days=397, now=NOW)


@dataclass(slots=True)
class Shelf:
    """Stores one value or none, or does not answer."""

    value: str | None = None
    away: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def labeled_value(self, name: str, label: str) -> str | None:
        """Return the value."""
        self.asked.append((name, label))
        if self.away:
            raise StoreError("no answer from AWS: run again")
        return self.value


@dataclass(slots=True)
class Server:
    """A folder, a store, and a command that counts its runs."""

    folder: Path
    shelf: Shelf = field(default_factory=Shelf)

    @property
    def log(self) -> Path:
        """File that the command appends to."""
        return self.folder.parent / "reloads"

    @property
    def reloads(self) -> list[str]:
        """The content of tls.crt at each run of the command."""
        return self.log.read_text(encoding="utf-8").split("|")[:-1] if self.log.exists() else []

    def consumer(self, *, fails: bool = False) -> Consumer:
        """Return a consumer with a real command."""
        program = "import pathlib, sys; a, b = map(pathlib.Path, sys.argv[1:3]); "
        program += "open(b, 'a').write(a.read_text() + '|'); sys.exit(int(sys.argv[3]))"
        command = (sys.executable, "-c", program, str(self.folder / "tls.crt"), str(self.log), "7" if fails else "0")
        return Consumer(source=self.shelf, secret="ios-mdm/berlin", directory=self.folder, command=command)  # noqa: S106

    def put(self, credential: Credential) -> None:
        """Store this certificate as AWSCURRENT."""
        self.shelf.value = credential_to_json(credential)

    def read(self) -> tuple[str, ...]:
        """Return the file that a server reads."""
        return tuple((self.folder / file).read_text(encoding="ascii") for file in FILES)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A server without files."""
    return Server(folder=tmp_path / "tls")


def contents(credential: Credential) -> tuple[str, ...]:
    """Return the contents of the three files of a certificate."""
    return (credential.certificate, credential.private_key, credential.root)


def loads(folder: Path) -> None:
    """Load certificate and key as a TLS server does; fails if they do not match."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "tls.crt", folder / "tls.key")


def test_the_first_round_writes_and_reloads_and_the_second_does_nothing(server: Server) -> None:
    """Only AWSCURRENT is read. The files are readable only by their owner."""  # R11 R29
    first = new_credential()
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
    """After a promotion, certificate, key and root are written before the command runs."""  # R11
    first, second, third = new_credential(), new_credential(), new_credential()
    for one in (first, second, third):
        server.put(one)
        server.consumer().round()
        assert server.read() == contents(one)
    assert server.reloads == [first.certificate, second.certificate, third.certificate]
    kept = [folder for folder in server.folder.iterdir() if folder.is_dir() and not folder.is_symlink()]
    assert len(kept) == 2, "the folders of the current and the former certificate"
    server.put(first)
    server.consumer().round()
    assert server.read() == contents(first), "the rollback of an operator is followed"


@pytest.mark.parametrize("broken", ["away", "gone", "no json", "another key", "wide space"])
def test_an_unusable_certificate_leaves_the_last_good_files(server: Server, broken: str) -> None:
    """If AWS does not answer, or the secret is missing or damaged: an error, the same files, and no reload."""  # R32
    first = new_credential()
    server.put(first)
    server.consumer().round()
    match broken:
        case "away":
            server.shelf.away = True
        case "gone":
            server.shelf.value = None
        case "no json":
            server.shelf.value = "{"
        case "wide space":  # cryptography reads this, but OpenSSL does not
            value = json.loads(server.shelf.value or "")
            server.shelf.value = json.dumps(value | {"tls.crt": value["tls.crt"].replace("\n", "\u2003\n", 2)})
        case _:
            crossed = json.loads(credential_to_json(new_credential())) | {
                "tls.key": json.loads(credential_to_json(new_credential()))["tls.key"]
            }
            server.shelf.value = json.dumps(crossed)
    with pytest.raises(StoreError) as caught:
        server.consumer().round()
    assert "PRIVATE KEY" not in str(caught.value)
    assert server.read() == contents(first)
    assert len(server.reloads) == 1


def test_a_command_that_failed_runs_again_until_it_succeeds(server: Server) -> None:
    """It also runs after a restart, although the certificate has not changed."""
    server.put(new_credential())
    for _ in range(2):
        with pytest.raises(ConsumerError, match="failed with exit code 7"):
            server.consumer(fails=True).round()
    assert server.consumer().round().reloaded
    assert not server.consumer().round().reloaded
    assert len(server.reloads) == 3


def test_a_change_back_is_reloaded_after_a_change_whose_reload_failed(server: Server) -> None:
    """The failed command may have loaded the other certificate, so the former reload does not count."""  # R32
    first, second = new_credential(), new_credential()
    server.put(first)
    server.consumer().round()
    server.put(second)
    with pytest.raises(ConsumerError, match="failed with exit code 7"):
        server.consumer(fails=True).round()
    server.put(first)
    assert server.consumer().round().reloaded
    assert server.reloads == [first.certificate, second.certificate, first.certificate]


def test_a_command_that_does_not_end_is_ended(server: Server) -> None:
    """Otherwise a server whose reload hangs never gets another certificate."""
    first = new_credential()
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
    """Each round compares the folder with the secret. The command runs after a repair."""
    first = new_credential()
    server.put(first)
    server.consumer().round()
    damaged = (server.folder / file).resolve()
    damaged.unlink() if loss == "deleted" else damaged.write_bytes(b"")
    done = server.consumer().round()
    assert (done.changed, done.reloaded) == (True, True)
    assert server.read() == contents(first)


@pytest.mark.parametrize("file", FILES)
def test_files_of_another_program_stay(server: Server, file: str) -> None:
    """Two files cannot be replaced atomically, and the key may be the only copy."""  # R32
    server.folder.mkdir()
    (server.folder / file).write_text("theirs", encoding="ascii")
    server.put(new_credential())
    with pytest.raises(ConsumerError, match=rf"{file} was not created by `consume`"):
        server.consumer().round()
    found = {path.name: path.read_text(encoding="ascii") for path in server.folder.iterdir()}
    assert found == {file: "theirs", ".lock": ""}
    assert server.reloads == []


def test_a_second_consumer_is_kept_out_of_the_folder(server: Server) -> None:
    """While a consumer runs its command, another consumer fails with an error and changes nothing."""
    server.put(new_credential())
    another = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.app.test_consumer import compete; compete(sys.argv[2])"
    )
    command = (sys.executable, "-c", another, str(ROOT), str(server.folder))
    consumer = Consumer(source=server.shelf, secret="s", directory=server.folder, command=command)  # noqa: S106
    assert consumer.round().reloaded
    assert consumer.round().reloaded is False


def compete(folder: str) -> None:
    """Run the other consumer, in a separate process; fail unless it is refused."""
    with pytest.raises(ConsumerError, match="another `consume` uses"):
        Consumer(source=Shelf(value=credential_to_json(new_credential())), secret="s", directory=Path(folder)).round()  # noqa: S106


def test_a_folder_that_cannot_be_written_is_reported(server: Server) -> None:
    """The cause is a file in place of the folder."""
    server.folder.write_text("", encoding="ascii")
    server.put(new_credential())
    with pytest.raises(ConsumerError, match="cannot be written: File exists"):
        server.consumer().round()


def test_a_missing_command_is_reported(server: Server) -> None:
    """The error is one line with the name of the command. The files are written."""
    first = new_credential()
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
    """A process that is killed before any call leaves the old or the new pair. The next round completes it."""  # R32
    certificates = [new_credential() for _ in range(rounds + 1)]
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
                assert number > 20, "a round makes more than 20 calls"
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
    """Kill the process in place of its call of this number that changes a file."""
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


def test_a_reader_always_finds_a_matching_pair(server: Server) -> None:
    """A server that loads the files repeatedly while certificates change never loads two that do not match."""
    certificates = [new_credential() for _ in range(6)]
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
                continue  # the link has changed twice since it was read, which is too fast to happen in practice

    reader = threading.Thread(target=read)
    reader.start()
    for one in certificates * 10:
        server.put(one)
        quiet.round()
    stop.set()
    reader.join()
    assert failures == []


def test_the_dates_of_the_served_certificate_are_shown(server: Server) -> None:
    """They are for the line that `consume` prints."""
    server.put(new_credential())
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
    """The first command succeeded but reloaded nothing. Each command has to succeed once for a certificate."""
    server.put(new_credential())
    assert running(server, "pass").round().reloaded
    assert server.consumer().round().reloaded
    assert len(server.reloads) == 1
    assert server.consumer().round().reloaded is False


def test_the_command_gets_no_credentials_of_aws(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload needs none, and a process that it starts keeps its environment for a long time."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("LANG", "C")
    server.put(new_credential())
    program = f"import os; open({str(server.log)!r}, 'w').write(repr(sorted(os.environ)))"
    running(server, program).round()
    names = server.log.read_text(encoding="utf-8")
    assert "AWS_" not in names
    assert "'LANG'" in names


def test_a_reader_of_the_folder_cannot_lock_it(server: Server) -> None:
    """Otherwise any user can stop renewals."""
    server.put(new_credential())
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
    """The command, or a process that it starts, may run as a user with fewer permissions."""
    victim = server.folder.parent / "victim"
    victim.write_text("theirs", encoding="ascii")
    server.put(new_credential())
    program = f"import os; os.path.lexists(p := {str(server.folder / name)!r}) or os.symlink({str(victim)!r}, p)"
    assert running(server, program).round().reloaded
    server.put(new_credential())
    assert running(server, program).round().reloaded
    assert victim.read_text(encoding="ascii") == "theirs"
    loads(server.folder)


def test_a_link_in_the_place_of_the_lock_is_not_followed(server: Server) -> None:
    """Nothing is created at the target of the link."""
    server.put(new_credential())
    server.folder.mkdir()
    (server.folder / ".lock").symlink_to(server.folder.parent / "made")
    with pytest.raises(ConsumerError, match="cannot be written"):
        server.consumer().round()
    assert not (server.folder.parent / "made").exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_can_write_is_refused(server: Server, mode: int) -> None:
    """These users could replace tls.key, so nothing is written there."""
    server.put(new_credential())
    server.folder.mkdir()
    server.folder.chmod(mode)
    with pytest.raises(ConsumerError, match=rf"is writable for its group or for all users \(mode {mode:04o}\).*go-w"):
        server.consumer().round()
    assert list(server.folder.iterdir()) == []


def test_a_folder_below_one_that_others_can_write_is_refused(server: Server) -> None:
    """These users could replace the whole folder. With the sticky bit, as in /tmp, they cannot."""
    server.put(new_credential())
    parent = server.folder.parent / "shared"
    inside = replace(server, folder=parent / "tls")
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(ConsumerError, match=r"shared is writable for its group or for all users"):
        inside.consumer().round()
    link = server.folder.parent / "link"
    link.symlink_to(inside.folder)
    with pytest.raises(ConsumerError, match=r"shared is writable for its group or for all users"):
        replace(server, folder=link).consumer().round()
    parent.chmod(0o1777)
    assert inside.consumer().round().reloaded


def test_a_link_in_a_folder_that_others_can_write_is_refused(server: Server) -> None:
    """These users could change the link. It is in the middle of the path."""
    server.put(new_credential())
    server.folder.mkdir(mode=0o700)
    shared, link = server.folder.parent / "shared", server.folder.parent / "link"
    shared.mkdir()
    (shared / "hop").symlink_to("../tls")
    link.symlink_to("shared/hop")
    linked = replace(server, folder=link)
    assert linked.consumer().round().reloaded
    shared.chmod(0o777)
    with pytest.raises(ConsumerError, match=r"shared is writable for its group or for all users"):
        linked.consumer().round()


def test_a_lock_with_a_second_name_is_refused(server: Server) -> None:
    """The mode of the file would change for the users of its other name."""
    server.put(new_credential())
    server.folder.mkdir(mode=0o700)
    other = server.folder.parent / "other"
    other.touch(mode=0o644)
    (server.folder / ".lock").hardlink_to(other)
    with pytest.raises(ConsumerError, match=r"\.lock was not created by `consume`"):
        server.consumer().round()
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


def test_a_folder_of_another_user_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner can change all permissions of the folder."""
    server.put(new_credential())
    server.folder.mkdir()
    owner = server.folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(ConsumerError, match=rf"tls belongs to the user {owner}, but this process runs as 54321.*chown"):
        server.consumer().round()
    assert list(server.folder.iterdir()) == []


def test_certificate_and_key_in_one_file(server: Server) -> None:
    """HAProxy reads both from one file. The file is also created for a certificate that is already in the folder."""
    first = new_credential()
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
    second = new_credential()
    server.put(second)
    assert running(server, "pass", combined=True).round().changed
    assert second.private_key in path.read_text(encoding="ascii")
    third = new_credential()
    server.put(third)
    assert server.consumer().round().changed
    assert third.private_key in path.read_text(encoding="ascii"), "a server may read tls.pem"
