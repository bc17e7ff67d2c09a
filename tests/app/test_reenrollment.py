"""Messages about devices that lose their connection or must be re-enrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.app.reenrollment import cut_off_notice, reenrollment_notice
from ios_mdm.core.pair.decision import Severity

if TYPE_CHECKING:
    from pathlib import Path


def test_few_devices_are_named(tmp_path: Path) -> None:
    """The message names up to ten devices, and no file is written."""  # R13
    notice = reenrollment_notice("berlin", ["A", "B"], base=tmp_path)
    assert notice.severity is Severity.CRITICAL
    assert notice.message == "2 devices must get their management profile reinstalled: A, B"
    assert list(tmp_path.iterdir()) == []


def test_many_devices_are_named_in_a_file(tmp_path: Path) -> None:
    """The file has one device per line, and the message has its name."""  # R13
    devices = [f"D{number}" for number in range(11)]
    notice = reenrollment_notice("berlin", devices, base=tmp_path)
    file = "reenrol-berlin.txt"
    assert notice.message == f"11 devices must get their management profile reinstalled: {file} names them"
    assert (tmp_path / file).read_text(encoding="utf-8").splitlines() == devices


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """The message names the first ten devices, and the reason why the file is missing."""  # R13
    devices = [f"D{number}" for number in range(11)]
    notice = reenrollment_notice("berlin", devices, base=tmp_path / "missing")
    assert "D0, D1" in notice.message
    file = "reenrol-berlin.txt"
    assert f"1 more ({file} cannot be written: No such file or directory)" in notice.message


def test_devices_that_lose_the_connection_are_named(tmp_path: Path) -> None:
    """The message names a few devices. Many devices are in a separate file."""  # R32
    few = cut_off_notice("berlin", ["A", "B"], base=tmp_path)
    assert few.message == "2 devices lose their connection until they get the next profile: A, B"
    devices = [f"D{number}" for number in range(11)]
    assert cut_off_notice("berlin", devices, base=tmp_path).message.endswith(": cut-off-berlin.txt names them")
    assert (tmp_path / "cut-off-berlin.txt").read_text(encoding="utf-8").splitlines() == devices


def test_devices_of_a_file_are_not_quoted(tmp_path: Path) -> None:
    """A definition may name any file, and a password has the form of an id, so a preview must not show it."""  # R39
    for devices in (["hunter2"], [f"hunter2-{number}" for number in range(11)]):
        for notice in (cut_off_notice, reenrollment_notice):
            message = notice("berlin", devices, base=tmp_path, device_file="../key.txt").message
            assert message.endswith(": ../key.txt names them")
            assert "hunter2" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """A pull request can add a link to the project folder."""  # R39
    victim = tmp_path / "victim"
    victim.write_text("theirs", encoding="ascii")
    (tmp_path / "cut-off-berlin.txt").symlink_to(victim)
    message = cut_off_notice("berlin", [f"D{number}" for number in range(11)], base=tmp_path).message
    assert "cut-off-berlin.txt cannot be written" in message
    assert victim.read_text(encoding="ascii") == "theirs"
