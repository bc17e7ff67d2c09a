"""The definition, the device list, the channel and the webhook use the same check of enrollment ids."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.app.collector.events import WebhookError, event_from_webhook
from ios_mdm.app.devices import read_devices
from ios_mdm.core.enrollment import checked_enrollment_ids, is_enrollment_id, without_ids
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import DistributionSettings
from tests.support.events import event

if TYPE_CHECKING:
    from pathlib import Path

UDID = "8b3b8ba3783e9ade1dae4fbb944ab3afc0ce5b69"
DISTRIBUTION: dict[str, object] = {
    "profile": {"identifier": "com.example.mdm.trust"},
    "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}},
}
GOOD = [UDID, "00008030-001A2B3C4D5E6F70", f"{UDID}:F151140B-3988-45A9", f"{UDID}:a+b@example.com", ".a", "x" * 255]
BAD = ["", ".", "..", "a,b", "a/b", "../a", "a b", "a\nb", "a\n", "a\x00b", "a%2Cb", "a?b", "a#b", "é", "x" * 256]


def settings(devices: object) -> DistributionSettings:
    """Return a distribution to these devices."""
    return DistributionSettings.model_validate(copy.deepcopy(DISTRIBUTION) | {"devices": devices})


def acceptance_by_place(text: str, folder: Path) -> dict[str, bool]:
    """Return, for each place with enrollment ids, whether it accepts *text*."""
    found = {"core": is_enrollment_id(text)}
    try:
        found["settings"] = settings([text]).devices == [text]
    except ValueError:
        found["settings"] = False
    file = folder / "devices.txt"
    file.write_text(f"{text}\n", encoding="utf-8", newline="")
    try:
        found["device list"] = read_devices(settings({"file": file.name}), None, base=folder) == (text,)
    except DefinitionError:
        found["device list"] = False
    body = event("mdm.TokenUpdate", ids={"id": text}, udid="")
    try:
        found["webhook"] = event_from_webhook(body).enrollment_id == text
    except WebhookError:
        found["webhook"] = False
    return found


@pytest.mark.parametrize("text", GOOD)
def test_every_kind_of_enrollment_id_is_accepted_everywhere(text: str, tmp_path: Path) -> None:
    """Old and new UDIDs, User Enrollment ids and user channels (NanoMDM's operations guide) are accepted."""
    # R15
    assert set(acceptance_by_place(text, tmp_path).values()) == {True}
    assert checked_enrollment_ids([text, "other", text]) == (text, "other")


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused_everywhere(text: str, tmp_path: Path) -> None:
    """An id that could address other devices or another part of the API is refused."""
    # R15
    assert set(acceptance_by_place(text, tmp_path).values()) == {False}
    with pytest.raises(DefinitionError, match="not an enrollment id"):
        checked_enrollment_ids([UDID, text])


def test_many_bad_ids_are_counted() -> None:
    """A message shows five ids, each cut off."""
    with pytest.raises(DefinitionError, match=re.escape("'a b'; 'a b'; 'a b'; 'a b'; 'a b' and 2 more; an")):
        checked_enrollment_ids(["a b"] * 7)
    with pytest.raises(DefinitionError) as caught:
        checked_enrollment_ids(["é" * 1000])
    assert str(caught.value).count("é") == 80


@given(st.text(st.sampled_from("aZ09._:@+- ,/\n\x00é"), max_size=4))
def test_the_definitions_pattern_is_the_check(text: str) -> None:
    """The pattern of the JSON schema accepts exactly the ids that the check accepts."""
    try:
        settings([text])
    except ValueError:
        assert not is_enrollment_id(text)
    else:
        assert is_enrollment_id(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no device 00008030-001A2D3E4F5A in the queue", "no device ***-*** in the queue"),
        ("001a2d3e4f5a: full", "***: full"),
        ("'001A2D3E4' is too long", "'***' is too long"),
        ("x001A2D3E4F5Ay", "***"),
        ("tim+home", "***+***"),
        ("tim and his home", "*** and his ***"),
        ("times and homes", "times and homes"),
    ],
)
def test_ids_are_hidden_in_messages(text: str, shown: str) -> None:
    """Ids are hidden also in another case or cut off, because an id may be a line of any file."""  # R39
    assert without_ids(text, ["00008030-001A2D3E4F5A", "tim+home"]) == shown


@pytest.mark.parametrize(
    ("enrollment_id", "text", "shown"),
    [
        ("p@55-w0:rd", "no queue for p@55-w0:rd: full", "no queue for ***@***-***:***: full"),
        ("a1-b2-c3-d4", "id:A1-B2-C3-D4", "***:***-***-***-***"),
        ("a1-b2-c3-d4", "'a1-b2-c3' is too long", "'***-***-***' is too long"),
        ("12-34", "12-34: HTTP 401 for 12-345", "***-***: HTTP 401 for 12-345"),
        ("x_y_z_q", "(x_y_z_q)", "(***_***_***_***)"),
        ("a", "a queue", "a queue"),
    ],
)
def test_an_id_of_short_parts_is_hidden_as_a_whole(enrollment_id: str, text: str, shown: str) -> None:
    """A password with a punctuation mark after each second character has the form of an id."""  # R39
    assert without_ids(text, [enrollment_id]) == shown
