"""The page of ``readiness --html`` in a real browser: what a person sees on a screen, on a phone and on paper.

Without Chromium these tests are skipped; ``test_document.py`` checks the elements of the page without a browser.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ios_mdm.cli.page.document import write_page
from tests.support.browser import Browser, browser
from tests.support.reports import HOSTILE, failed_device, proved_device, report
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_ID = "0" * 200
PHONE = 375


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page: usual texts, hostile texts, and a text without a place for a line break."""
    made = tmp_path_factory.mktemp("browser")
    usual = report()
    odd = report(failed_device(HOSTILE, HOSTILE), failed_device(LONG_ID, "1" * 500), proved_device("C"), name="paris")
    write_page(made / "page.html", [usual, odd], has_verdict=True)
    write_page(made / "status.html", [usual], has_verdict=False)
    return made


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[Browser]:
    """A running browser."""
    program = Toolchain.chromium()
    if program is None:
        pytest.skip("there is no Chromium: run `python3 tools/bootstrap.py --only chromium`")
    with browser(program, folder) as running:
        yield running


def color(chromium: Browser, element: str, name: str) -> tuple[int, ...]:
    """Return a computed color of an element, as red, green and blue."""
    text = chromium.value(f"getComputedStyle(document.querySelector({element!r})).{name}")
    return tuple(int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(","))


def luminance(rgb: tuple[int, ...]) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [part / 255 for part in rgb]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the contrast ratio of WCAG 2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_person_reads_verdict_timeline_counts_and_lists(chromium: Browser, folder: Path) -> None:
    """The texts are visible, and those from outside are texts."""
    chromium.open(folder / "page.html")
    text = chromium.value("document.body.innerText")
    for words in (
        *("NOT READY", "berlin (mdm.example.com)", "certificate 2 becomes main", "B-2", "no space", "A-1", LONG_ID),
        *("Devices that cannot connect after the switch: 1", "anchor_certs", "<script>alert(2)</script>"),
    ):
        assert words in text, words
    assert chromium.value("document.images.length + document.scripts.length") == 0
    assert chromium.value("document.title") == "Readiness for the next switch: berlin, paris"
    bars = chromium.value("[...document.querySelectorAll('rect')].map(one => one.getBoundingClientRect().width)")
    assert len(bars) == 4
    assert all(bar > 100 for bar in bars)


def test_the_page_makes_no_request(chromium: Browser, folder: Path) -> None:
    """The browser requests only the file itself."""
    chromium.open(folder / "page.html")
    assert [url for url in chromium.requests.values() if not url.startswith("data:")] == [
        (folder / "page.html").as_uri()
    ]


def test_the_policy_of_the_page_stops_markup_that_is_not_escaped(chromium: Browser, folder: Path) -> None:
    """This is a second defense. Without the policy, the browser makes the request and runs the script."""
    markup = '<img src="http://evil.example/x"><script>document.title = "changed"</script></main>'
    page = (folder / "page.html").read_text(encoding="utf-8").replace("</main>", markup)
    control = page.replace("Content-Security-Policy", "none")
    seen = []
    for name, text in (("attacked.html", page), ("control.html", control)):
        (folder / name).write_text(text, encoding="utf-8")
        chromium.open(folder / name)
        assert "http://evil.example/x" in chromium.requests.values()
        seen.append((list(chromium.refused), chromium.value("document.title") == "changed"))
    assert seen == [(["http://evil.example/x"], False), ([], True)]


@pytest.mark.parametrize("page", ["page.html", "status.html"])
def test_the_page_fits_on_a_phone(chromium: Browser, folder: Path, page: str) -> None:
    """At 375 pixels, no text and no row is wider than the screen, even without a place for a line break."""
    chromium.open(folder / page, width=PHONE)
    assert chromium.value("innerWidth") == PHONE
    assert chromium.value("document.documentElement.scrollWidth") == PHONE
    widest = "Math.max(...[...document.querySelectorAll('body *')].map(one => one.getBoundingClientRect().right))"
    assert chromium.value(widest) <= PHONE
    sizes = "[...document.querySelectorAll('p,li,td')].map(one => parseFloat(getComputedStyle(one).fontSize))"
    assert min(chromium.value(sizes)) >= 12
    assert chromium.value("getComputedStyle(document.querySelector('thead')).display") == "none"
    label = "getComputedStyle(document.querySelector('td'), '::before').content"
    assert chromium.value(label) == '"Device: "'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast_in_both_schemes(chromium: Browser, folder: Path, scheme: str) -> None:
    """Dark mode is that of the user's system. WCAG 2 demands 4.5 for texts."""
    chromium.open(folder / "page.html", scheme=scheme)
    back = color(chromium, "section", "backgroundColor")
    assert (luminance(back) < 0.05) == (scheme == "dark")
    for element in ("section p", ".soft", ".badge", "li b", "th", "td", "td.failed", ".proved", ".warning", "pre"):
        assert contrast(color(chromium, element, "color"), back) >= 4.5, element


def test_the_page_can_be_printed(chromium: Browser, folder: Path) -> None:
    """On paper it is dark on white, in both schemes, and has several pages."""
    chromium.open(folder / "page.html", scheme="dark", medium="print")
    assert color(chromium, "section", "backgroundColor") == (255, 255, 255)
    assert color(chromium, "td", "color") == (0, 0, 0)
    printed = chromium.pdf()
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") >= 2
    assert len(printed) > 10_000


def test_the_network_log_of_the_browser_has_no_request(folder: Path, tmp_path: Path) -> None:
    """The log of a whole run of the browser names no other address than files."""
    program = Toolchain.chromium()
    if program is None:
        pytest.skip("there is no Chromium: run `python3 tools/bootstrap.py --only chromium`")
    with browser(program, tmp_path) as running:
        running.open(folder / "page.html")
    log = json.loads((tmp_path / "net-log.json").read_text(encoding="utf-8"))
    urls = {event["params"]["url"] for event in log["events"] if "url" in event.get("params", {})}
    assert {url for url in urls if not url.startswith(("file:", "data:", "about:", "chrome"))} == set()
    assert "evil.example" not in json.dumps(log["events"])
