"""``readiness``: reports whether every device can connect after the next switch, as a table, as JSON or as a page."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import click

from ios_mdm import wiring
from ios_mdm.app.readiness.report import readiness_report
from ios_mdm.app.readiness.values import since
from ios_mdm.app.status.overview import overview
from ios_mdm.cli.definition_file import read_definition, selected_stack_file
from ios_mdm.cli.exits import Exit, exit_on_error
from ios_mdm.cli.json_stream import json_parts
from ios_mdm.cli.output import echo_parts
from ios_mdm.cli.page.document import write_page
from ios_mdm.cli.readiness_table import show
from ios_mdm.core.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.app.readiness.values import DeviceReport, EndpointReport, Report
    from ios_mdm.app.status.fleet import FleetDevice
    from ios_mdm.app.status.overview import Certificate
    from ios_mdm.settings import ServerSettings

__all__ = ["run"]

_Json = dict[str, object]
MAX_THREADS = 16
"""Servers that are read in parallel, as in ``status``."""


def run(*, definition: Path | None, server: str | None, as_json: bool, html: Path | None) -> None:
    """Report the readiness of servers for their next switch.

    Args:
        definition: path of the definition; None for the file of the selected stack.
        server: name of the only server; None for all.
        as_json: whether to print JSON.
        html: path of the page; None if no page is written.
    """
    with exit_on_error(Exit.UNKNOWN):
        reports = []
        for report in _reports(definition, server):
            reports.append(report)
            if not as_json:
                show(report)
        if html is not None:
            write_page(html, reports, has_verdict=True)
        worst = max(reports, key=lambda report: report.level)
        if as_json:
            answer = {"servers": (_server(report) for report in reports), "verdict": str(worst.verdict)}
            echo_parts(chain(json_parts(answer), ["\n"]))
        raise click.exceptions.Exit(Exit[worst.level.name])


def _reports(file: Path | None, name: str | None) -> Iterator[Report]:
    definition = read_definition(selected_stack_file(os.environ) if file is None else file)
    aws, here = definition.settings.aws, replace(wiring.process_wiring(), base=definition.base)
    servers = definition.servers(name)

    def report(server: ServerSettings) -> Report:
        sources = here.with_cached_reads().sources(aws.region)
        return readiness_report(overview(server, aws, sources, base=here.base, checks_alarms=True))

    if len(servers) == 1:
        yield report(servers[0])
        return
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        yield from pool.map(report, servers)


def _server(report: Report) -> _Json:
    status = report.overview
    return {
        "name": status.name,
        "address": status.address,
        "verdict": str(report.verdict),
        "reasons": [
            {"level": reason.level.name.lower(), "code": reason.code, "message": reason.message}
            for reason in report.reasons
        ],
        "main": _certificate(status.main),
        "reserve": _certificate(status.reserve),
        "applyAt": _time_text(status.apply_at),
        "latestAt": _time_text(report.latest_at),
        "scheduled": status.scheduled,
        "timeline": [{"at": rfc3339(event.at), "event": event.text} for event in report.timeline],
        "devices": None if report.devices is None else _devices(report.devices),
        "endpoints": [_endpoint(one) for one in report.endpoints],
        "anchors": [
            {
                "slot": one.slot,
                "certificate": one.certificate,
                "subject": one.subject,
                "sha256": one.sha256,
                "notAfter": rfc3339(one.not_after),
                "pem": one.pem,
            }
            for one in report.anchors
        ],
    }


def _devices(devices: DeviceReport) -> _Json:
    """Return the devices. The lists are computed while they are printed."""
    found: _Json = {
        "total": devices.fleet.size,
        "proof": devices.is_proof_configured,
        "states": {str(state): count for state, count in devices.fleet.states.items()},
        "minimumCoverage": devices.minimum,
        "covered": None if devices.coverage is None else devices.coverage.covered,
        "counted": None if devices.coverage is None else devices.coverage.counted,
    }
    if devices.has_reserve:
        found |= {
            "lostCount": devices.lost_count,
            "lost": map(_device, devices.lost_devices()),
            "notProvedCount": devices.unproved_count,
            "notProved": map(_device, devices.unproved_devices()),
        }
    return found


def _device(device: FleetDevice) -> _Json:
    return {
        "id": device.status.enrollment_id,
        "state": str(device.status.state),
        "since": _time_text(since(device)),
        "lastSeen": _time_text(device.seen_at),
        "reason": device.status.detail or None,
    }


def _endpoint(one: EndpointReport) -> _Json:
    return {
        "endpoint": one.name,
        "presents": str(one.presented),
        "sha256": one.readiness.served.sha256,
        "connection": str(one.readiness.verdict),
        "problem": one.readiness.served.problem or None,
        "findings": [finding.message(one.name) for finding in one.readiness.findings],
    }


def _certificate(one: Certificate | None) -> _Json | None:
    if one is None:
        return None
    return {
        "certificate": one.ordinal,
        "sha256": one.sha256,
        "notBefore": rfc3339(one.not_before),
        "notAfter": rfc3339(one.not_after),
        "daysLeft": one.days_left,
    }


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)
