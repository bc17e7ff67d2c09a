"""The files that a server reads: always a matching pair, reloaded after every change, kept while AWS is away."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provider.consumer import FILES, Consumer, ConsumerError
from provider.core.certificates import credential_to_json
from provider.core.definition import KeyType
from provider.core.issuing import issue
from provider.core.model import Label
from provider.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider.core.model import Credential

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


@pytest.mark.parametrize("broken", ["away", "gone", "no json", "another key"])
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


def test_a_command_that_is_not_there_is_told(server: Server) -> None:
    """One line with its name; the files are there."""
    first = made()
    server.put(first)
    missing = Consumer(source=server.shelf, secret="s", directory=server.folder, command=("/no/such/reload",))  # noqa: S106
    with pytest.raises(ConsumerError, match=r"`/no/such/reload` could not be run"):
        missing.round()
    assert server.read() == contents(first)


CALLS = ("mkdtemp", "open", "fsync", "rename", "symlink_to", "replace", "run", "write_text")


class DeathError(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("number", range(1, 30))
def test_a_round_that_dies_anywhere_leaves_a_matching_pair(
    server: Server, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of its calls, the folder holds the old pair or the new one; the next round ends it."""  # R32
    first, second = made(), made()
    server.put(first)
    server.consumer().round()
    server.put(second)
    with monkeypatch.context() as patch:
        _die_at(number, patch)
        try:
            server.consumer().round()
        except DeathError:
            pass
        else:
            assert number > 10, "a round makes more calls than that"
    assert server.read() in (contents(first), contents(second))
    loads(server.folder)
    server.consumer().round()
    assert server.read() == contents(second)
    assert server.reloads[-1] == second.certificate
    assert not list(server.folder.glob(".new-*"))


def _die_at(number: int, patch: pytest.MonkeyPatch) -> None:
    seen = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def either(*arguments: object, **named: object) -> object:
            nonlocal seen
            seen += 1
            if seen == number:
                raise DeathError
            return call(*arguments, **named)

        return either

    for owner, name in (
        (tempfile, "mkdtemp"),
        (os, "open"),
        (os, "fsync"),
        (Path, "rename"),
        (Path, "symlink_to"),
        (Path, "replace"),
        (Path, "write_text"),
        (subprocess, "run"),
    ):
        patch.setattr(owner, name, counted(getattr(owner, name)))


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
