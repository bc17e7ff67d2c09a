"""Writes the page of ``readiness --html`` and ``status --html``: one file that loads nothing and runs nothing."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from ios_mdm.app.readiness.report import readiness_report
from ios_mdm.cli.page.html import Html, fragment, tag, text_html
from ios_mdm.cli.page.sections import server_parts, watched_section
from ios_mdm.cli.page.style import STYLE
from ios_mdm.cli.readiness_words import time_text
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ios_mdm.app.readiness.values import Report
    from ios_mdm.app.status.overview import Overview
    from ios_mdm.app.status.watched import Watched

__all__ = ["page_parts", "status_page_writer", "write_page"]

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content security policy: a browser requests nothing and runs no script, even if a text were not escaped."""


def page_parts(reports: Sequence[Report], *, has_verdict: bool, watched: Sequence[Watched] = ()) -> Iterator[Html]:
    """Yield the page in parts.

    Args:
        reports: at least one report.
        has_verdict: whether the page has the verdicts and their reasons.
        watched: watched certificates.

    Raises:
        DeliveryError: A ledger cannot be read.
    """
    title = "Readiness for the next switch" if has_verdict else "Status of the certificate pairs"
    names = ", ".join(report.overview.name for report in reports)
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text_html(f"{title}: {names}")),
        tag("link", rel="icon", href="data:,"),  # a browser requests /favicon.ico without it
        fragment(Html("<style>"), Html(STYLE), Html("</style>")),
    )
    yield Html('<!DOCTYPE html>\n<html lang="en">')
    yield tag("head", *head)
    yield Html("<body><main>")
    yield tag("h1", text_html(title))
    at = time_text(max(report.overview.now for report in reports))
    yield tag("p", text_html(f"ios-mdm, {at}. All times are UTC."), class_="soft")
    for report in reports:
        yield from server_parts(report, has_verdict=has_verdict)
    if watched:
        yield watched_section(watched)
    yield Html("</main></body></html>\n")


def status_page_writer(file: Path) -> Callable[[Sequence[Overview], Sequence[Watched]], None]:
    """Return a function that writes the page of ``status`` to a file, with the errors of :func:`write_page`."""

    def write(found: Sequence[Overview], watched: Sequence[Watched]) -> None:
        write_page(file, [readiness_report(one) for one in found], has_verdict=False, watched=watched)

    return write


def write_page(file: Path, reports: Sequence[Report], *, has_verdict: bool, watched: Sequence[Watched] = ()) -> None:
    """Write the page to a file, which is replaced by a rename: a reader sees the former or the complete page.

    Args:
        file: path of the page.
        reports: as for :func:`page_parts`, like the other arguments.
        has_verdict: whether the page has the verdicts.
        watched: watched certificates.

    Raises:
        DefinitionError: The file cannot be written.
        DeliveryError: A ledger cannot be read. The former file stays.
    """
    try:
        target = file.resolve()
        if target.exists() and not target.is_file():
            raise DefinitionError(f"--html {file} is not a regular file: choose another path")
        new = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with open(new, "x", encoding="utf-8") as stream:  # noqa: PTH123 - mode x refuses a link of another user
                stream.writelines(page_parts(reports, has_verdict=has_verdict, watched=watched))
            new.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DefinitionError(f"--html {file} cannot be written: {error.strerror}") from None
