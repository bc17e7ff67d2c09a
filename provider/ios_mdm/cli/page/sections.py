"""The parts of the page about one server."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from ios_mdm.app.readiness.values import since
from ios_mdm.app.status.overview import Level
from ios_mdm.app.wording import notice_text
from ios_mdm.cli.page.html import Html, fragment, tag, text_html
from ios_mdm.cli.page.timeline import timeline
from ios_mdm.cli.readiness_words import (
    ANCHOR_ADVICE,
    PRESENTED,
    VERDICTS,
    anchor_text,
    device_summary,
    schedule_text,
    time_text,
)
from ios_mdm.core.ledger.values import DeviceState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ios_mdm.app.readiness.values import DeviceReport, EndpointReport, Report
    from ios_mdm.app.status.fleet import FleetDevice
    from ios_mdm.app.status.watched import Watched

__all__ = ["MAX_ROWS", "server_parts", "watched_section"]

MAX_ROWS: Final = 5_000
"""Number of devices of a list that the page names."""

_LEVELS: Final = {Level.CRITICAL: "obstacle", Level.UNKNOWN: "unknown", Level.WARNING: "warning", Level.OK: "ok"}


def server_parts(report: Report, *, has_verdict: bool) -> Iterator[Html]:
    """Yield the section of a server in parts.

    Args:
        report: report about the next switch.
        has_verdict: whether the section has the verdict and its reasons.

    Raises:
        DeliveryError: The ledger cannot be read.
    """
    status = report.overview
    yield Html("<section>")
    yield tag("h2", text_html(f"{status.name} ({status.address})"))
    if has_verdict:
        yield tag("p", tag("span", text_html(VERDICTS[report.verdict]), class_=f"badge {report.verdict}"))
        yield tag(
            "ul", *(_list_item(_LEVELS[one.level], one.level.name.lower(), one.message) for one in report.reasons)
        )
    else:
        level = status.level.name.lower()
        yield tag("p", tag("span", text_html(level.upper()), class_=f"badge {level}"))
    if status.problem is not None:
        yield tag("p", text_html(status.problem))
    yield timeline(report)
    facts = [f"phase: {status.phase}"] if status.phase is not None else []
    facts += [f"due next: {status.due}"] if status.due else []
    schedule = schedule_text(report)
    facts += [] if schedule is None else [f"switch: {schedule}"]
    yield fragment(*(tag("p", text_html(fact), class_="soft") for fact in facts))
    yield from _devices(report.devices)
    yield _endpoints(report.endpoints)
    yield _anchors(report)
    if status.notices:
        yield tag("h3", text_html("Notices"))
        yield tag(
            "ul", *(_list_item(one.severity, one.severity, notice_text(one, status.now)) for one in status.notices)
        )
    yield Html("</section>\n")


def watched_section(watched: Sequence[Watched]) -> Html:
    """Return the section of the watched certificates."""
    columns = ("Name", "Source", "Subject", "Topic", "Expires")
    rows, notices = [], []
    for one in watched:
        found = one.certificate
        expiry = "unknown" if found is None else f"{time_text(found.not_after)}, {one.days_left} days left"
        subject, topic = ("", "") if found is None else (found.subject or "", found.topic or "")
        rows.append(_row(columns, (one.name, one.source, subject, topic, expiry)))
        notices += [
            _list_item(notice.severity, notice.severity, f"{one.name}: {notice_text(notice, one.now)}")
            for notice in one.notices
        ]
    head = tag("thead", tag("tr", *(tag("th", text_html(column)) for column in columns)))
    heading = tag("h2", text_html("Also watched"))
    return tag("section", heading, tag("table", head, tag("tbody", *rows)), tag("ul", *notices))


def _list_item(label: str, kind: str, message: str) -> Html:
    return tag("li", tag("b", text_html(label), class_=kind), text_html(message))


def _devices(devices: DeviceReport | None) -> Iterator[Html]:
    yield tag("h3", text_html("Devices"))
    if devices is None:
        yield tag("p", text_html("The devices are unknown."), class_="unknown")
        return
    yield tag("p", text_html(device_summary(devices)))
    yield tag(
        "ul",
        *(
            tag("li", tag("b", text_html(f"{count:,}")), text_html(state), class_=state if count else "soft")
            for state, count in devices.fleet.states.items()
        ),
        class_="counts",
    )
    if not devices.has_reserve:
        lacking = devices.fleet.lacking_states
        yield from _list(devices, "Devices without the profile", lacking)
        return
    yield from _list(devices, "Devices that cannot connect after the switch", devices.lost_states)
    yield from _list(devices, "Not proved: devices that only acknowledged the profile", {DeviceState.ACKNOWLEDGED})


def _list(devices: DeviceReport, title: str, states: Collection[DeviceState]) -> Iterator[Html]:
    count = devices.fleet.count(*states)
    yield tag("h3", text_html(f"{title}: {count:,}"))
    if not count:
        return
    columns = ("Device", "State", "Since", "Last seen", "Reason of the device")
    yield fragment(Html("<table>"), tag("thead", tag("tr", *(tag("th", text_html(one)) for one in columns))))
    yield Html("<tbody>")
    # Without a further device, the search would read all records.
    for device in islice(devices.fleet.devices(states), min(count, MAX_ROWS)):
        yield _row(columns, _cells(device), kind=str(device.status.state))
    yield Html("</tbody></table>")
    if count > MAX_ROWS:
        yield tag("p", text_html(f"and {count - MAX_ROWS:,} more: {devices.fleet.command(states)}"))


def _cells(device: FleetDevice) -> Sequence[str]:
    status, known, seen = device.status, since(device), device.seen_at
    return (
        status.enrollment_id,
        str(status.state),
        "" if known is None else time_text(known),
        "" if seen is None else time_text(seen),
        status.detail,
    )


def _row(columns: Sequence[str], cells: Sequence[str], *, kind: str = "") -> Html:
    found = [
        tag("td", text_html(cell), data_label=column, class_=kind if column == "State" else "")
        for column, cell in zip(columns, cells, strict=True)
    ]
    return fragment(tag("tr", *found), Html("\n"))


def _endpoints(endpoints: Sequence[EndpointReport]) -> Html:
    heading = tag("h3", text_html("Endpoints"))
    if not endpoints:
        return fragment(heading, tag("p", text_html("No endpoint was checked."), class_="unknown"))
    columns = ("Endpoint", "Certificate", "Connection")
    rows = [_row(columns, (one.name, PRESENTED[one.presented], one.readiness.text)) for one in endpoints]
    head = tag("thead", tag("tr", *(tag("th", text_html(column)) for column in columns)))
    return fragment(heading, tag("table", head, tag("tbody", *rows)))


def _anchors(report: Report) -> Html:
    if not report.anchors:
        return Html("")
    parts = [tag("h3", text_html("Not checked: profiles of other programs")), tag("p", text_html(ANCHOR_ADVICE))]
    for one in report.anchors:
        parts.append(tag("p", tag("b", text_html(f"{one.slot}: ")), text_html(anchor_text(one))))
        parts.append(tag("pre", text_html(one.pem.strip())))
    return fragment(*parts)
