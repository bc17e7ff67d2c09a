"""Tests of reading ahead for the checks of a run."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ios_mdm.app.read_ahead import ReadAhead, Reading

BERLIN = Reading(
    server="berlin",
    secret="ios-mdm/berlin",  # noqa: S106 - a name
    region=None,
    host="mdm.example.com",
    endpoints=(),
    alarms=False,
    role=True,
    queue=True,
)
PARIS = replace(BERLIN, server="paris", secret="ios-mdm/paris")  # noqa: S106 - a name


def test_each_reader_gets_an_answer_once() -> None:
    """The pair and the distribution of a server share an answer. A second check of the same resource reads again."""
    ahead = ReadAhead[str]()
    ahead.start("run", [BERLIN, PARIS], lambda reading: f"read {reading.server}")
    assert ahead.take("run", BERLIN.secret, "pair") == "read berlin"
    assert ahead.take("run", BERLIN.secret, "distribution") == "read berlin"
    assert ahead.take("run", BERLIN.secret, "pair") is None
    assert ahead.take("run", PARIS.secret, "pair") == "read paris"


def test_no_answer_is_older_than_the_run() -> None:
    """A process that serves a second run reads again for this run."""
    ahead = ReadAhead[str]()
    ahead.start("run", [BERLIN], lambda _reading: "old")
    assert ahead.take("next run", BERLIN.secret, "pair") is None
    ahead.start("third run", [BERLIN], lambda _reading: "new")
    assert ahead.take("third run", BERLIN.secret, "pair") == "new"
    assert ahead.take("", BERLIN.secret, "pair") is None


def test_a_changed_secret_is_read_again() -> None:
    """After an update of the pair, the check of its distribution does not get an answer from before the update."""
    ahead = ReadAhead[str]()
    ahead.start("run", [BERLIN], lambda _reading: "before the update")
    ahead.take("run", BERLIN.secret, "pair")
    ahead.drop(BERLIN.secret)
    assert ahead.take("run", BERLIN.secret, "distribution") is None


def test_an_error_belongs_to_the_server_that_it_was_raised_for() -> None:
    """The other server of the run gets its answer."""

    def read(reading: Reading) -> str:
        if reading.server == "berlin":
            raise ValueError("no answer")
        return "read"

    ahead = ReadAhead[str]()
    ahead.start("run", [BERLIN, PARIS], read)
    assert ahead.take("run", PARIS.secret, "pair") == "read"
    with pytest.raises(ValueError, match="no answer"):
        ahead.take("run", BERLIN.secret, "pair")


def test_servers_are_read_at_once_and_each_once() -> None:
    """Two servers wait for each other. A server that was announced twice, or already taken, is not read again."""
    both, read = threading.Barrier(2, timeout=30), list[str]()

    def reading_both(reading: Reading) -> str:
        both.wait()
        read.append(reading.server)
        return "read"

    ahead = ReadAhead[str]()
    early = replace(BERLIN, server="early", secret="ios-mdm/early")  # noqa: S106 - a name
    assert ahead.take("run", early.secret, "pair") is None
    for _ in range(2):
        ahead.start("run", [early, BERLIN, PARIS], reading_both)
    assert ahead.take("run", BERLIN.secret, "pair") == ahead.take("run", PARIS.secret, "pair") == "read"
    assert sorted(read) == ["berlin", "paris"]
