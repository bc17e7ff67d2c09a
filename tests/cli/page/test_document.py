"""The page of ``readiness --html`` and ``status --html``: its content, without a browser."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.status.watched import Watched
from ios_mdm.cli.page.document import page_parts, write_page
from ios_mdm.cli.page.sections import MAX_ROWS
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.watch import WatchedCertificate
from ios_mdm.errors import DefinitionError
from tests.support.reports import HOSTILE, NOW, failed_device, proved_device, report

if TYPE_CHECKING:
    from collections.abc import Sequence

_VOID = {"meta", "link"}


class Page(HTMLParser):
    """A page: its elements with their attributes, and its texts outside of the style sheet."""

    def __init__(self, text: str) -> None:
        """Parse the page. Each element must be closed, in order."""
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record a text."""
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All texts."""
        return "\n".join(self.texts)


def page(*reports: object, has_verdict: bool = True) -> Page:
    """Return the page of reports."""
    return Page("".join(page_parts(reports, has_verdict=has_verdict)))  # type: ignore[arg-type]


def test_the_page_has_verdict_timeline_counts_and_lists() -> None:
    """Each fact of the report is a text of the page."""
    text = page(report(), report(name="paris")).text
    for words in (
        *("berlin (mdm.example.com)", "paris (mdm.example.com)", "NOT READY", "2040-01-31 12:00 UTC"),
        *("certificate 2 becomes main", "A-1", "B-2", "no space", "presents main", "anchor_certs", "ab" * 32),
        *("Devices that cannot connect after the switch: 1", "Not proved", "-----BEGIN CERTIFICATE-----"),
        "1 of 3 devices proved that they have the root of the reserve",
    ):
        assert words in text, words
    assert "C-3" not in text


def test_texts_from_outside_do_not_become_markup() -> None:
    """Ids, reasons, names and notices are shown as text. The mark that changes the direction is replaced."""
    odd = page(report(failed_device(f"D{HOSTILE}", HOSTILE)))
    usual = page(report(failed_device("D", "no space")))
    assert [name for name, _ in odd.elements] == [name for name, _ in usual.elements]
    assert odd.text.count("<script>alert(2)</script>&lt;?\"'") == 5
    assert "\u202e" not in odd.text


@pytest.mark.parametrize("has_verdict", [True, False])
def test_the_page_requests_nothing_and_runs_nothing(*, has_verdict: bool) -> None:
    """There is no script, no link to another file, and no address in an attribute or in the style sheet."""
    found = page(report(failed_device(HOSTILE, HOSTILE)), has_verdict=has_verdict)
    allowed = {"html", "head", "meta", "title", "link", "style", "body", "main", "section", "svg", "rect", "line"}
    allowed |= {"h1", "h2", "h3", "p", "b", "span", "ul", "ol", "li", "pre"}
    allowed |= {"table", "thead", "tbody", "tr", "th", "td"}
    assert {name for name, _ in found.elements} <= allowed
    attributes = [(key, value) for _, attributes in found.elements for key, value in attributes.items()]
    assert {value for key, value in attributes if key in {"href", "src", "xlink:href"}} == {"data:,"}
    assert not [key for key, _ in attributes if key.startswith("on") or key == "style"]
    assert not re.search(r"url\(|@import|//", found.style)
    (policy,) = [one["content"] for _, one in found.elements if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")


def test_the_page_of_status_has_no_verdict() -> None:
    """It has the severity of the status, and all other parts."""
    text = page(report(), has_verdict=False).text
    assert "NOT READY" not in text
    assert "devices are lost" not in text
    assert "WARNING" in text
    assert "Devices that cannot connect after the switch: 1" in text


def test_watched_certificates_are_on_the_page_of_status() -> None:
    """A certificate that could not be read has an unknown expiry. Its notices are below."""
    notice = Notice(reason="watch-unread", severity=Severity.WARNING, message=f"cannot be read {HOSTILE}")
    certificate = WatchedCertificate(not_after=NOW + timedelta(days=40), subject=f"CN={HOSTILE}", topic="com.example")
    watched = [
        Watched(name="push", source="NanoMDM", certificate=certificate, notices=(), now=NOW),
        Watched(name="ca", source="file ca.pem", certificate=None, notices=(notice,), now=NOW),
    ]
    text = Page("".join(page_parts([report()], has_verdict=False, watched=watched))).text
    for words in ("Also watched", "com.example", "40 days left", "file ca.pem", "unknown", "ca: cannot be read"):
        assert words in text, words


def test_a_long_list_ends_with_the_number_of_other_devices() -> None:
    """The command lists all of them."""
    found = page(report(*(failed_device(f"D-{number:04}") for number in range(MAX_ROWS + 3)), proved_device("Z")))
    assert sum(name == "tr" for name, _ in found.elements) == MAX_ROWS + 3  # and the endpoint, and two heads
    assert "Devices that cannot connect after the switch: 5,003" in found.text
    assert "and 3 more: ios-mdm devices --server berlin --state failed" in found.text


def test_a_report_without_facts_is_a_page() -> None:
    """A pair that could not be read has no certificates, devices or endpoints."""
    full = report()
    bare = replace(
        full,
        overview=replace(full.overview, main=None, reserve=None, apply_at=None, phase=None, problem="no answer"),
        devices=None,
        endpoints=(),
        anchors=(),
        timeline=full.timeline[1:2],
        reasons=(),
    )
    text = page(bare).text
    for words in ("no answer", "The devices are unknown.", "No endpoint was checked."):
        assert words in text


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """If the page cannot be completed, the former file stays, and no other file remains."""
    file = tmp_path / "page.html"
    write_page(file, [report()], has_verdict=True)
    former = file.read_text(encoding="utf-8")
    assert Page(former).text == page(report()).text

    broken: Sequence[object] = [report(), None]
    with pytest.raises(AttributeError):
        write_page(file, broken, has_verdict=True)  # type: ignore[arg-type]
    assert file.read_text(encoding="utf-8") == former
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The file that it names is replaced, and the link stays."""
    (tmp_path / "link.html").symlink_to("page.html")
    (tmp_path / "page.html").write_text("former", encoding="utf-8")
    write_page(tmp_path / "link.html", [report()], has_verdict=True)
    assert (tmp_path / "link.html").is_symlink()
    assert "NOT READY" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "words"), [("/dev/null", "regular file"), ("missing/page.html", "cannot be written")])
def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path, path: str, words: str) -> None:
    """A device file is never replaced."""
    with pytest.raises(DefinitionError, match=words):
        write_page(tmp_path / path, [report()], has_verdict=True)
    assert not Path("/dev/null").is_file()
