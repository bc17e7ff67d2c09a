"""``forecast``: its JSON, its table, its picture and its errors."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.command_line import START, run
from tests.support.custom_files import PASSWORD, Leaf

if TYPE_CHECKING:
    from pathlib import Path

TWO = """
- {name: berlin, address: mdm.example.com}
- {name: paris, address: paris.example.com, reserve: {none: true}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a definition of two servers."""
    (tmp_path / "servers.yaml").write_text(TWO, encoding="utf-8")
    return tmp_path


def test_json_lists_every_event_in_order(folder: Path) -> None:
    """Each event has its time, server, name and reason. AWS is not contacted."""  # R3 R6
    arguments = ("forecast", "servers.yaml", "--from", "2040-01-01T00:00:00Z", "--json")
    result = run(*arguments, cwd=folder, environment={})
    assert (result.code, result.err) == (0, "")
    events = json.loads(result.out)["events"]
    assert events[0].keys() == {"at", "server", "event", "reason"}
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    switch = next(event for event in events if event["event"] == "apply-reserve")
    assert (switch["at"], switch["server"]) == ("2041-01-30T23:55:00Z", "berlin")
    assert {event["server"] for event in events} == {"berlin", "paris"}


def test_one_server_as_a_table(folder: Path) -> None:
    """Without `--json`, the output is a table of the selected server."""
    arguments = ("forecast", "servers.yaml", "--server", "paris", "--from", "2040-01-01T00:00:00Z")
    result = run(*arguments, cwd=folder, environment={})
    assert result.code == 0
    assert "connection-lost" in result.out
    assert "berlin" not in result.out


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_timeline_is_drawn_in_addition_to_the_table(folder: Path, form: tuple[str, ...]) -> None:
    """`--svg` writes a file and does not change the table or the JSON."""
    arguments = ("forecast", "servers.yaml", "--from", "2040-01-01T00:00:00Z", *form)
    plain = run(*arguments, cwd=folder, environment={})
    drawn = run(*arguments, "--svg", "timeline.svg", cwd=folder, environment={})
    assert (drawn.code, drawn.out, drawn.err) == (0, plain.out, "")
    picture = (folder / "timeline.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg ")
    assert "paris.example.com" in picture


def test_a_picture_of_one_server(folder: Path) -> None:
    """Only the selected server is drawn."""
    arguments = ("forecast", "servers.yaml", "--server", "paris", "--svg", "timeline.svg")
    assert run(*arguments, cwd=folder, environment={}).code == 0
    assert "berlin" not in (folder / "timeline.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["missing/timeline.svg", "."])
def test_a_picture_that_cannot_be_written_is_one_line(folder: Path, file: str) -> None:
    """The exit code is 2, the error has the file and the reason, and no forecast is printed."""
    result = run("forecast", "servers.yaml", "--svg", file, "--json", cwd=folder, environment={})
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: --svg {file} cannot be written: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "tomorrow"), "--from 'tomorrow' is not a date and time of RFC 3339"),
        (("--from", "2040-01-01T00:00:00"), "RFC 3339"),
        (("--server", "rome"), "rome"),
        (("--days", "0"), "--days"),
    ],
)
def test_an_unplayable_definition_is_refused(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    """The exit code is 2, with an error and without a traceback."""
    result = run("forecast", "servers.yaml", *arguments, cwd=folder, environment={})
    assert result.code == 2
    assert words in result.err
    assert "Traceback" not in result.err


def test_a_pair_of_47_days_has_no_warning_in_its_year(tmp_path: Path) -> None:
    """The windows are shares of the validity: each reserve is issued a third of it before main expires."""  # R3 R49
    server = {"name": "berlin", "address": "mdm.example.com", "main": {"issue": {"validityDays": 47}}}
    file = tmp_path / "definition.yaml"
    file.write_text(yaml.safe_dump([server]), encoding="utf-8")
    arguments = ("forecast", str(file), "--json", "--from", f"{START:%Y-%m-%dT%H:%M:%SZ}", "--days", "400")
    played = run(*arguments, cwd=tmp_path, environment={})
    assert played.code == 0, played.err
    events = json.loads(played.out)["events"]
    assert {event["event"] for event in events} == {"issue-main", "issue-reserve", "distribute", "apply-reserve"}
    assert sum(event["event"] == "apply-reserve" for event in events) >= 365 // 47
    assert "a reserve is issued 15 days and 16 hours before main expires" in events[0]["reason"]


def test_custom_certificates_are_played_by_what_their_files_hold(tmp_path: Path) -> None:
    """Main expires at the time in its file, and no reserve is issued. A missing file is an error."""  # R5
    main = Leaf(START, 397)
    (tmp_path / "main.pfx").write_bytes(main.pfx())
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    install = {"bundle": "main.pfx", "passwordFile": "password"}
    server = {"name": "berlin", "address": "mdm.example.com", "main": {"install": install}}
    file = tmp_path / "definition.yaml"
    file.write_text(yaml.safe_dump([server]), encoding="utf-8")
    arguments = ("forecast", str(file), "--json", "--from", f"{START:%Y-%m-%dT%H:%M:%SZ}")
    played = run(*arguments, cwd=tmp_path, environment={})
    assert played.code == 0, played.err
    events = [(event["event"], event["at"]) for event in json.loads(played.out)["events"]]
    assert events[0] == ("issue-main", "2040-01-01T00:00:00Z")
    assert ("connection-lost", f"{main.certificate.not_valid_after_utc:%Y-%m-%dT}00:00:01Z") in events
    assert not [event for event, _ in events if event in {"issue-reserve", "apply-reserve"}]
    assert played.err == ""
    later = f"{START + timedelta(days=500):%Y-%m-%dT%H:%M:%SZ}"
    expired = run(*arguments[:-1], later, cwd=tmp_path, environment={})
    assert expired.code == 0
    assert expired.err.startswith("berlin: `pulumi up` refuses to create this pair: main.install: expired: ")
    (tmp_path / "main.pfx").unlink()
    missing = run(*arguments, cwd=tmp_path, environment={})
    assert (missing.code, "main.pfx cannot be read" in missing.err) == (2, True)
