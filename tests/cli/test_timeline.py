"""The picture of a forecast: its layout and its text, without scripts, and the same for the same definition."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.__main__ import app
from ios_mdm.cli.timeline.layout import LEFT, RIGHT, WIDTH, Scale, labels, lanes, marks
from ios_mdm.cli.timeline.page import Row, timeline_svg
from ios_mdm.core.pair.definition import AfterDays, IssueMain, IssueReserve, NoReserve, PairDefinition, Promotion, When
from ios_mdm.core.pair.forecast import foreseen_life
from tests.support.long import examples

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2040, 1, 1, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
RESERVES = (
    None,
    NoReserve(),
    IssueReserve(validity_days=200),
    IssueReserve(apply=AfterDays(days=60)),
    IssueReserve(when=When.NOW, apply=AfterDays(days=20)),
    IssueReserve(when=When.NOW, apply=AfterDays(days=30)),
    IssueReserve(when=When.NOW, apply=AfterDays(days=180)),
)


def row(
    reserve: IssueReserve | NoReserve | None = None,
    *,
    name: str = "berlin",
    address: str = "mdm.example.com",
    days: int = 800,
    hold: bool = False,
) -> Row:
    """Return the row of a server with this reserve."""
    definition = PairDefinition(name=name, host=address, reserve=reserve, promotion=Promotion(hold=hold))
    return Row(name=name, address=address, warn_days=30, life=foreseen_life(definition, start=START, days=days))


def picture_tree(*rows: Row) -> ET.Element:
    """Return the picture of these rows as a tree."""
    return ET.fromstring(timeline_svg(rows))  # noqa: S314 - our own output


def bars(picture: ET.Element, ordinal: int) -> list[tuple[str, float, float]]:
    """Return fill, left and right of the parts of a certificate's bar."""
    (group,) = [
        group
        for group in picture.iter(f"{SVG}g")
        if (group.findtext(f"{SVG}title") or "").startswith(f"certificate {ordinal},")
    ]
    return [
        (part.attrib["fill"], float(part.attrib["x"]), float(part.attrib["x"]) + float(part.attrib["width"]))
        for part in group.iter(f"{SVG}rect")
    ]


def shades(picture: ET.Element, fill: str) -> list[tuple[float, float]]:
    """Return left and right of the areas with this fill, except the sample in the legend."""
    found = [one for one in picture.iter(f"{SVG}rect") if one.attrib["fill"] == fill and one.attrib["width"] != "16"]
    return [(float(one.attrib["x"]), float(one.attrib["x"]) + float(one.attrib["width"])) for one in found]


def test_a_bar_is_a_reserve_then_main_then_a_former_main() -> None:
    """The parts of a bar are the times of a certificate in each role, without gaps."""  # R3 R6 R7 R17
    one = row(IssueReserve(apply=AfterDays(days=30)))
    scale = Scale(start=one.life.start, end=one.life.end)
    second = one.life.certificates[1]
    assert second.main_from is not None
    assert second.main_until is not None
    places = {fill: (left, right) for fill, left, right in bars(picture_tree(one), 2)}
    assert places["url(#timeline-reserve)"] == pytest.approx(
        (scale.x(second.stored_at), scale.x(second.main_from)), abs=0.2
    )
    assert places["#1b5499"] == pytest.approx((scale.x(second.main_from), scale.x(second.main_until)), abs=0.2)
    assert places["#eef1f5"] == pytest.approx((scale.x(second.main_until), scale.x(second.not_after)), abs=0.2)


def test_a_bar_beyond_the_forecast_ends_at_the_edge_with_a_date() -> None:
    """The bar ends at the edge of the picture, with the expiry next to it."""
    picture = picture_tree(row(days=20))
    assert [(left, right) for _, left, right in bars(picture, 1)] == [(LEFT, RIGHT)]
    assert "→ 2041-01-31" in "".join(picture.itertext())


def test_without_a_reserve_warning_critical_and_loss_follow_each_other() -> None:
    """The shades cover the whole time."""  # R5 R13
    one = row(NoReserve())
    picture, scale = picture_tree(one), Scale(start=one.life.start, end=one.life.end)
    expires = START - timedelta(minutes=5) + timedelta(days=397)
    critical = scale.x(expires - timedelta(days=30))
    assert shades(picture, "#ffdfa8") == [pytest.approx((LEFT, critical), abs=0.2)]
    assert shades(picture, "#ffbdb5") == [pytest.approx((critical, scale.x(expires)), abs=0.2)]
    assert shades(picture, "#d59993") == [pytest.approx((scale.x(expires), RIGHT), abs=0.2)]


def test_a_healthy_server_is_shaded_in_its_warning_windows_only() -> None:
    """The warning window of each main is shaded until the next main. There is no orange and no red."""  # R5
    picture = picture_tree(row())
    assert len(shades(picture, "#fff3bf")) == 2
    assert [shades(picture, fill) for fill in ("#ffdfa8", "#ffbdb5", "#d59993")] == [[], [], []]


@pytest.mark.parametrize(("days", "window"), [(397, timedelta(days=30)), (47, timedelta(days=7, hours=20))])
def test_the_default_warning_window_is_that_of_the_certificate(days: int, window: timedelta) -> None:
    """Each shade is a sixth of the validity long, at most 30 days, and ends one day before the expiry."""  # R5 R49
    definition = PairDefinition(name="berlin", host="mdm.example.com", main=IssueMain(validity_days=days))
    life = foreseen_life(definition, start=START, days=2 * days)
    picture = picture_tree(Row(name="berlin", address="mdm.example.com", warn_days=None, life=life))
    scale = Scale(start=life.start, end=life.end)
    switch = life.certificates[0].main_until
    assert switch is not None
    expected = (scale.x(switch + timedelta(days=1) - window), scale.x(switch))
    assert shades(picture, "#fff3bf")[0] == pytest.approx(expected, abs=0.2)


def test_every_event_has_a_tooltip() -> None:
    """The titles of the marks have time, name and reason of each event."""  # R6
    rows = [row(), row(NoReserve(), name="paris")]
    told = "\n".join(title.text or "" for title in picture_tree(*rows).iter(f"{SVG}title"))
    for one in rows:
        for event in one.life.events:
            assert f"{event.at:%Y-%m-%d %H:%M} {event.event}: {event.reason}" in told


def test_a_label_has_time_and_certificate_of_the_switch() -> None:
    """The label shows the time of the switch and the certificate without a pointer."""  # R6
    texts = [text.text for text in picture_tree(row()).iter(f"{SVG}text")]
    assert "2041-01-30 23:55" in texts
    assert "apply-reserve 2" in texts


def test_alerts_get_their_labels_before_anything_else() -> None:
    """If space is short, no warning loses its label."""
    late = row(IssueReserve(apply=AfterDays(days=60), validity_days=200))
    scale = Scale(start=late.life.start, end=late.life.end)
    found = marks(late.life.events, scale)
    labeled = {mark.x for mark, _ in labels(found, 0)}
    assert len(labeled) < len(found)
    assert {mark.x for mark in found if mark.event == "warning"} <= labeled
    assert f"Marks without a label (no room): {len(found) - len(labeled)}." in timeline_svg([late])


@pytest.mark.parametrize("reserve", RESERVES, ids=str)
@given(days=st.integers(1, 1500))
@settings(max_examples=examples(15))
def test_labels_touch_neither_each_other_nor_a_line(reserve: IssueReserve | NoReserve | None, days: int) -> None:
    """In each forecast, all labels are readable and inside the picture."""
    life = row(reserve, days=days).life
    hung = labels(marks(life.events, Scale(start=life.start, end=life.end)), 0)
    assert hung
    for number, (mark, top) in enumerate(hung):
        assert mark.x + mark.width < WIDTH
        for other, below in hung[number + 1 :]:
            beside = mark.x + mark.width < other.x
            under = below + other.height < top  # the line of the other mark ends at its label
            assert beside or under, (mark, other)


@given(days=st.integers(1, 36500), hours=st.integers(0, 30000))
def test_dates_of_the_axis_have_room(days: int, hours: int) -> None:
    """The dates are unique, inside the picture, and further apart than the width of their names."""
    start = START + timedelta(hours=hours)
    scale = Scale(start=start, end=start + timedelta(days=days))
    found = [(scale.x(date), name) for date, name in scale.ticks()]
    assert all(LEFT <= x <= RIGHT for x, _ in found)
    assert len({name for _, name in found}) == len(found)
    assert all(right - left > len(name) * 6.3 for (left, name), (right, _) in pairwise(found))


@given(after=st.integers(20, 300))
@settings(max_examples=examples(25))
def test_bars_in_a_lane_do_not_overlap(after: int) -> None:
    """The number of switches does not matter."""
    certificates = row(IssueReserve(when=When.NOW, apply=AfterDays(days=after))).life.certificates
    lane_of = lanes(certificates)
    for lane in set(lane_of.values()):
        together = [one for one in certificates if lane_of[one.ordinal] == lane]
        assert all(one.not_after < other.stored_at for one, other in pairwise(together))


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("reserve", RESERVES, ids=str)
def test_the_picture_has_no_scripts_and_no_external_references(
    reserve: IssueReserve | NoReserve | None,
    hold: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The picture has only shapes and text. Its only reference is to its own pattern."""
    svg = timeline_svg([row(reserve, hold=hold)])
    names = {one.tag.removeprefix(SVG) for one in ET.fromstring(svg).iter()}  # noqa: S314 - our own output
    allowed = {"svg", "g", "defs", "pattern", "rect", "circle", "path", "text", "tspan", "title", "desc"}
    assert names <= allowed
    assert set(re.findall(r"url\([^)]*\)", svg)) <= {"url(#timeline-reserve)"}
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"\s(on\w+|style|href)=", svg)


def test_foreign_text_is_escaped() -> None:
    """Names are escaped, and characters that XML cannot represent are replaced."""
    name = "<script>&\"'\x00\x1b[2J"
    picture = picture_tree(row(name=name, address="<b>"))
    heading = [tspan.text for tspan in picture.iter(f"{SVG}tspan")]
    assert heading == ["<script>&\"'??[2J", "<b>"]


def test_the_picture_has_a_description_for_screen_readers() -> None:
    """The picture refers to a title and a description, which name servers, certificates and alerts."""
    picture = picture_tree(row(), row(NoReserve(), name="paris"))
    title, desc = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert picture.attrib["aria-labelledby"].split() == [title.attrib["id"], desc.attrib["id"]]
    assert title.text == "Certificates of berlin, paris"
    told = desc.text or ""
    assert "certificate 2, valid from 2040-12-02 to 2042-01-03, main from 2041-01-30 23:55." in told
    assert "connection-lost from 2041-01-31 to 2042-03-11." in told


def test_the_picture_of_the_documentation_is_fresh(tmp_path: Path) -> None:
    """The definition and the command in docs/forecast.md produce docs/forecast.svg, byte by byte."""
    page = (ROOT / "docs" / "forecast.md").read_text(encoding="utf-8")
    block = re.search(r"^```yaml definition\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    command = re.search(r"^    ios-mdm (forecast .*)$", page, re.MULTILINE)
    assert block is not None
    assert command is not None
    definition, drawn = tmp_path / "Pulumi.example.yaml", tmp_path / "forecast.svg"
    definition.write_text(block[1], encoding="utf-8")
    names = {definition.name: str(definition), drawn.name: str(drawn)}
    result = CliRunner().invoke(app, [names.get(word, word) for word in command[1].split()])
    assert result.exit_code == 0, result.output
    assert drawn.read_bytes() == (ROOT / "docs" / "forecast.svg").read_bytes()
