"""``status``: shows the current state of the pairs, as tables or as JSON."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ios_mdm import wiring
from ios_mdm.app.status.overview import overview
from ios_mdm.cli.definition_file import read_definition, selected_stack_file
from ios_mdm.cli.exits import Exit, exit_on_error, print_error
from ios_mdm.cli.json_stream import json_parts
from ios_mdm.cli.output import echo_parts
from ios_mdm.cli.table import show
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.app.status.coverage import Distribution
    from ios_mdm.app.status.fleet import FleetDevice
    from ios_mdm.app.status.lost import Lost
    from ios_mdm.app.status.overview import Certificate, Overview
    from ios_mdm.settings import ServerSettings

__all__ = ["run"]

_Json = dict[str, object]

_NOT_SENT = frozenset({DeviceState.NOT_SENT, DeviceState.ERASED, DeviceState.GONE})

MAX_THREADS = 16
"""Servers that are read in parallel. Each needs up to two connections of an AWS client, which keeps 40 open."""


def run(*, definition: Path | None, server: str | None, as_json: bool) -> None:
    """Show the pairs, their pending changes, and the states of their devices. Writes nothing."""
    with exit_on_error(Exit.UNKNOWN):
        found: list[Overview] = []
        # The output of a server is written during the reads for the next servers.
        for one in _overviews(definition, server):
            found.append(one)
            if one.problem is not None:
                print_error(f"server {one.name}: {one.problem}")
            if not as_json:
                show(one)
        worst = max(one.level for one in found)
        if as_json:
            answer = {"servers": [_server(one) for one in found], "severity": worst.name.lower()}
            echo_parts(json_parts(answer))
            echo_parts("\n")
        raise click.exceptions.Exit(Exit[worst.name])


def _overviews(file: Path | None, name: str | None) -> Iterator[Overview]:
    definition = read_definition(selected_stack_file(os.environ) if file is None else file)
    aws, here = definition.settings.aws, replace(wiring.process_wiring(), base=definition.base)
    servers = definition.servers(name)

    def gathered(server: ServerSettings) -> Overview:
        # status writes nothing, so each response about a server is requested only once.
        return overview(server, aws, here.with_cached_reads().sources(aws.region), base=here.base)

    if len(servers) == 1:
        yield gathered(servers[0])
        return
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        yield from pool.map(gathered, servers)


def _server(pair_overview: Overview) -> _Json:
    return {
        "name": pair_overview.name,
        "address": pair_overview.address,
        "phase": None if pair_overview.phase is None else str(pair_overview.phase),
        "main": _certificate(pair_overview.main),
        "reserve": _certificate(pair_overview.reserve),
        "applyAt": _time_text(pair_overview.apply_at),
        "scheduled": pair_overview.scheduled,
        "notices": [
            *(
                [_notice("unknown", "unknown", pair_overview.problem, None)]
                if pair_overview.problem is not None
                else []
            ),
            *(
                _notice(str(notice.severity), notice.reason, notice.message, notice.due)
                for notice in pair_overview.notices
            ),
        ],
        "distribution": _distribution(pair_overview.distribution),
    }


def _notice(severity: str, reason: str, message: str, due: datetime | None) -> _Json:
    return {"severity": severity, "reason": reason, "message": message, "due": _time_text(due)}


def _certificate(one: Certificate | None) -> _Json | None:
    if one is None:
        return None
    details = one.details
    return {
        "certificate": one.ordinal,
        "source": str(one.source),
        "subject": None if details is None else details.subject,
        "issuer": None if details is None else details.issuer,
        "sans": None if details is None else list(details.sans),
        "serialNumber": None if details is None else details.serial_number,
        "sha256": one.sha256,
        "root": None if details is None else details.root,
        "rootSha256": None if details is None else details.root_sha256,
        "key": None if details is None else details.key,
        "notBefore": _time_text(one.not_before),
        "notAfter": _time_text(one.not_after),
        "daysLeft": one.days_left,
    }


def _distribution(one: Distribution | None) -> _Json | None:
    if one is None:
        return None
    fleet = one.fleet
    return {
        "profile": one.profile,
        "proof": one.is_proof_configured,
        "devices": None if fleet is None else fleet.size,
        "states": None if fleet is None else {str(state): count for state, count in fleet.states.items()},
        "acknowledged": one.count(DeviceState.ACKNOWLEDGED, DeviceState.PROVED),
        "pending": one.count(DeviceState.QUEUED, DeviceState.NOT_NOW, DeviceState.SILENT),
        "errors": one.count(DeviceState.FAILED),
        "notSent": None if fleet is None else fleet.count(*(_NOT_SENT & fleet.lacking_states)),
        "missing": [] if fleet is None else map(_device, fleet.devices(fleet.lacking_states)),
        "lost": None if one.lost is None else _lost_devices(one.lost),
    }


def _lost_devices(one: Lost) -> _Json:
    return {
        "certificate": one.certificate,
        "at": _time_text(one.at),
        "count": one.count,
        "devices": map(_device, one.fleet.devices(one.states)),
    }


def _device(one: FleetDevice) -> _Json:
    status = one.status
    return {"id": status.enrollment_id, "status": str(status.state), "detail": status.detail}


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)
